//! Writes that go out as one command.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use memstache_core::{
    Get, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Scope, Set, SetItem, Store, Tag, Tags, When, Written,
};
use memstache_redis::RedisStore;

use super::{kit, own::Server};

/// Values that are put together with their heads by the server, and values that are not.
const SIZES: [usize; 2] = [16, 4_096];

fn item(name: &str, value: impl Into<Bytes>, when: When) -> SetItem {
    SetItem { address: kit::key(name), entry: NewEntry::new(value, Lifetime::UNLIMITED), when }
}

async fn set(store: &RedisStore, items: Vec<SetItem>) -> Vec<bool> {
    let written = store.set(Set { items: OneOrMany::Many(items), scope: Scope::default() }).await.expect("answered");
    written.into_iter().map(|written| matches!(written.expect("the server is there"), Written::Stored(_))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_name_a_key_twice() {
    for url in [kit::single(), kit::url("MEMSTACHE_REDIS_CLUSTER_URL")] {
        let store = kit::store(kit::builder(&url)).await;
        for size in SIZES {
            let value = |letter: &str| Bytes::from(letter.repeat(size));
            let name = |name: &str| format!("{name}{size}");
            let mut leased = Get::one(kit::key(&name("leased")));
            leased.on_miss = OnMiss::Lease;
            let Lookup::Leased(lease) = store.get(leased).await.unwrap().into_one().unwrap().unwrap() else {
                panic!("nothing is there")
            };
            let items = vec![
                item(&name("k"), value("a"), When::Always),
                item(&name("k"), value("b"), When::IfAbsent),
                item(&name("k"), value("c"), When::Always),
                item(&name("new"), value("d"), When::IfAbsent),
                item(&name("new"), value("e"), When::IfAbsent),
                item(&name("gone"), value("f"), When::IfPresent),
                item(&name("leased"), value("g"), When::IfLease(lease.id)),
                // The lease ended with the first of them; it is taken for that one, sent again.
                item(&name("leased"), value("h"), When::IfLease(lease.id)),
            ];
            let stored = set(&store, items).await;
            assert_eq!(stored, [true, false, true, true, false, false, true, true], "{size} bytes over {url}");
            for (key, letter) in [("k", Some("c")), ("new", Some("d")), ("gone", None), ("leased", Some("g"))] {
                let found = kit::get(&store, &name(key)).await.unwrap();
                assert_eq!(found, letter.map(value), "{key}, {size} bytes over {url}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tag_hides_counts_as_absent_whatever_its_size() {
    let store = kit::store(kit::builder(&kit::single())).await;
    for size in SIZES {
        let red = Tag::new(format!("red{size}")).unwrap();
        let absent = |letter: &str, tags| {
            let mut item = item(&format!("k{size}"), letter.repeat(size), When::IfAbsent);
            item.entry.tags = tags;
            vec![item]
        };
        let tags = || Tags::new([red.clone()]).unwrap();
        assert_eq!(set(&store, absent("a", tags())).await, [true]);
        assert_eq!(set(&store, absent("b", tags())).await, [false]);
        let target = memstache_core::Target::Tag(kit::key("k").space(), red.clone());
        store.invalidate(memstache_core::Invalidate::one(target)).await.unwrap().into_one().unwrap().unwrap();
        assert_eq!(set(&store, absent("c", Tags::NONE)).await, [true], "{size} bytes");
        let found = kit::get(&store, &format!("k{size}")).await.unwrap();
        assert_eq!(found, Some(Bytes::from("c".repeat(size))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_somebody_else_fails_nobody() {
    let prefix = kit::prefix();
    let store = kit::store(kit::builder(&kit::single()).prefix(&prefix)).await;
    for size in SIZES {
        let write = || ["k", "l"].map(|name| item(name, "v".repeat(size), When::Always)).into();
        assert_eq!(set(&store, write()).await, [true, true]);
        let keys = kit::raw(&["KEYS", &format!("{prefix}v*items:k")]).await;
        let key = keys.lines().last().expect("it is there");
        kit::raw(&["DEL", key]).await;
        assert_eq!(kit::raw(&["LPUSH", key, "x"]).await, ":1");
        assert_eq!(set(&store, write()).await, [true, true], "{size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_take_few_commands_and_each_is_its_own() {
    let server = Server::start(&[]).await;
    let store = kit::store(kit::builder(&server.url())).await;
    let calls = async || {
        let stats = server.call(&["INFO", "commandstats"]).await.expect("it answers");
        let calls = stats.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
        calls.map_or(0, |calls| calls.parse::<usize>().expect("a number"))
    };
    let before = calls().await;
    let write = async |number: usize| {
        let (name, value) = (number.to_string(), number.to_string().repeat(1 + number % 300));
        let entry = NewEntry::new(value.clone(), Lifetime::UNLIMITED);
        let stored = store.set(Set::one(kit::key(&name), entry)).await.unwrap().into_one().unwrap();
        assert!(matches!(stored, Ok(Written::Stored(_))), "{stored:?}");
        assert_eq!(kit::get(&store, &name).await.unwrap(), Some(Bytes::from(value)));
    };
    tokio::time::timeout(Duration::from_secs(30), join_all((0..1_000).map(write))).await.expect("in time");
    let taken = calls().await - before;
    assert!(taken < 250, "{taken} commands for a thousand writes");
}
