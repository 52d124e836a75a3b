//! What a start refuses, and what it undoes.

use memstache_cluster::{ClusterConfig, Engine, EngineError, KeySpace, Member, membership::StaticMembership};
use memstache_core::ErrorKind;

use crate::kit::*;

fn me() -> Member {
    Member::at("127.0.0.1:3320".parse().unwrap())
}

fn config() -> ClusterConfig {
    ClusterConfig::new("test", me(), StaticMembership::new(me(), [])).bind("127.0.0.1:0".parse().unwrap()).insecure()
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let other = Member::at("127.0.0.1:1".parse().unwrap());
    let cluster = ClusterConfig::new("", me(), StaticMembership::new(other, []))
        .bootstrap_timeout(secs(0))
        .join_retry_interval(secs(0))
        .max_join_attempts(0)
        .minimum_peers_quorum(0);
    let error = Engine::builder().cluster(cluster).read_timeout(secs(0)).build().unwrap_err().to_string();
    for part in [
        "read_timeout must be above zero",
        "bootstrap_timeout must be above zero",
        "join_retry_interval must be above zero",
        "max_join_attempts must be 1 to 1000, but 0 was given",
        "minimum_peers_quorum must be 1 to 65535, but 0 was given",
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
    std::net::TcpListener::bind(taken).expect("nobody listens any more");
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
