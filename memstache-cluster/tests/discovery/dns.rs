//! Discovery by names, over BIND whose zone changes while it is asked.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use memstache_cluster::{
    discovery::{DnsDiscovery, DnsDiscoveryBuilder, IpFamily},
    membership::Discovery,
};
use memstache_core::ErrorKind;

use crate::{
    kit::{Folder, PATIENCE, Server, eventually, free_port, program},
    story::{Place, play},
};

struct Named {
    server: Server,
    port: u16,
    _folder: Folder,
}

impl Named {
    fn new() -> Self {
        let (folder, port) = (Folder::new(), free_port(Ipv4Addr::LOCALHOST));
        let here = folder.path().display();
        folder.write(
            "a.test",
            "$TTL 1\n@ IN SOA ns.a.test. me.a.test. 1 60 60 60 60\n@ IN NS ns.a.test.\nns IN A 127.0.0.1\n",
        );
        let text = format!(
            "options {{ directory \"{here}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;
               session-keyfile \"{here}/key\"; managed-keys-directory \"{here}\"; recursion no; dnssec-validation no; }};
             controls {{ }};
             zone \"a.test\" {{ type primary; file \"a.test\"; allow-update {{ 127.0.0.1; }}; }};
             zone \"broken.test\" {{ type primary; file \"none\"; }};"
        );
        let file = folder.write("named.conf", text).display().to_string();
        let at = ([127, 0, 0, 1], port).into();
        let server = Server::start(program("MEMSTACHE_NAMED"), &["-g", "-c", &file], at, &folder);
        Self { server, port, _folder: folder }
    }

    /// Changes the zone by lines of nsupdate.
    fn update(&self, lines: &[String]) {
        let text = format!("server 127.0.0.1 {}\nzone a.test\n{}\nsend\n", self.port, lines.join("\n"));
        let end = Instant::now() + PATIENCE;
        // It takes connections a moment before it has read its zones.
        while !nsupdate(&text) {
            assert!(Instant::now() < end, "not taken: {text}");
        }
    }

    fn add(&self, record: &str) {
        self.update(&[format!("update add {record}")]);
    }

    fn asked(&self) -> DnsDiscoveryBuilder {
        DnsDiscovery::builder().server(self.server.at).min_ttl(Duration::ZERO)
    }
}

fn nsupdate(text: &str) -> bool {
    let mut command = Command::new(program("MEMSTACHE_NSUPDATE"));
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait().unwrap().success()
}

fn addresses(of: &[&str]) -> Vec<SocketAddr> {
    of.iter().map(|at| at.parse().unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs BIND: cargo xtask test"]
async fn addresses_and_services_of_both_families_are_found() {
    let named = Named::new();
    for record in [
        "cache.a.test. 60 A 10.0.0.1",
        "cache.a.test. 60 A 10.0.0.2",
        "cache.a.test. 60 AAAA fd00::1",
        "n1.a.test. 60 A 10.0.0.9",
        "n2.a.test. 60 AAAA fd00::9",
        "alias.a.test. 60 CNAME cache.a.test.",
        "_gossip._udp.a.test. 60 SRV 0 0 4001 n1.a.test.",
        "_gossip._udp.a.test. 60 SRV 9 5 4002 n2.a.test.",
        "_gossip._udp.a.test. 60 SRV 0 0 4003 gone.a.test.",
        "_none._udp.a.test. 60 SRV 0 0 0 .",
    ] {
        named.add(record);
    }
    let found = async |builder: DnsDiscoveryBuilder| builder.build().unwrap().discover().await.unwrap();
    let of = |name: &str| named.asked().addresses(name, 3322);
    let all = addresses(&["10.0.0.1:3322", "10.0.0.2:3322", "[fd00::1]:3322"]);
    assert_eq!(found(of("cache.a.test.")).await, all);
    assert_eq!(found(of("cache.a.test")).await, all, "without the dot");
    assert_eq!(found(of("alias.a.test.")).await, all, "through an alias");
    assert_eq!(found(of("cache.a.test.").family(IpFamily::V4)).await, all[..2]);
    assert_eq!(found(of("cache.a.test.").family(IpFamily::V6)).await, all[2..]);
    let service = |name: &str| named.asked().service(name);
    assert_eq!(found(service("_gossip._udp.a.test.")).await, addresses(&["10.0.0.9:4001", "[fd00::9]:4002"]));
    assert_eq!(found(service("_none._udp.a.test.")).await, []);
    assert_eq!(found(of("10.1.1.1")).await, addresses(&["10.1.1.1:3322"]), "an address is its own");
    let both = of("n1.a.test.").service("_gossip._udp.a.test.").addresses("gone.a.test.", 1);
    assert_eq!(found(both).await, addresses(&["10.0.0.9:3322", "10.0.0.9:4001", "[fd00::9]:4002"]));
}

#[tokio::test]
#[ignore = "needs BIND: cargo xtask test"]
async fn what_is_not_there_is_nobody_and_what_fails_is_an_error() {
    let mut named = Named::new();
    let flapping = named.asked().addresses("cache.a.test.", 1).build().unwrap();
    for _ in 0..3 {
        assert_eq!(flapping.discover().await.unwrap(), [], "NXDOMAIN");
        named.add("cache.a.test. 0 A 10.0.0.1");
        eventually("it is there again", async || flapping.discover().await.unwrap().len() == 1).await;
        named.update(&["update delete cache.a.test.".to_owned()]);
        eventually("it is gone", async || flapping.discover().await.unwrap().is_empty()).await;
    }
    named.add("text.a.test. 60 TXT hi");
    let text = named.asked().addresses("text.a.test.", 1).build().unwrap();
    assert_eq!(text.discover().await.unwrap(), [], "there, without addresses");

    let broken = named.asked().addresses("cache.broken.test.", 1).service("_gossip._udp.broken.test.");
    let error = broken.clone().build().unwrap().discover().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "SERVFAIL");
    named.add("n1.a.test. 60 A 10.0.0.9");
    let part = broken.addresses("n1.a.test.", 1).build().unwrap();
    assert_eq!(part.discover().await.unwrap(), addresses(&["10.0.0.9:1"]), "what was found is said");

    named.server.kill();
    let begin = Instant::now();
    let silent =
        named.asked().addresses("x.a.test.", 1).timeout(Duration::from_millis(200)).attempts(1).build().unwrap();
    assert_eq!(silent.discover().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
#[ignore = "needs BIND: cargo xtask test"]
async fn what_no_datagram_holds_comes_by_tcp() {
    let named = Named::new();
    let lines: Vec<_> =
        (0..90).map(|n| format!("update add many.a.test. 60 A 10.0.{}.{}", n / 100, n % 100 + 1)).collect();
    named.update(&lines);
    let found =
        named.asked().addresses("many.a.test.", 1).family(IpFamily::V4).build().unwrap().discover().await.unwrap();
    assert_eq!(found.len(), 90, "of 16 bytes each, where 1,232 fit");
}

#[tokio::test]
#[ignore = "needs BIND: cargo xtask test"]
async fn an_answer_is_kept_as_long_as_it_says_within_bounds() {
    let named = Named::new();
    named.add("cache.a.test. 3600 A 10.0.0.1");
    named.add("short.a.test. 0 A 10.0.0.1");
    let long = named.asked().addresses("cache.a.test.", 1).build().unwrap();
    let capped = named.asked().addresses("cache.a.test.", 1).max_ttl(Duration::from_secs(1)).build().unwrap();
    let floored = named.asked().addresses("short.a.test.", 1).min_ttl(Duration::from_secs(60)).build().unwrap();
    let obeyed = named.asked().addresses("short.a.test.", 1).build().unwrap();
    for discovery in [&long, &capped, &floored, &obeyed] {
        assert_eq!(discovery.discover().await.unwrap().len(), 1);
    }
    named.add("cache.a.test. 3600 A 10.0.0.2");
    named.add("short.a.test. 0 A 10.0.0.2");
    eventually("the zone is another", async || obeyed.discover().await.unwrap().len() == 2).await;
    eventually("no longer than max_ttl", async || capped.discover().await.unwrap().len() == 2).await;
    assert_eq!(long.discover().await.unwrap().len(), 1, "as long as the record says");
    assert_eq!(floored.discover().await.unwrap().len(), 1, "at least min_ttl");
}

impl Place for Named {
    type Discovery = DnsDiscovery;

    fn discovery(&self) -> DnsDiscovery {
        self.asked().addresses("cache.a.test.", PORT.with(std::cell::Cell::get)).build().unwrap()
    }

    fn appear(&mut self, nodes: &[(&str, SocketAddr)]) {
        PORT.with(|port| port.set(nodes[0].1.port()));
        let lines: Vec<_> = nodes.iter().map(|(_, at)| format!("update add cache.a.test. 1 A {}", at.ip())).collect();
        self.update(&lines);
    }

    fn vanish(&mut self, _: &str, at: SocketAddr) {
        self.update(&[format!("update delete cache.a.test. A {}", at.ip())]);
    }

    fn end(&mut self) {
        self.server.kill();
    }

    fn resume(&mut self) {
        self.server.resume();
    }
}

std::thread_local! {
    /// At which port all nodes gossip: address records say nothing of it.
    static PORT: std::cell::Cell<u16> = const { std::cell::Cell::new(1) };
}

#[tokio::test]
#[ignore = "needs BIND: cargo xtask test"]
async fn nodes_find_each_other_by_dns() {
    play(Named::new(), 11).await;
}
