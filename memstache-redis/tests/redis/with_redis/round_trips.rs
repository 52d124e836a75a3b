//! How many commands reads take, as their server counts them.

use std::time::Duration;

use memstache_core::{Get, Lifetime, Lookup, NewEntry, OnMiss, Set, Store};
use memstache_redis::RedisStore;

use super::{kit, own::Server};

/// Plain reads and scripts that a server was asked for.
async fn asked(server: &Server) -> (usize, usize) {
    let stats = server.call(&["INFO", "commandstats"]).await.expect("it answers");
    let calls = |command: &str| {
        let calls = stats.split(&format!("cmdstat_{command}:calls=")).nth(1).and_then(|rest| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse::<usize>().expect("a number"))
    };
    // Scripts count their own reads as well: `set` one each, `get` none.
    (calls("mget"), calls("evalsha"))
}

async fn look(store: &RedisStore, name: &str, on_miss: OnMiss) -> Lookup {
    let mut get = Get::one(kit::key(name));
    get.on_miss = on_miss;
    store.get(get).await.expect("answered").into_one().expect("one answer").expect("the server is there")
}

#[tokio::test]
async fn a_miss_with_its_lease_is_one_round_trip_where_misses_are_common() {
    let server = Server::start(&[]).await;
    let store = kit::store(kit::builder(&server.url())).await;
    kit::set(&store, "there", "v").await.unwrap();
    let before = asked(&server).await;
    for number in 0..100 {
        let found = look(&store, &number.to_string(), OnMiss::Lease).await;
        assert!(matches!(found, Lookup::Leased(_)), "{found:?}");
    }
    let after = asked(&server).await;
    assert_eq!(after.1 - before.1, 100, "one script each");
    assert!(after.0 - before.0 <= 3, "{} plain reads in vain", after.0 - before.0);
    // Those who do not want to load are another matter: a miss is a plain read.
    let before = asked(&server).await;
    for number in 0..10 {
        assert!(matches!(look(&store, &format!("m{number}"), OnMiss::Report).await, Lookup::Miss));
    }
    let after = asked(&server).await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (10, 0));
    // Nor is it held against the keyspace once reads hit again.
    let before = asked(&server).await;
    for _ in 0..30 {
        assert!(matches!(look(&store, "there", OnMiss::Lease).await, Lookup::Hit(_)));
    }
    let after = asked(&server).await;
    let scripts = after.1 - before.1;
    assert!((1..=12).contains(&scripts), "{scripts} scripts for 30 hits");
    assert_eq!(after.0 - before.0 + scripts, 30, "one command each");
}

#[tokio::test]
async fn a_sliding_entry_is_extended_by_the_read_where_that_is_common() {
    let server = Server::start(&[]).await;
    let store = kit::store(kit::builder(&server.url())).await;
    let window = Duration::from_millis(2_000);
    let lifetime = Lifetime::UNLIMITED.with_ttl(Duration::from_secs(60)).unwrap().with_sliding(window).unwrap();
    for number in 0..40 {
        let entry = NewEntry::new("v", lifetime);
        store.set(Set::one(kit::key(&number.to_string()), entry)).await.unwrap();
    }
    // Till a tenth of each window is over, by the server's own clock.
    let key = kit::key("39");
    let left = async || {
        let found = server.call(&["KEYS", "*v{*items:39"]).await.expect("it answers");
        let name = found.lines().last().expect("it is there").to_owned();
        let left = server.call(&["PTTL", &name]).await.expect("it answers");
        left.trim_start_matches(':').parse::<u128>().expect("ms")
    };
    kit::until("the windows are used", async || left().await < window.as_millis() * 8 / 10).await;
    let before = asked(&server).await;
    for number in 0..40 {
        let found = look(&store, &number.to_string(), OnMiss::Report).await;
        assert!(matches!(found, Lookup::Hit(_)), "{found:?}");
    }
    let after = asked(&server).await;
    assert_eq!(after.1 - before.1, 40, "each was extended");
    assert!(after.0 - before.0 <= 3, "{} plain reads in vain", after.0 - before.0);
    assert!(left().await > window.as_millis() * 9 / 10, "{key:?}");
}
