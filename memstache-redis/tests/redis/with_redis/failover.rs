//! Writes that a primary has in its socket which is paused and replaced: what their client has given up is never seen.

use std::time::Duration;

use memstache_core::ErrorKind;
use memstache_redis::RedisStore;

use super::{kit, own::Server};

const PAUSE: Duration = Duration::from_millis(200);
const SLOTS: usize = 16_384;

/// Gives writes up soon.
async fn hasty(url: &str, prefix: &str) -> RedisStore {
    let millis = Duration::from_millis;
    let builder = kit::builder(url).prefix(prefix).read_timeout(PAUSE).write_timeout(PAUSE);
    kit::store(builder.reconnect_backoff(millis(10), millis(50))).await
}

async fn patient(url: &str, prefix: &str) -> RedisStore {
    kit::store(kit::builder(url).prefix(prefix)).await
}

async fn seen(store: &RedisStore) -> Option<String> {
    let value = kit::get(store, "k").await.expect("the servers are there");
    value.map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// Stores `v0`, pauses who has it, and gives `v1` up.
async fn give_up(writer: &RedisStore, primary: &Server) {
    kit::set(writer, "k", "v0").await.expect("stored");
    let copied = async || primary.call(&["WAIT", "1", "1000"]).await.is_some_and(|copies| copies == ":1");
    kit::until("a replica has it", copied).await;
    primary.pause().await;
    assert_eq!(kit::set(writer, "k", "v1").await.expect_err("nobody answers").kind(), ErrorKind::Unknown);
}

/// Removes the key and stores `v2`, as soon as somebody takes it.
async fn move_on(store: &RedisStore) {
    kit::until("somebody has taken over", async || kit::remove(store, "k").await.is_ok()).await;
    assert_ne!(seen(store).await.as_deref(), Some("v1"));
    kit::until("it is stored", async || kit::set(store, "k", "v2").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sentinels_what_was_given_up_is_not_seen_after_a_failover() {
    let primary = Server::start(&[]).await;
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = Server::start(&["--replicaof", &of]).await;
    let sentinel = Server::sentinel(&primary).await;
    let knows = async || sentinel.call(&["SENTINEL", "REPLICAS", "main"]).await.is_some_and(|it| it.starts_with("*1"));
    kit::until("the sentinel knows the replica", knows).await;
    let (url, prefix) = (format!("redis-sentinel://{}?service=main", sentinel.address()), kit::prefix());
    let writer = hasty(&url, &prefix).await;
    give_up(&writer, &primary).await;
    move_on(&writer).await;
    let took_over = replica.call(&["ROLE"]).await.is_some_and(|role| role.contains("master"));
    assert!(took_over, "v2 was stored by the replica");
    primary.resume().await;
    // By its own account it is a primary yet: sentinels take their time to tell it.
    let old = patient(&primary.url(), &prefix).await;
    assert_eq!(seen(&old).await.as_deref(), Some("v0"), "v1 came late");
    let port = replica.port().to_string();
    assert_eq!(primary.call(&["REPLICAOF", "127.0.0.1", &port]).await.as_deref(), Some("+OK"));
    let follows = async || {
        assert_eq!(seen(&writer).await.as_deref(), Some("v2"));
        kit::get(&old, "k").await.is_ok_and(|value| value.is_some_and(|value| &value[..] == b"v2"))
    };
    kit::until("the old primary follows", follows).await;
    assert_eq!(seen(&patient(&url, &prefix).await).await.as_deref(), Some("v2"));
}

/// Three primaries, with a replica of each.
async fn cluster() -> Vec<Server> {
    let mut members = Vec::new();
    for _ in 0..6 {
        members.push(Server::member().await);
    }
    let mut ids = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let epoch = (at + 1).to_string();
        assert_eq!(member.call(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await.as_deref(), Some("+OK"));
        if at < 3 {
            let (first, last) = ((SLOTS * at / 3).to_string(), (SLOTS * (at + 1) / 3 - 1).to_string());
            member.call(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await.expect("it answers");
        }
        let id = member.call(&["CLUSTER", "MYID"]).await.expect("it answers");
        ids.push(id.lines().last().expect("an id").to_owned());
    }
    for (at, member) in members.iter().enumerate() {
        for other in &members[at + 1..] {
            let bus = other.call(&["CONFIG", "GET", "cluster-port"]).await.expect("it answers");
            let (port, bus) = (other.port().to_string(), bus.lines().last().expect("a port").to_owned());
            assert_eq!(member.call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await.as_deref(), Some("+OK"));
        }
    }
    for (member, of) in members[3..].iter().zip(&ids) {
        let follows = async || member.call(&["CLUSTER", "REPLICATE", of]).await.as_deref() == Some("+OK");
        kit::until("a replica has met its primary", follows).await;
    }
    for member in &members {
        let well = async || {
            let info = member.call(&["CLUSTER", "INFO"]).await.unwrap_or_default();
            let nodes = member.call(&["CLUSTER", "NODES"]).await.unwrap_or_default();
            let replication = member.call(&["INFO", "replication"]).await.unwrap_or_default();
            let linked = !replication.contains("role:slave") || replication.contains("link_status:up");
            info.contains("cluster_state:ok") && nodes.matches("slave ").count() == 3 && linked
        };
        kit::until("the cluster is well", well).await;
    }
    members
}

/// Which primary has the key.
async fn owner(members: &[Server], prefix: &str) -> usize {
    for (at, member) in members[..3].iter().enumerate() {
        if member.call(&["KEYS", &format!("{prefix}v*")]).await.is_some_and(|keys| keys.contains(prefix)) {
            return at;
        }
    }
    panic!("nobody has it")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_what_was_given_up_is_not_seen_after_a_failover_or_a_pause() {
    let (members, prefix) = (cluster().await, kit::prefix());
    let url = format!("redis-cluster://{}?node={}", members[1].address(), members[2].address());
    let writer = hasty(&url, &prefix).await;
    kit::set(&writer, "k", "v0").await.expect("stored");
    let owner = owner(&members, &prefix).await;

    // It is not gone for long enough to be replaced, and has what was sent in its socket.
    give_up(&writer, &members[owner]).await;
    members[owner].resume().await;
    let reader = patient(&url, &prefix).await;
    assert_eq!(seen(&reader).await.as_deref(), Some("v0"), "v1 came late");
    move_on(&writer).await;
    assert_eq!(seen(&reader).await.as_deref(), Some("v2"));

    give_up(&writer, &members[owner]).await;
    let took_over = async || {
        let role = members[owner + 3].call(&["ROLE"]).await;
        role.is_some_and(|role| role.contains("master"))
    };
    kit::until("the replica takes over", took_over).await;
    move_on(&writer).await;
    members[owner].resume().await;
    let follows = async || {
        assert_eq!(seen(&writer).await.as_deref(), Some("v2"));
        // Who does not know of the failover yet may still be told what was true before it.
        assert_ne!(kit::get(&reader, "k").await.ok().flatten().as_deref(), Some(&b"v1"[..]), "v1 came late");
        members[owner].call(&["ROLE"]).await.is_some_and(|role| role.contains("slave"))
    };
    kit::until("the old primary follows", follows).await;
    let told = async || kit::get(&reader, "k").await.is_ok_and(|value| value.is_some_and(|value| &value[..] == b"v2"));
    kit::until("everybody knows", told).await;
}
