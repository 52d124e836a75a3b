//! What a start refuses, and what it undoes.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use async_trait::async_trait;
use memstache_cluster::{
    ClusterConfig, Engine, EngineError, KeySpace, Member, MemberState, Members, NodeId,
    membership::{Membership, StaticMembership},
};
use memstache_core::{ErrorKind, Result, Tick};
use tokio::{sync::watch, time::timeout};

use crate::kit::*;

fn me() -> Member {
    Member::at("127.0.0.1:3320".parse().unwrap())
}

fn config() -> ClusterConfig {
    ClusterConfig::new("test", me(), StaticMembership::new(me(), [])).bind("127.0.0.1:0".parse().unwrap()).insecure()
}

/// Waits until nobody listens any more: the task that listened ends by itself.
async fn is_free(at: std::net::SocketAddr) {
    for _ in 0..200 {
        if std::net::TcpListener::bind(at).is_ok() {
            return;
        }
        tokio::time::sleep(millis(10)).await;
    }
    std::net::TcpListener::bind(at).expect("nobody listens any more");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let other = Member::at("127.0.0.1:1".parse().unwrap());
    let cluster = ClusterConfig::new("", me(), StaticMembership::new(other, []))
        .bootstrap_timeout(secs(0))
        .join_retry_interval(secs(0))
        .max_join_attempts(0)
        .minimum_peers_quorum(0)
        .connections_per_peer(17);
    let error = Engine::builder().cluster(cluster).read_timeout(secs(0)).build().unwrap_err().to_string();
    for part in [
        "read_timeout must be above zero",
        "bootstrap_timeout must be above zero",
        "join_retry_interval must be above zero",
        "max_join_attempts must be 1 to 1000, but 0 was given",
        "minimum_peers_quorum must be 1 to 65535, but 0 was given",
        "connections_per_peer must be 1 to 16, but 17 was given",
        "cluster must be 1 to 64 bytes long, but 0 bytes was given",
        "secret must be set, or insecure asked for by name, but nothing was given",
        "membership must be that of this node, but one of another was given",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let short = Engine::builder().cluster(config().secret("short")).build().unwrap_err();
    assert_eq!(short.to_string(), "peer secret must be at least 16 bytes long, but 5 bytes was given");
}

#[tokio::test]
async fn without_a_quorum_nothing_starts_and_nothing_is_left_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cluster = config().bind(taken).minimum_peers_quorum(2).bootstrap_timeout(millis(200));
    let engine = Engine::builder().keyspace(KeySpace::builder(KS).build().unwrap()).cluster(cluster).build().unwrap();
    let error = engine.start().await.unwrap_err();
    assert_eq!((error.kind(), error.find_source()), (ErrorKind::Unavailable, Some(&EngineError::ClusterQuorum)));
    let refused = engine.get(KS, "a").await.unwrap_err();
    assert_eq!(refused.find_source(), Some(&EngineError::NotStarted));
    is_free(taken).await;
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let engine = Engine::builder().cluster(config().bind(taken.local_addr().unwrap())).build().unwrap();
    assert_eq!(engine.start().await.unwrap_err().kind(), ErrorKind::Io);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_serves_all_and_warms_its_keys() {
    let source = Counting::default();
    let keyspace = sourced(&source).warm_keys(["a", "b"]).build().unwrap();
    let engine = Engine::builder().keyspace(keyspace).cluster(config()).shutdown_timeout(secs(1)).build().unwrap();
    engine.start().await.unwrap();
    while source.total() < 2 {
        tokio::time::sleep(millis(5)).await;
    }
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    engine.put(KS, "c", "v").await.unwrap();
    assert_eq!(read(&engine, "c").await.as_deref(), Some("v"));
    assert_eq!(source.total(), 2);
    engine.stop().await.unwrap();
    assert_eq!(engine.get(KS, "a").await.unwrap_err().find_source(), Some(&EngineError::Stopped));
}

/// A list by which joining never ends, and leaving not for the first times; it counts how often that was tried.
#[derive(Debug)]
struct Slow {
    list: StaticMembership,
    leaves: AtomicU32,
    hangs: u32,
}

impl Slow {
    fn hanging(hangs: u32) -> Arc<Self> {
        Arc::new(Self { list: StaticMembership::new(me(), []), leaves: AtomicU32::new(0), hangs })
    }
}

#[async_trait]
impl Membership for Slow {
    fn id(&self) -> NodeId {
        self.list.id()
    }

    fn members(&self) -> Members {
        self.list.members()
    }

    fn watch(&self) -> watch::Receiver<Members> {
        self.list.watch()
    }

    fn contact(&self) -> Option<Tick> {
        None
    }

    async fn join(&self) -> Result<()> {
        std::future::pending().await
    }

    fn set_state(&self, state: MemberState) {
        self.list.set_state(state);
    }

    async fn leave(&self) -> Result<()> {
        if self.leaves.fetch_add(1, SeqCst) < self.hangs {
            std::future::pending::<()>().await;
        }
        self.list.leave().await
    }
}

fn engine_of(membership: &Arc<Slow>, bind: std::net::SocketAddr) -> Engine {
    let cluster = ClusterConfig::new("test", me(), Arc::clone(membership)).bind(bind).insecure();
    let cluster = cluster.bootstrap_timeout(millis(200));
    let keyspace = KeySpace::builder(KS).build().unwrap();
    Engine::builder().keyspace(keyspace).cluster(cluster).shutdown_timeout(secs(5)).build().unwrap()
}

#[tokio::test]
async fn a_node_that_cannot_listen_leaves_its_cluster() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let membership = Slow::hanging(0);
    let engine = engine_of(&membership, taken.local_addr().unwrap());
    assert_eq!(engine.start().await.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!((membership.leaves.load(SeqCst), membership.members().len()), (1, 0));
}

#[tokio::test]
async fn with_a_quorum_a_node_starts_though_nobody_answers_in_time() {
    let membership = Slow::hanging(0);
    let engine = engine_of(&membership, "127.0.0.1:0".parse().unwrap());
    engine.start().await.unwrap();
    engine.put(KS, "k", "v").await.unwrap();
    engine.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_that_is_dropped_can_be_repeated_and_leaves_nothing_behind() {
    let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let membership = Slow::hanging(1);
    let engine = engine_of(&membership, at);
    engine.start().await.unwrap();
    assert!(timeout(millis(100), engine.stop()).await.is_err());
    assert_eq!((membership.leaves.load(SeqCst), membership.members().len()), (1, 1));
    engine.stop().await.unwrap();
    assert_eq!((membership.leaves.load(SeqCst), membership.members().len()), (2, 0));
    is_free(at).await;
    assert_eq!(engine.get(KS, "k").await.unwrap_err().find_source(), Some(&EngineError::Stopped));
}
