//! Writes that a paused server has in its socket: what their client has given up is not seen when it resumes.

use std::time::Duration;

use memstache_core::ErrorKind;
use memstache_redis::{RedisBuilder, RedisStore};

use super::{kit, own::Server};

const PAUSE: Duration = Duration::from_millis(200);

/// Gives writes up soon.
fn hasty(server: &Server, prefix: &str) -> RedisBuilder {
    let builder = kit::builder(&server.url()).prefix(prefix).read_timeout(PAUSE).write_timeout(PAUSE);
    builder.reconnect_backoff(Duration::from_millis(10), Duration::from_millis(50))
}

fn patient(server: &Server, prefix: &str) -> RedisBuilder {
    kit::builder(&server.url()).prefix(prefix)
}

async fn seen(store: &RedisStore, name: &str) -> Option<String> {
    let value = kit::get(store, name).await.expect("the server is back");
    value.map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// A server with `v0`, paused for so long that who sends `v1`, and a removal, gives up.
async fn given_up(server: &Server, prefix: &str) -> RedisStore {
    let writer = kit::store(hasty(server, prefix)).await;
    for name in ["k", "kept"] {
        kit::set(&writer, name, "v0").await.expect("stored");
    }
    server.pause().await;
    let (set, removed) = tokio::join!(kit::set(&writer, "k", "v1"), kit::remove(&writer, "kept"));
    assert_eq!(set.expect_err("nobody answers").kind(), ErrorKind::Unknown);
    assert_eq!(removed.expect_err("nobody answers").kind(), ErrorKind::Unknown);
    writer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_not_seen_when_the_server_resumes() {
    let (server, prefix) = (Server::start(&[]).await, kit::prefix());
    let writer = given_up(&server, &prefix).await;
    server.resume().await;
    let other = kit::store(patient(&server, &prefix)).await;
    assert_eq!(seen(&other, "k").await.as_deref(), Some("v0"), "v1 came late");
    assert_eq!(seen(&other, "kept").await.as_deref(), Some("v0"), "a removal came late");
    kit::remove(&other, "k").await.expect("removed");
    assert_eq!(seen(&other, "k").await, None);
    kit::set(&other, "k", "v2").await.expect("stored");
    kit::until("the writer is back", async || kit::get(&writer, "k").await.is_ok()).await;
    for store in [&writer, &other] {
        assert_eq!(seen(store, "k").await.as_deref(), Some("v2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_come_after_who_took_over_has_moved_on() {
    let (primary, prefix) = (Server::start(&[]).await, kit::prefix());
    let (host, port) = (String::from("127.0.0.1"), primary.address().split(':').nth(1).expect("a port").to_owned());
    let replica = Server::start(&["--replicaof", &format!("{host} {port}")]).await;
    let in_sync = async || replica.call(&["INFO", "replication"]).await.is_some_and(|it| it.contains("link_status:up"));
    kit::until("the replica is in sync", in_sync).await;
    let writer = kit::store(hasty(&primary, &prefix)).await;
    kit::set(&writer, "k", "v0").await.expect("stored");
    let copied = async || replica.call(&["DBSIZE"]).await == primary.call(&["DBSIZE"]).await;
    kit::until("the replica has it", copied).await;
    primary.pause().await;
    let set = kit::set(&writer, "k", "v1").await;
    assert_eq!(set.expect_err("nobody answers").kind(), ErrorKind::Unknown);
    assert_eq!(replica.call(&["REPLICAOF", "NO", "ONE"]).await.as_deref(), Some("+OK"));
    let after = kit::store(patient(&replica, &prefix)).await;
    assert_eq!(seen(&after, "k").await.as_deref(), Some("v0"));
    kit::remove(&after, "k").await.expect("removed");
    kit::set(&after, "k", "v2").await.expect("stored");
    // The old primary does not know yet that it is none.
    primary.resume().await;
    let old = kit::store(patient(&primary, &prefix)).await;
    assert_eq!(seen(&old, "k").await.as_deref(), Some("v0"), "v1 came late");
    assert_eq!(seen(&after, "k").await.as_deref(), Some("v2"));
    // It follows: whoever asks it gets what the other has.
    let (host, port) = (host.as_str(), replica.address().split(':').nth(1).expect("a port").to_owned());
    assert_eq!(primary.call(&["REPLICAOF", host, &port]).await.as_deref(), Some("+OK"));
    let follows = async || kit::get(&old, "k").await.is_ok_and(|value| value.is_some_and(|value| &value[..] == b"v2"));
    kit::until("it follows", follows).await;
}
