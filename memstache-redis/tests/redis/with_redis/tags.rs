//! Invalidating a tag costs the same whatever carries it.

#![allow(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{
    Get, GetItem, Invalidate, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Scope, Set, SetItem, Store, Tag, Tags,
    Target, When,
};
use memstache_redis::RedisStore;
use tokio::sync::oneshot;

use super::kit;

/// Keys of one batch.
const BATCH: usize = 500;
/// What invalidating one tag may add to what is kept of a tenant.
const BYTES: u64 = 2_048;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_invalidated_at_once() {
    for url in [kit::single(), kit::url("MEMSTACHE_REDIS_CLUSTER_URL")] {
        invalidate_half(&url, 2_000).await;
    }
}

/// A million keys: `cargo xtask test -p memstache-redis --run-ignored only a_tag_on_half_a_million_keys`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and half a GiB of each deployment"]
async fn a_tag_on_half_a_million_keys() {
    for url in [kit::single(), kit::url("MEMSTACHE_REDIS_CLUSTER_URL")] {
        invalidate_half(&url, 1_000_000).await;
    }
}

fn name(at: usize) -> String {
    format!("key-{at}")
}

fn red() -> Tag {
    Tag::new("red").expect("a tag")
}

/// Stores so many keys, every second one with a tag, and invalidates that.
async fn invalidate_half(url: &str, count: usize) {
    let prefix = kit::prefix();
    let store = kit::store(kit::builder(url).prefix(&prefix).call_timeout(Duration::from_secs(30))).await;
    fill(&store, count).await;
    assert_eq!(visible(&store, count).await, (count / 2, count / 2));
    let before = kept(url, &prefix).await;

    let over = Arc::new(AtomicBool::new(false));
    let (has_read, reading) = oneshot::channel();
    let reader = tokio::spawn(read_on(store.clone(), count, has_read, Arc::clone(&over)));
    reading.await.expect("a read before it");
    let target = Target::Tag(kit::key("k").space(), red());
    store.invalidate(Invalidate::one(target)).await.unwrap().into_one().unwrap().unwrap();
    over.store(true, SeqCst);

    assert_eq!(visible(&store, count).await, (0, count / 2), "hidden, and nothing else is");
    let reads = reader.await.expect("no read after the end saw what is hidden");
    assert!(reads > 100, "{reads} reads");
    if let Some(before) = before {
        let after = kept(url, &prefix).await.unwrap();
        assert!(after <= before + BYTES, "{before} bytes, then {after}");
    }
}

async fn fill(store: &RedisStore, count: usize) {
    for first in (0..count).step_by(BATCH) {
        let item = |at: usize| {
            let tags = if at.is_multiple_of(2) { Tags::new([red()]).expect("one tag") } else { Tags::NONE };
            let entry = NewEntry::new("v", Lifetime::UNLIMITED).with_tags(tags);
            SetItem { address: kit::key(&name(at)), entry, when: When::Always }
        };
        let items = (first..count.min(first + BATCH)).map(item).collect();
        let stored = store.set(Set { items: OneOrMany::Many(items), scope: Scope::default() }).await.unwrap();
        assert!(stored.iter().all(Result::is_ok));
    }
}

/// Counts the keys that are seen: with the tag, and without.
async fn visible(store: &RedisStore, count: usize) -> (usize, usize) {
    let (mut tagged, mut plain) = (0, 0);
    for first in (0..count).step_by(BATCH) {
        let places: Vec<_> = (first..count.min(first + BATCH)).collect();
        let items = places.iter().map(|at| GetItem::from(kit::key(&name(*at)))).collect();
        let found = store.get(Get { items: OneOrMany::Many(items), on_miss: OnMiss::Report, scope: Scope::default() });
        for (at, found) in places.into_iter().zip(found.await.unwrap()) {
            let seen = usize::from(matches!(found.unwrap(), Lookup::Hit(_)));
            if at.is_multiple_of(2) { tagged += seen } else { plain += seen }
        }
    }
    (tagged, plain)
}

/// Reads keys with the tag, tells of the first read, and goes on for a while after the invalidation has returned.
async fn read_on(store: RedisStore, count: usize, has_read: oneshot::Sender<()>, over: Arc<AtomicBool>) -> usize {
    let (mut reads, mut after, mut has_read) = (0, 0, Some(has_read));
    while after < 100 {
        let began_after = over.load(SeqCst);
        let found = kit::get(&store, &name(2 * fastrand::usize(..count / 2))).await.unwrap();
        assert!(!began_after || found.is_none(), "a read that began after the invalidation saw what it hides");
        reads += 1;
        has_read.take().map(|has_read| has_read.send(()));
        after += usize::from(began_after);
    }
    reads
}

/// Bytes of all that is kept beside entries; known of one server.
async fn kept(url: &str, prefix: &str) -> Option<u64> {
    if url != kit::single() {
        return None;
    }
    let script = format!(
        "local sum, cursor = 0, '0' repeat local page = redis.call('SCAN', cursor, 'MATCH', '{prefix}[^v]*', 'COUNT', 1000) \
         cursor = page[1] for _, key in ipairs(page[2]) do sum = sum + redis.call('MEMORY', 'USAGE', key) end \
         until cursor == '0' return sum"
    );
    Some(kit::raw(&["EVAL", &script, "0"]).await.strip_prefix(':').unwrap().parse().unwrap())
}
