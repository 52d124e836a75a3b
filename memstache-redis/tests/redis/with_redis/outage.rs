//! Servers that hang, are cut off or are not there yet.

use std::time::{Duration, Instant};

use memstache_core::ErrorKind;
use tokio::net::TcpListener;

use super::{kit, own::Server, proxy::Proxy};

fn quick(url: &str) -> memstache_redis::RedisBuilder {
    let millis = Duration::from_millis;
    kit::builder(url).read_timeout(millis(200)).write_timeout(millis(200)).reconnect_backoff(millis(10), millis(100))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_come_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let store = quick(&format!("redis://127.0.0.1:{port}")).build().unwrap();
    for _ in 0..8 {
        let error = kit::get(&store, "k").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}");
        assert!(error.is_retryable());
    }
    assert!(!store.health().await.is_up());
    assert!(store.ready(Duration::from_millis(50)).await.is_err());
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let _proxy = Proxy::listen(listener, kit::address(&kit::single()));
    kit::until("the store has found its server", async || kit::set(&store, "k", "v").await.is_ok()).await;
    assert_eq!(kit::get(&store, "k").await.unwrap().as_deref(), Some(&b"v"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_hangs_is_made_anew() {
    let proxy = Proxy::start(kit::address(&kit::single())).await;
    let store = kit::store(quick(&proxy.url())).await;
    kit::set(&store, "k", "v").await.unwrap();
    proxy.stall_existing();
    kit::until("reads work again", async || kit::get(&store, "k").await.is_ok()).await;
    assert!(store.stats().watchdog_reconnects >= 1, "{:?}", store.stats());
}

/// The numbers of the connections of a name.
async fn connections(server: &Server, name: &str) -> Vec<u64> {
    let list = server.call(&["CLIENT", "LIST"]).await.expect("it answers");
    let named = list.lines().filter(|line| line.contains(&format!(" name={name} ")));
    let ids = named.filter_map(|line| line.split(' ').find_map(|word| word.split("id=").nth(1)));
    ids.map(|id| id.parse().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_paused_is_seen_to_hang_and_connected_to_anew() {
    let server = Server::start(&[]).await;
    let store = kit::store(quick(&server.url()).client_name("hung")).await;
    kit::set(&store, "k", "v").await.unwrap();
    kit::until("connections are named", async || !connections(&server, "hung").await.is_empty()).await;
    let before = connections(&server, "hung").await;
    assert_eq!(store.stats().watchdog_reconnects, 0);
    server.pause().await;
    #[expect(clippy::disallowed_methods, reason = "the server's own time is real")]
    let paused = Instant::now();
    kit::until("it is seen", async || {
        assert!(kit::get(&store, "k").await.is_err());
        store.stats().watchdog_reconnects >= 1
    })
    .await;
    assert!(paused.elapsed() < Duration::from_secs(3), "seen after {:?}", paused.elapsed());
    server.resume().await;
    kit::until("reads work again", async || kit::get(&store, "k").await.is_ok()).await;
    let renewed = async || {
        let now = connections(&server, "hung").await;
        !now.is_empty() && now.iter().all(|id| !before.contains(id))
    };
    kit::until("all connections are new", renewed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_not_waited_for_and_comes_back() {
    let proxy = Proxy::start(kit::address(&kit::single())).await;
    let store = kit::store(quick(&proxy.url())).await;
    kit::set(&store, "k", "v").await.unwrap();
    proxy.cut();
    kit::until("the breaker is open", async || {
        assert!(kit::get(&store, "k").await.is_err());
        store.stats().breakers_open == 1
    })
    .await;
    #[expect(clippy::disallowed_methods, reason = "it is real time that callers must not lose")]
    let started = Instant::now();
    for _ in 0..100 {
        let error = kit::set(&store, "k", "w").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "not sent, so not unknown");
    }
    assert!(started.elapsed() < Duration::from_secs(1), "a hundred refusals took {:?}", started.elapsed());
    proxy.heal();
    kit::until("reads work again", async || kit::get(&store, "k").await.is_ok()).await;
    assert_eq!(store.stats().breakers_open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_server_that_is_gone_is_bounded() {
    let proxy = Proxy::start(kit::address(&kit::single())).await;
    let store = kit::store(quick(&proxy.url()).max_queued(16)).await;
    proxy.cut();
    let mut writes = tokio::task::JoinSet::new();
    for at in 0..2_000 {
        let store = store.clone();
        writes.spawn(async move { kit::set(&store, &at.to_string(), "v").await.map_err(|error| error.kind()) });
    }
    let ends = writes.join_all().await;
    let count = |kind| ends.iter().filter(|end| **end == Err(kind)).count();
    assert!(ends.iter().all(Result::is_err), "nobody is there");
    let refused = count(ErrorKind::Overloaded) + count(ErrorKind::Unavailable);
    assert!(refused > 1_000, "{refused} of 2,000 were refused at once");
    assert!(count(ErrorKind::Overloaded) > 0, "the queue was never full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_cut_off_is_unknown_and_cannot_come_late() {
    let proxy = Proxy::start(kit::address(&kit::single())).await;
    let builder = quick(&kit::single()).prefix(&kit::prefix());
    let direct = kit::store(builder.clone()).await;
    // The same prefix through the relay.
    let shown = format!("{builder:?}");
    let prefix = shown.split("prefix: \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let hung = kit::store(quick(&proxy.url()).prefix(&prefix)).await;
    kit::set(&hung, "k", "v0").await.unwrap();
    assert_eq!(kit::get(&direct, "k").await.unwrap().as_deref(), Some(&b"v0"[..]), "one prefix, one cache");
    proxy.stall();
    assert_eq!(kit::set(&hung, "k", "v1").await.unwrap_err().kind(), ErrorKind::Unknown);
    assert_eq!(kit::remove(&hung, "gone").await.unwrap_err().kind(), ErrorKind::Unknown);
    kit::remove(&direct, "k").await.unwrap();
    kit::set(&direct, "k", "v2").await.unwrap();
    kit::set(&direct, "gone", "v2").await.unwrap();
    proxy.resume();
    kit::until("what was held back has arrived", async || kit::get(&hung, "k").await.is_ok()).await;
    for store in [&direct, &hung] {
        assert_eq!(kit::get(store, "k").await.unwrap().as_deref(), Some(&b"v2"[..]), "v1 came late");
        assert_eq!(kit::get(store, "gone").await.unwrap().as_deref(), Some(&b"v2"[..]), "a removal came late");
    }
}
