//! The program `memstache-node`: what it is told, when it is ready, and how it ends.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::kit::{Folder, PATIENCE, Server, free_port, http, program};

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The settings of a node that gossips there, wants another, and knows where it is.
fn settings(folder: &Folder, name: &str, (health, gossip, admin): (u16, u16, u16), seed: u16) -> String {
    let (bind, secret) = (free_port(Ipv4Addr::LOCALHOST), folder.write("secret", "0123456789abcdef"));
    let text = format!(
        "[node]\nname = '{name}'\nbind = '{}'\nhealth = '{}'\ngossip = '{}'\nquorum = 2\nsecret_file = '{}'\n\
         admin = '{}'\nshutdown_timeout = '4s'\n[node.keyspaces.products]\n[discovery]\nseeds = ['{}']\n",
        at(bind),
        at(health),
        at(gossip),
        secret.display(),
        at(admin),
        at(seed)
    );
    folder.write(&format!("{name}.toml"), text).display().to_string()
}

fn is_ready(at: SocketAddr) -> bool {
    http(at, "GET", "/readyz", "").0 == 200
}

#[test]
#[ignore = "needs the program: cargo xtask test"]
fn two_nodes_become_ready_together_and_end_when_they_are_told() {
    let folder = Folder::new();
    let ports = [0; 6].map(|_: u16| free_port(Ipv4Addr::LOCALHOST));
    let [first, second] = [(ports[0], ports[1], ports[2]), (ports[3], ports[4], ports[5])];
    let start = |name: &str, own: (u16, u16, u16), seed| {
        Server::start(program("MEMSTACHE_TEST_NODE"), &[&settings(&folder, name, own, seed)], at(own.0), &folder)
    };
    let one = start("node-1", first, second.1);
    assert_eq!(http(one.at, "GET", "/healthz", "").0, 200, "it lives");
    assert!(!is_ready(one.at), "it waits for another");
    assert_eq!(http(one.at, "GET", "/", "").0, 404);
    let two = start("node-2", second, first.1);
    let end = Instant::now() + PATIENCE;
    while !(is_ready(one.at) && is_ready(two.at)) {
        assert!(Instant::now() < end, "they are not ready: {}", log(&folder));
        thread::sleep(Duration::from_millis(50));
    }
    for admin in [first.2, second.2] {
        let get = |path: &str| http(at(admin), "GET", &format!("/_memstache/admin{path}"), "");
        let (status, peers) = get("/peers");
        assert!(status == 200 && peers.contains("node-1") && peers.contains("node-2"), "{status} {peers}");
        assert!(
            get("/keyspaces").1.contains("\"products\"")
                && get("/metrics").1.contains("memstache_cluster_node_ready 1")
        );
        assert!(get("/").1.contains("<html"), "the page");
        let flush = http(at(admin), "POST", "/_memstache/admin/keyspaces/products/flush", "");
        assert_eq!(flush.0, 403, "nobody may change anything without a write token");
    }
    for mut node in [two, one] {
        assert!(node.terminate().success(), "{}", log(&folder));
    }
}

fn log(folder: &Folder) -> String {
    fs::read_to_string(folder.path().join("server.log")).unwrap_or_default()
}

#[test]
#[ignore = "needs the program: cargo xtask test"]
fn what_is_wrong_with_a_file_is_told() {
    let folder = Folder::new();
    let run = |words: &[&str], file: &Path| {
        let mut command = Command::new(program("MEMSTACHE_TEST_NODE"));
        let output = command.args(words).arg(file).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/node/node.toml");
    assert_eq!(run(&["--check"], &example), (true, String::new()));
    let wrong = folder.write("wrong.toml", "[node]\nquorum = 0\nadvertise = 'here'\nbinds = '0.0.0.0:1'\n");
    let (success, told) = run(&["--check"], &wrong);
    assert!(!success);
    for part in
        ["node.quorum must be", "node.advertise must be an address", "node.binds is unknown; did you mean bind?"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let open = format!("[node]\nadmin = '0.0.0.0:0'\nsecret_file = '{}'\n", folder.write("secret", [7; 16]).display());
    let (success, told) = run(&[], &folder.write("open.toml", open));
    assert!(!success && told.contains("a loopback address, unless a read_token is set"), "{told}");
    let (success, told) = run(&[], &folder.write("no-secret.toml", "[node]\nsecret_file = '/no/such/file'\n"));
    assert!(!success && told.contains("/no/such/file cannot be read"), "{told}");
}
