//! The whole program, with small numbers.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

/// Ends the line on which a quiet demo tells its address.
const SCHEME: &str = "http://";

/// The program with few products, in a temporary folder of the test's own.
struct Demo {
    folder: PathBuf,
    command: Command,
}

impl Demo {
    fn new(test: &str, words: &[&str]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_memstache-demo"));
        command.args(["--shops", "2", "--products", "250"]);
        if !words.contains(&"--chaos") {
            command.args(["--clients", "8"]);
        }
        command.args(words);
        command.env("TMPDIR", &folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { folder, command }
    }

    fn run(&mut self) -> Output {
        self.command.output().unwrap()
    }

    fn leaves_nothing_behind(&self) {
        let left: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asks the program at the address that it told.
fn get(address: &str, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(&address[SCHEME.len()..]).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_run_keeps_its_promises_and_shows_it() {
    let mut demo = Demo::new("run", &["--seconds", "1", "--exit"]);
    let output = demo.run();
    let (shown, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}{errors}");
    assert_eq!(errors, "");
    let cell = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap().split_whitespace().last().unwrap();
    assert_eq!(cell("loads per distinct product and lifetime"), "1.00", "{shown}");
    assert_eq!(cell("most loads of one product"), "1");
    assert_eq!(cell("errors"), "0");
    assert!(shown.contains("1,000 requests at once for one cold product over 8 connections: 1 load,"), "{shown}");
    assert!(shown.contains("in its list: 0 old answers"), "{shown}");
    let refused = |who: &str| {
        let line = shown.lines().find(|line| line.contains(&format!("{who}: refused (429)"))).unwrap();
        line.split_whitespace().rev().take(3).map(|count| count.replace(',', "").parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(refused("the others"), [0; 3], "{shown}");
    let noisy = shown.lines().find(|line| line.contains("shop-02: hit ratio")).unwrap();
    assert!(noisy.contains("100.0 % ") && noisy.ends_with(" 0.0 %"), "{noisy}");
    let [without_plans, noisy, before] = refused("shop-02")[..] else { panic!("three columns: {shown}") };
    assert!(without_plans == 0 && noisy > 0 && before == 0, "{shown}");
    assert!(shown.contains("\n  quota      shop-0") && shown.contains(", counted exactly\n"), "{shown}");
    assert!(shown.contains("times its share and was refused "), "{shown}");
    assert!(shown.contains("the others 0 times, and their hit ratio fell by "), "{shown}");
    demo.leaves_nothing_behind();
}

#[test]
fn chaos_is_survived_and_shown() {
    let mut demo = Demo::new("chaos", &["--chaos", "--seconds", "1", "--exit", "--quiet"]);
    let output = demo.run();
    let (shown, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}{errors}");
    assert_eq!(errors, "");
    let rows: Vec<&str> = shown.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), 10, "a row each second\n{shown}");
    for phase in ["calm", "store fails", "store hangs", "database fails", "database hangs", "both hang", "recovery"] {
        assert!(rows.iter().any(|row| row.contains(phase)), "{phase}\n{shown}");
    }
    let verdicts: Vec<&str> = shown.lines().filter(|line| line.starts_with("  ok      ")).collect();
    assert_eq!(verdicts.len(), 7, "{shown}");
    demo.leaves_nothing_behind();
}

#[test]
fn a_cluster_survives_a_kill_and_a_join_and_shows_it() {
    let mut demo = Demo::new("cluster", &["--cluster", "3", "--seconds", "1", "--exit", "--quiet"]);
    let output = demo.run();
    let (shown, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{shown}{errors}");
    assert_eq!(errors, "");
    let cells = |name: &str| {
        let row = shown.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        row.trim_start()[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells("steady"), ["node-1", "node-2", "node-3", "all"], "{shown}");
    let loads = cells("loads (database queries)");
    assert!(loads[..3].iter().all(|loads| loads != "0"), "{shown}");
    for (phase, nodes) in [("node-3 killed", "2"), ("node-4 joined", "3")] {
        let cells = cells(phase);
        assert_eq!((cells[0].as_str(), cells[2].as_str()), (nodes, "0"), "{shown}");
    }
    assert_eq!(shown.lines().filter(|line| line.starts_with("  ok      ")).count(), 4, "{shown}");
    demo.leaves_nothing_behind();
}

#[cfg(unix)]
#[test]
fn a_cluster_can_be_interrupted_and_takes_its_nodes_with_it() {
    let mut demo = Demo::new("cluster-interrupt", &["--cluster", "2", "--seconds", "60", "--admin"]);
    let mut child = demo.command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("2 nodes gossip, speak TLS with each other, and answer after ")));
    for node in ["node-1", "node-2"] {
        let page = lines.next().unwrap();
        let page = page.strip_prefix(&format!("The page of {node}: http://admin:")).unwrap();
        let (token, (at, path)) =
            page.split_once('@').map(|(token, rest)| (token, rest.split_at(rest.find('/').unwrap()))).unwrap();
        let ask = |authorization: &str| {
            let mut stream = TcpStream::connect(at).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{authorization}\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask("").starts_with("HTTP/1.1 401"), "the token is needed");
        let answer = ask(&format!("Authorization: Bearer {token}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(node), "{answer}");
    }
    signal(&child, "INT");
    // Their end of the pipe to standard error is closed only with the last of them.
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(130), "stopped before the results were in\n".to_owned())
    );
    demo.leaves_nothing_behind();
}

#[test]
fn a_node_that_nobody_talks_to_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_memstache-demo")).arg("node").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert_eq!(told, "error: a node of the cluster: the demo that started this node is gone\n");
}

#[test]
fn lifetimes_shorter_than_the_run_allow_a_load_each() {
    let output = Demo::new("ttl", &["--seconds", "2", "--ttl", "1", "--exit", "--quiet"]).run();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("3 lifetimes within the load, so at most 3 loads of each product: "), "{shown}");
}

#[cfg(unix)]
#[test]
fn it_stays_up_until_it_is_told_to_end() {
    let mut demo = Demo::new("up", &["--seconds", "1", "--quiet"]);
    let mut child = demo.command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let address = lines.into_iter().find(|line| line.starts_with(SCHEME)).expect("it came up");
    let get = |path: &str, host: &str| get(&address, path, host);
    let answer = get("/healthz", "x");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"status\":\"ok\""), "{answer}");
    for (host, status) in [("shop-01.localhost", 200), ("shop-03.localhost", 403), ("x", 400)] {
        let answer = get("/products/7", host);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
    assert!(get("/metrics", "x").contains("memstache_tenant=\"shop-02\""), "shops are told apart");
    // A connection that is kept open must not keep the program.
    let _open = TcpStream::connect(&address[SCHEME.len()..]).unwrap();
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    demo.leaves_nothing_behind();
}

#[cfg(unix)]
#[test]
#[ignore = "needs Prometheus' promtool; run by cargo xtask test"]
fn prometheus_own_tool_finds_nothing_wrong_with_what_it_scrapes() {
    let promtool =
        std::env::var("MEMSTACHE_PROMTOOL").expect("MEMSTACHE_PROMTOOL is not set: cargo xtask test sets it");
    let mut demo = Demo::new("metrics", &["--seconds", "1", "--quiet"]);
    let mut child = demo.command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let address = lines.find(|line| line.starts_with(SCHEME)).expect("it came up");
    let answer = get(&address, "/metrics", "x");
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());

    let metrics = answer.split_once("\r\n\r\n").unwrap().1;
    for part in ["memstache_requests_total{", "memstache_tier_size_bytes{", "memstache_tenant=\"shop-02\""] {
        assert!(metrics.contains(part), "{part} in {metrics}");
    }
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
    demo.leaves_nothing_behind();
}

#[cfg(unix)]
#[test]
fn it_can_be_interrupted_in_the_middle() {
    let mut demo = Demo::new("interrupt", &["--seconds", "60"]);
    let mut child = demo.command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("500 products of 2 shops are in SQLite"), "{line}");
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(130), "stopped before the results were in\n".to_owned())
    );
    demo.leaves_nothing_behind();
}

#[test]
fn wrong_arguments_and_files_are_refused() {
    let output = Demo::new("wrong", &["--seconds", "0"]).run();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("0 is not in 1..=3600"));

    let mut demo = Demo::new("foreign", &["--exit", "--db"]);
    let file = demo.folder.join("notes.txt");
    fs::write(&file, "somebody's notes".repeat(100)).unwrap();
    demo.command.arg(&file);
    let output = demo.run();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: the database "));
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's notes".repeat(100), "it is left as it was");
}

/// Excluded where there is no Redis.
mod with_redis {
    use super::*;

    #[test]
    fn a_run_over_redis_keeps_its_promises() {
        let url = std::env::var("MEMSTACHE_REDIS_URL").unwrap_or_else(|_| {
            panic!("MEMSTACHE_REDIS_URL is not set: `cargo xtask test` sets it; or exclude this test")
        });
        let mut demo = Demo::new("redis", &["--seconds", "1", "--exit", "--store", "redis", "--redis", &url]);
        let output = demo.run();
        let (shown, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{shown}{errors}");
        assert!(shown.contains("1,000 requests at once for one cold product over 8 connections: 1 load,"), "{shown}");
        assert!(shown.contains("in its list: 0 old answers"), "{shown}");
        assert!(shown.contains("times its share and was refused "), "{shown}");
        assert!(shown.contains("; a sample of the keys says "), "{shown}");
        demo.leaves_nothing_behind();
    }

    #[test]
    fn a_redis_that_is_not_there_is_told() {
        let output = Demo::new("no-redis", &["--exit", "--store", "redis", "--redis", "redis://h:x"]).run();
        assert!(!output.status.success() && text(&output.stderr).contains("error: "), "{output:?}");
    }
}
