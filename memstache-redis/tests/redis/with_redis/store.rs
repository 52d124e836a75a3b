//! What the suite of all stores does not ask.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{
    Address, ErrorKind, Explain, Get, Invalidate, KeyspaceName, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Reason,
    Scope, Set, SetItem, Space, Store, Tag, Tags, Target, TenantId, When, Written,
};
use memstache_redis::OnOversize;

use super::kit;

#[tokio::test]
async fn nothing_is_stored_without_an_end() {
    let prefix = kit::prefix();
    let builder = kit::builder(&kit::single()).prefix(&prefix);
    let store = kit::store(builder.max_ttl(Duration::from_secs(60)).tombstone_ttl(Duration::from_secs(5))).await;
    kit::set(&store, "kept", "v").await.unwrap();
    kit::set(&store, "removed", "v").await.unwrap();
    kit::remove(&store, "removed").await.unwrap();
    let mut leased = Get::one(kit::key("leased"));
    leased.on_miss = OnMiss::Lease;
    store.get(leased).await.unwrap();
    let space = kit::key("kept").space();
    store.invalidate(Invalidate::one(Target::Tag(space, Tag::new("red").unwrap()))).await.unwrap();

    let found = kit::raw(&[
        "EVAL",
        &format!(
            "local out = {{}} for _, key in ipairs(redis.call('KEYS', '{prefix}*')) do \
         out[#out + 1] = string.sub(key, {}, {}) .. '=' .. redis.call('PTTL', key) end return table.concat(out, ' ')",
            prefix.len() + 1,
            prefix.len() + 1,
        ),
        "0",
    ])
    .await;
    let found: Vec<_> = found.lines().last().unwrap().split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    let mut kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["l", "m", "n", "s", "t", "v", "v"], "entry, tombstone, lease, line and its extracts, tags");
    for (kind, left) in found {
        let left: i64 = left.parse().unwrap();
        assert!(left > 0, "a key of kind {kind} has no end");
        assert!(kind != "v" || left <= 60_000, "{left} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_give_the_reason() {
    for url in [kit::single(), kit::url("MEMSTACHE_REDIS_CLUSTER_URL")] {
        let store = kit::store(kit::builder(&url)).await;
        let why = async |name: &str| {
            let mut tiers = store.explain(Explain::one(kit::key(name))).await.unwrap().into_one().unwrap().unwrap();
            let report = tiers.remove(0);
            assert_eq!((&*report.tier, tiers.len()), ("redis", 0));
            (report.reason, report.entry.map(|entry| entry.value), report.loading)
        };
        let (space, red) = (kit::key("k").space(), || Tag::new("red").unwrap());
        let held = || Some(Bytes::from("v"));
        assert_eq!(why("k").await, (Some(Reason::NotHeld), None, false));
        let mut leased = Get::one(kit::key("k"));
        leased.on_miss = OnMiss::Lease;
        assert!(matches!(store.get(leased).await.unwrap().into_one().unwrap(), Ok(Lookup::Leased(_))));
        assert_eq!(why("k").await, (Some(Reason::NotHeld), None, true));
        kit::set(&store, "k", "v").await.unwrap();
        assert_eq!(why("k").await, (None, held(), false));
        kit::remove(&store, "k").await.unwrap();
        assert_eq!(why("k").await, (Some(Reason::Removed), None, false));
        let entry = NewEntry::new("v", Lifetime::UNLIMITED).with_tags(Tags::new([red()]).unwrap());
        store.set(Set::one(kit::key("k"), entry)).await.unwrap().into_one().unwrap().unwrap();
        assert_eq!(why("k").await, (None, held(), false));
        store.invalidate(Invalidate::one(Target::Tag(space.clone(), red()))).await.unwrap();
        assert_eq!(why("k").await, (Some(Reason::Tag), held(), false));
        kit::set(&store, "k", "v").await.unwrap();
        store.invalidate(Invalidate::one(Target::Space(space))).await.unwrap();
        assert_eq!(why("k").await, (Some(Reason::Cleared), held(), false));
    }
}

#[tokio::test]
async fn large_values_are_errors_or_skipped() {
    let builder = kit::builder(&kit::single()).max_value_bytes(10);
    let strict = kit::store(builder.clone()).await;
    kit::set(&strict, "k", "old").await.unwrap();
    let error = kit::set(&strict, "k", "12345678901").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.to_string(), "value must be at most 10 bytes long, but 11 bytes was given");
    assert_eq!(kit::get(&strict, "k").await.unwrap(), None, "the old value was said to be wrong");

    let lenient = kit::store(builder.on_oversize(OnOversize::Skip)).await;
    kit::set(&lenient, "k", "old").await.unwrap();
    assert!(matches!(kit::set(&lenient, "k", "12345678901").await.unwrap(), Written::Stored(_)));
    assert_eq!(kit::get(&lenient, "k").await.unwrap(), None);
    assert_eq!(lenient.stats().oversized, 1);
}

#[tokio::test]
async fn writes_under_way_are_bounded_in_bytes() {
    let builder = kit::builder(&kit::single()).max_value_bytes(1024).max_in_flight_bytes(2048);
    let store = kit::store(builder).await;
    let item = |at: usize| SetItem {
        address: kit::key(&at.to_string()),
        entry: NewEntry::new(vec![7; 1000], Lifetime::UNLIMITED),
        when: When::Always,
    };
    let op = Set { items: OneOrMany::Many((0..3).map(item).collect()), scope: Scope::default() };
    let stored = store.set(op).await.unwrap();
    assert!(stored.iter().all(|item| item.as_ref().is_err_and(|error| error.kind() == ErrorKind::Overloaded)));
    let op = Set { items: OneOrMany::Many((0..1).map(item).collect()), scope: Scope::default() };
    assert!(store.set(op).await.unwrap().iter().all(Result::is_ok), "the room is given back");
}

#[tokio::test]
async fn forgotten_tags_hide_what_they_could_have_hidden() {
    let store = kit::store(kit::builder(&kit::single()).max_tags(16)).await;
    let space = kit::key("k").space();
    let tag = |n: usize| Tag::new(format!("tag {n}")).unwrap();
    let set = async |name: &str, tags: Tags| {
        let entry = NewEntry::new("v", Lifetime::UNLIMITED).with_tags(tags);
        store.set(Set::one(kit::key(name), entry)).await.unwrap().into_one().unwrap().unwrap();
    };
    set("plain", Tags::NONE).await;
    set("red", Tags::new([Tag::new("red").unwrap()]).unwrap()).await;
    set("hit", Tags::new([tag(3)]).unwrap()).await;
    let invalidate = async |n: usize| {
        store.invalidate(Invalidate::one(Target::Tag(space.clone(), tag(n)))).await.unwrap();
    };
    for n in 0..20 {
        invalidate(n).await;
    }
    assert_eq!(kit::get(&store, "hit").await.unwrap(), None);
    assert!(kit::get(&store, "red").await.unwrap().is_some(), "two generations are remembered");
    for n in 20..80 {
        invalidate(n).await;
    }
    assert_eq!(kit::get(&store, "hit").await.unwrap(), None, "forgotten is not forgiven");
    assert_eq!(kit::get(&store, "red").await.unwrap(), None, "nobody knows any more");
    assert!(kit::get(&store, "plain").await.unwrap().is_some(), "it has no tags");
    set("red", Tags::new([tag(3)]).unwrap()).await;
    assert!(kit::get(&store, "red").await.unwrap().is_some(), "what is new is seen");
}

#[tokio::test]
async fn a_lost_line_hides_everything_that_came_before() {
    let prefix = kit::prefix();
    let store = kit::store(kit::builder(&kit::single()).prefix(&prefix)).await;
    kit::set(&store, "k", "v").await.unwrap();
    assert!(kit::get(&store, "k").await.unwrap().is_some());
    lose(&prefix, "smn").await;
    assert_eq!(kit::get(&store, "k").await.unwrap(), None, "what hid it is not known any more");
    kit::set(&store, "k", "w").await.unwrap();
    assert!(kit::get(&store, "k").await.unwrap().is_some());
}

/// Deletes all keys of some kinds, as an eviction might.
async fn lose(prefix: &str, kinds: &str) {
    let script = format!(
        "for _, key in ipairs(redis.call('KEYS', '{prefix}[{kinds}]*')) do redis.call('DEL', key) end return 1"
    );
    assert_eq!(kit::raw(&["EVAL", &script, "0"]).await, ":1");
}

#[tokio::test]
async fn no_part_of_a_line_that_is_lost_shows_what_was_hidden() {
    for kinds in ["m", "n", "mn", "s", "sm", "sn", "tu", "stu"] {
        let prefix = kit::prefix();
        let store = kit::store(kit::builder(&kit::single()).prefix(&prefix)).await;
        let (space, red) = (kit::key("k").space(), || Tags::new([Tag::new("red").unwrap()]).unwrap());
        let set = async |name: &str| {
            let entry = NewEntry::new("v", Lifetime::UNLIMITED).with_tags(red());
            store.set(Set::one(kit::key(name), entry)).await.unwrap().into_one().unwrap().unwrap();
        };
        let invalidate = async |target: Target| {
            store.invalidate(Invalidate::one(target)).await.unwrap().into_one().unwrap().unwrap();
        };
        let sees = async |name: &str| kit::get(&store, name).await.unwrap().is_some();
        set("tagged").await;
        assert!(sees("tagged").await);
        invalidate(Target::Tag(space.clone(), Tag::new("red").unwrap())).await;
        lose(&prefix, kinds).await;
        assert!(!sees("tagged").await, "without {kinds}");
        set("cleared").await;
        assert!(sees("cleared").await, "without {kinds}");
        invalidate(Target::Space(space.clone())).await;
        lose(&prefix, kinds).await;
        assert!(!sees("cleared").await && !sees("tagged").await, "without {kinds}");
        set("new").await;
        lose(&prefix, kinds).await;
        invalidate(Target::Space(space)).await;
        assert!(!sees("new").await && !sees("cleared").await, "without {kinds}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_thousands_is_answered_in_order() {
    for url in [kit::single(), kit::url("MEMSTACHE_REDIS_CLUSTER_URL")] {
        let store = kit::store(kit::builder(&url)).await;
        let item = |at: usize| SetItem {
            address: kit::key(&at.to_string()),
            entry: NewEntry::new(at.to_string(), Lifetime::UNLIMITED),
            when: When::Always,
        };
        let items = OneOrMany::Many((0..2000).map(item).collect());
        let stored = store.set(Set { items, scope: Scope::default() }).await.unwrap();
        assert!(stored.iter().all(Result::is_ok), "{:?}", stored.iter().find(|item| item.is_err()));
        let items = OneOrMany::Many((0..2500).rev().map(|at| kit::key(&at.to_string()).into()).collect());
        let found = store.get(Get { items, on_miss: OnMiss::Report, scope: Scope::default() }).await.unwrap();
        for (at, found) in (0..2500).rev().zip(found) {
            match found.unwrap() {
                Lookup::Hit(entry) => assert_eq!(entry.value, at.to_string()),
                Lookup::Miss => assert!(at >= 2000, "{at} is missing"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_a_tenant_that_nobody_knows_yet_is_leased_once() {
    let builder = kit::builder(&kit::url("MEMSTACHE_REDIS_CLUSTER_URL"));
    let stores = [kit::store(builder.clone()).await, kit::store(builder).await];
    for round in 0..20 {
        let tenant = TenantId::new(format!("tenant-{round}")).unwrap();
        let space = Space::new(Some(&tenant), &KeyspaceName::new("items").unwrap());
        let address = Address::plain(&space, "k").unwrap();
        let mut asked = tokio::task::JoinSet::new();
        for at in 0..50 {
            let (store, mut op) = (stores[at % 2].clone(), Get::one(address.clone()));
            op.on_miss = OnMiss::Lease;
            asked.spawn(async move { store.get(op).await.unwrap().into_one().unwrap().unwrap() });
        }
        let found = asked.join_all().await;
        let leased = found.iter().filter(|found| matches!(found, Lookup::Leased(_))).count();
        assert_eq!(leased, 1, "in round {round}");
    }
}

#[tokio::test]
async fn several_connections_are_one_store() {
    let store = kit::store(kit::builder(&kit::single()).connections(4).client_name("tester")).await;
    for at in 0..50 {
        kit::set(&store, &at.to_string(), "v").await.unwrap();
        assert!(kit::get(&store, &at.to_string()).await.unwrap().is_some());
    }
    kit::until("connections are named", async || {
        kit::raw(&["CLIENT", "LIST"]).await.matches("name=tester").count() >= 4
    })
    .await;
}

#[tokio::test]
async fn with_wrong_credentials_calls_fail_in_their_time_and_show_nothing() {
    let builder = kit::builder(&kit::single()).credentials("nobody", "wrong");
    let store =
        builder.read_timeout(Duration::from_millis(200)).call_timeout(Duration::from_millis(500)).build().unwrap();
    let error = kit::get(&store, "k").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}");
    assert!(!format!("{error:?} {store:?}").contains("wrong"), "no credentials");
    assert!(!store.health().await.is_up());
}

#[tokio::test]
async fn health_says_what_is_there() {
    let store = kit::store(kit::builder(&kit::single())).await;
    let health = store.health().await;
    assert!(health.is_up());
    assert_eq!((health.servers.len(), health.coherent), (1, None));
    assert!(health.servers[0].eviction.is_some());
}

#[tokio::test]
async fn a_client_of_the_application_serves_as_well() {
    use fred::interfaces::ClientLike;

    let config = fred::types::config::Config { version: fred::types::RespVersion::RESP3, ..config() };
    let client = fred::clients::Client::new(config, None, None, None);
    client.init().await.unwrap();
    let store = memstache_redis::RedisBuilder::from_client(client.clone()).prefix(&kit::prefix()).build().unwrap();
    kit::set(&store, "k", "v").await.unwrap();
    drop(store);
    assert!(client.ping::<String>(None).await.is_ok(), "it is not ours to end");
}

fn config() -> fred::types::config::Config {
    let address = kit::address(&kit::single());
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let server = fred::types::config::ServerConfig::new_centralized(host, port.parse().expect("a port"));
    fred::types::config::Config { server, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_harm_nobody() {
    let store = Arc::new(kit::store(kit::builder(&kit::single()).lease_ttl(Duration::from_millis(300))).await);
    for round in 0..200 {
        let (store, name) = (Arc::clone(&store), (round % 5).to_string());
        let mut op = Get::one(kit::key(&name));
        op.on_miss = OnMiss::Wait;
        let task = tokio::spawn(async move { store.get(op).await });
        tokio::time::sleep(Duration::from_micros(200 * (round % 17))).await;
        task.abort();
    }
    for name in 0..5 {
        let name = name.to_string();
        let mut op = Get::one(kit::key(&name));
        op.on_miss = OnMiss::Wait;
        let found = tokio::time::timeout(kit::PATIENCE, store.get(op)).await.expect("no lease outlives its ttl");
        assert!(matches!(found.unwrap().into_one().unwrap().unwrap(), Lookup::Leased(_)));
    }
}

#[tokio::test]
async fn a_large_value_leaves_what_the_batch_stores_after_it() {
    let store = kit::store(kit::builder(&kit::single()).max_value_bytes(10)).await;
    let item = |value: &'static str| {
        let entry = NewEntry::new(value, Lifetime::UNLIMITED);
        SetItem { address: kit::key("k"), entry, when: When::Always }
    };
    for (values, left) in [(["12345678901", "small"], Some("small")), (["small", "12345678901"], None)] {
        let items: Vec<_> = values.into_iter().map(item).collect();
        let written = store.set(Set { items: OneOrMany::Many(items), scope: Scope::default() }).await.unwrap();
        let failed = written.into_iter().filter(|written| written.is_err()).count();
        assert_eq!(failed, 1);
        assert_eq!(kit::get(&store, "k").await.unwrap().as_deref(), left.map(str::as_bytes));
    }
}
