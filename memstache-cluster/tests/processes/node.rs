//! A node, from within: it takes calls by its input, and answers by its output.

use std::{
    env, io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use memstache_cluster::{
    ClusterConfig, Engine, Key, KeySpace, Member, Sourced, Table,
    membership::{Gossip, GossipSecret, Membership, StaticDiscovery},
    net::{Pem, Tcp, Tls, TlsConfig, Udp},
    source_fn,
};
use memstache_core::Error;
use tokio::sync::mpsc;

use crate::process::{MARK, NODE, Process};

/// Over a source of the node's own, which answers a key with its name.
pub(crate) const SOURCED: &str = "sourced";
/// Without a source.
pub(crate) const PLAIN: &str = "plain";

const CLUSTER: &str = "processes";
const SECRET: &[u8] = b"0123456789abcdef";

/// What a node is told when it is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) peers: SocketAddr,
    pub(crate) gossip: SocketAddr,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) quorum: usize,
    /// Where its certificate is, if it speaks TLS.
    pub(crate) certificates: Option<String>,
}

impl Setup {
    pub(crate) fn words(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(ToString::to_string).collect();
        let Self { name, peers, gossip, quorum, .. } = self;
        let folder = self.certificates.as_deref().unwrap_or_default();
        format!("{name} {peers} {gossip} {quorum} {} {folder}", seeds.join(","))
    }

    fn read(words: &str) -> Self {
        let mut words = words.split(' ');
        let mut next = || words.next().unwrap().to_owned();
        let (name, peers, gossip) = (next(), next().parse().unwrap(), next().parse().unwrap());
        let quorum = next().parse().unwrap();
        let seeds = next().split(',').map(|seed| seed.parse().unwrap()).collect();
        let certificates = Some(next()).filter(|folder| !folder.is_empty());
        Self { name, peers, gossip, seeds, quorum, certificates }
    }
}

/// A node of its own when it is run for a test; else it is seen that such a one says how it is, and ends when it is asked to.
#[test]
fn a_node() {
    if let Ok(words) = env::var(NODE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(Setup::read(&words)));
        runtime.shutdown_background();
        return;
    }
    let node = Process::start(Setup::alone());
    node.ready();
    assert_eq!(node.ask(&format!("get {SOURCED} k")), "value k");
    assert_eq!(node.ask("asked"), "1");
    assert_eq!(node.ask(&format!("put {PLAIN} k v")), "done");
    assert_eq!(node.ask(&format!("delete {PLAIN} k")), "done");
    assert_eq!(node.ask(&format!("get {PLAIN} k")), "none");
    assert!(node.ask("members").ends_with(" alone"), "{}", node.ask("members"));
    assert_eq!(node.ask("stop"), "done");
}

struct Node {
    engine: Engine,
    gossip: Arc<Gossip>,
    asked: Arc<AtomicU64>,
}

async fn run(setup: Setup) {
    let mut lines = lines();
    let me = Member::new(setup.name.parse().unwrap(), setup.peers).with_gossip(setup.gossip);
    let gossip = Gossip::builder(CLUSTER, me.clone())
        .secret(GossipSecret::new(SECRET).unwrap())
        .discovery(StaticDiscovery::new(setup.seeds.clone()))
        .start(Arc::new(Udp::bind(setup.gossip).await.unwrap()))
        .unwrap();
    let gossip = Arc::new(gossip);
    let asked = Arc::new(AtomicU64::new(0));
    let mut cluster = ClusterConfig::new(CLUSTER, me, Arc::clone(&gossip))
        .bind(setup.peers)
        .secret(SECRET)
        .minimum_peers_quorum(setup.quorum);
    if let Some(folder) = &setup.certificates {
        cluster = cluster.transport(tls(Path::new(folder), &setup.name));
    }
    let engine = Engine::builder()
        .keyspace(sourced(&asked))
        .keyspace(KeySpace::builder(PLAIN).build().unwrap())
        .cluster(cluster)
        .shutdown_timeout(Duration::from_secs(4))
        .build()
        .unwrap();
    engine.start().await.unwrap();
    // Active, it owns its share a moment later.
    while !engine.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let node = Arc::new(Node { engine, gossip, asked });
    println!("\n{MARK}0 ready");
    while let Some(line) = lines.recv().await {
        let (id, call) = line.split_once(' ').unwrap();
        let (id, call, node) = (id.to_owned(), call.to_owned(), Arc::clone(&node));
        let stops = call == "stop";
        let answered = tokio::spawn(async move {
            let answer = node.answer(&call).await;
            println!("\n{MARK}{id} {answer}");
        });
        if stops {
            answered.await.unwrap();
            return;
        }
    }
}

/// The input, until the test is gone.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(64);
    // A thread of its own: no read of standard input can be given up.
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(io::Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn sourced(asked: &Arc<AtomicU64>) -> KeySpace {
    let asked = Arc::clone(asked);
    let source = source_fn(move |key: Key| {
        asked.fetch_add(1, SeqCst);
        async move { Ok(Some(Sourced::new(key.name().to_vec()))) }
    });
    KeySpace::builder(SOURCED).source(source).build().unwrap()
}

fn tls(folder: &Path, name: &str) -> Tls {
    let pem = |file: String| Pem::file(folder.join(file));
    let config = TlsConfig::new(pem("ca.pem".to_owned()), pem(format!("{name}.pem")), pem(format!("{name}.key")));
    Tls::over(Tcp::new(), config).unwrap()
}

impl Node {
    async fn answer(&self, call: &str) -> String {
        let words: Vec<&str> = call.split(' ').collect();
        let failed = |error: Error| format!("error {}", error.kind().as_str());
        match words[..] {
            ["get", keyspace, key] => match self.engine.get(keyspace, key).await {
                Ok(Some(value)) => format!("value {}", String::from_utf8_lossy(&value)),
                Ok(None) => "none".to_owned(),
                Err(error) => failed(error),
            },
            ["put", keyspace, key, value] => {
                let put = self.engine.put(keyspace, key, value.to_owned()).await;
                put.map_or_else(failed, |()| "done".to_owned())
            }
            ["delete", keyspace, key] => {
                self.engine.delete(keyspace, key).await.map_or_else(failed, |_| "done".to_owned())
            }
            ["asked"] => self.asked.load(SeqCst).to_string(),
            ["members"] => {
                let members = self.gossip.members();
                let mut names: Vec<&str> = members.active().map(|member| member.name.as_str()).collect();
                names.sort_unstable();
                format!("{:x} {}", Table::of(&members).epoch(), names.join(","))
            }
            ["stop"] => self.engine.stop().await.map_or_else(failed, |()| "done".to_owned()),
            _ => panic!("a node was asked for {call:?}"),
        }
    }
}
