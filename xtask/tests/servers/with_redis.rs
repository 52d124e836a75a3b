//! What needs a Redis that can be started.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{self, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A target folder of its own, so that nothing else is touched.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("memstache-up-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(words).env("CARGO_TARGET_DIR", &self.0);
        command
    }

    fn xtask(&self, words: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    fn up(&self, words: &[&str]) -> String {
        let (success, said) = self.xtask(&[&["up"], words].concat());
        assert!(success, "{said}");
        said
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (success, said) = self.xtask(&["down"]);
        fs::remove_dir_all(&self.0).unwrap();
        assert!(success || thread::panicking(), "{said}");
    }
}

/// The value that a shell would have after reading what `up` said.
fn variable<'a>(said: &'a str, name: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("export {name}='")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{said}")).trim_end_matches('\'')
}

/// The address in a URL without anything after it.
fn address(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

fn ping(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"PING\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

/// The ids of the processes that were told.
fn pids(said: &str) -> Vec<u32> {
    said.lines().filter_map(|line| line.rsplit_once(" pid ")?.1.parse().ok()).collect()
}

fn runs(pid: u32, place: &Path) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).contains(&*place.to_string_lossy())
}

#[test]
fn a_server_comes_up_once_and_goes_down() {
    let place = Place::new("single");
    let first = place.up(&["redis"]);
    let url = variable(&first, "MEMSTACHE_REDIS_URL").to_owned();
    assert_eq!(ping(address(&url)).unwrap(), "+PONG\r\n");
    let again = place.up(&["redis"]);
    assert!(again.contains("redis (redis7) is up already"), "{again}");
    assert_eq!((variable(&again, "MEMSTACHE_REDIS_URL"), pids(&again)), (url.as_str(), pids(&first)));
    assert!(place.up(&[]).contains(&url), "told what is up");
    let (success, said) = place.xtask(&["down", "redis"]);
    assert!(success && said.contains("1 server ended"), "{said}");
    assert!(ping(address(&url)).is_err());
    assert_eq!(place.xtask(&["down"]), (true, "nothing was up\n".to_owned()));
}

#[test]
fn a_server_that_was_killed_is_started_anew() {
    let place = Place::new("anew");
    let first = pids(&place.up(&["redis"]))[0];
    assert!(Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    while runs(first, &place.0) {
        thread::sleep(Duration::from_millis(5));
    }
    let said = place.up(&["redis"]);
    assert!(!said.contains("already"), "{said}");
    assert_eq!(ping(address(variable(&said, "MEMSTACHE_REDIS_URL"))).unwrap(), "+PONG\r\n");
}

#[test]
fn a_version_without_tls_says_so() {
    let place = Place::new("without-tls");
    let (success, said) = place.xtask(&["up", "redis-tls", "--version", "valkey9"]);
    assert!(!success && said.contains("redis-tls needs redis7"), "{said}");
}

#[test]
fn servers_end_with_an_up_that_is_broken_off() {
    let place = Place::new("broken-off");
    let mut up = place.command(&["up", "sentinel"]).stdout(Stdio::piped()).spawn().unwrap();
    let state = place.0.join("servers/up/sentinel-redis7/state.json");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !state.exists() {
        assert!(Instant::now() < deadline && up.try_wait().unwrap().is_none(), "never began");
        thread::sleep(Duration::from_millis(5));
    }
    let text = fs::read_to_string(&state).unwrap();
    let pid = text.split("\"pid\": ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    up.kill().unwrap();
    up.wait().unwrap();
    while runs(pid, &place.0) || state.exists() {
        assert!(Instant::now() < deadline, "{pid} outlives who started it");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sentinels_and_clusters_are_whole_when_they_are_up() {
    let place = Place::new("whole");
    let said = place.up(&["sentinel", "cluster", "cluster-tls", "redis-tls"]);
    assert_eq!(pids(&said).len(), 6 + 6 + 6 + 1);
    for name in ["MEMSTACHE_REDIS_TLS_URL", "MEMSTACHE_REDIS_CLUSTER_TLS_URL"] {
        assert!(variable(&said, name).starts_with("rediss"), "{said}");
    }
    let cluster = variable(&said, "MEMSTACHE_REDIS_CLUSTER_URL");
    let nodes: Vec<_> = address(cluster).split(['?', '&']).map(|part| part.trim_start_matches("node=")).collect();
    assert_eq!(nodes.len(), 6);
    for node in nodes {
        let mut stream = TcpStream::connect(node).unwrap();
        stream.write_all(b"CLUSTER INFO\r\nQUIT\r\n").unwrap();
        let mut info = String::new();
        stream.read_to_string(&mut info).unwrap();
        assert!(info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6"), "{node}: {info}");
    }
    // The certificates are such that a client of another make believes them, and is believed.
    let single = variable(&said, "MEMSTACHE_REDIS_TLS_URL");
    let of = |name| variable(&said, name).to_owned();
    let files = ["--cacert".to_owned(), of("MEMSTACHE_REDIS_CA")];
    let own =
        ["--cert".to_owned(), of("MEMSTACHE_REDIS_CLIENT_CERT"), "--key".to_owned(), of("MEMSTACHE_REDIS_CLIENT_KEY")];
    let cli = |words: &[String]| {
        let port = address(single).rsplit_once(':').unwrap().1;
        let out =
            Command::new("redis-cli").args(["-h", "127.0.0.1", "-p", port, "--tls"]).args(words).arg("ping").output();
        String::from_utf8_lossy(&out.unwrap().stdout).into_owned()
    };
    assert_eq!(cli(&[files.as_slice(), &own].concat()), "PONG\n");
    assert_ne!(cli(&files), "PONG\n", "a client without a certificate is refused");
}
