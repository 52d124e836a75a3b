//! What each guard is for: the same late write with it and without it.

use std::{env, sync::Arc, time::Duration};

use memstache_core::{Address, KeyspaceName, Lifetime, NewEntry, Scope, SetItem, Space, Tag, Tags, Target, When};

use super::{ask::Manner, plan::Plan, shared::Shared, *};
use crate::{client::Command, layout::Head, script::millis};

const SECOND: u64 = 1_000_000;

/// A store whose scripts lack a guard; `none` for all of them.
async fn shared(guard: &str) -> Arc<Shared> {
    let url = env::var("MEMSTACHE_REDIS_URL")
        .unwrap_or_else(|_| panic!("MEMSTACHE_REDIS_URL is not set: `cargo xtask test` sets it; or exclude this test"));
    let builder = RedisStore::builder(&url).unwrap().prefix(&format!("t{:x}:", fastrand::u64(..)));
    let secs = Duration::from_secs;
    let mut shared = builder.read_timeout(secs(2)).call_timeout(secs(5)).write_timeout(secs(5)).shared().unwrap();
    shared.scripts = shared.scripts.without(guard);
    shared.ready(secs(20)).await.unwrap();
    Arc::new(shared)
}

fn key() -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("items").unwrap()), "k").unwrap()
}

/// Sends a write as it arrives late: with the fence that it once was given. Returns the state that the script answers.
async fn late_write(shared: &Shared, not_after: u64, stamp: u64) -> u64 {
    let item = SetItem { address: key(), entry: NewEntry::new("v1", Lifetime::UNLIMITED), when: When::Always };
    let order = shared.draft(item).order(shared.deadline(&Scope::default()));
    let plan = Plan::new(&shared.keys, false, std::iter::once(&order.address));
    let mut round = shared.order_fenced(&plan, &[order], |_, _| clocks::Fence { not_after, stamp }).await;
    round.items.remove(0).unwrap().reply[0].as_u64().unwrap()
}

/// Removes the key by a writer whose clock is that much ahead of the server's; in µs.
async fn remove_ahead(shared: &Shared, ahead: u64) {
    let address = key();
    let plan = Plan::new(&shared.keys, false, std::iter::once(&address));
    let now = now(shared).await;
    let head = |args: &mut crate::script::Args, _: clocks::Fence, _: memstache_core::Sequence| {
        args.number(now + ahead + SECOND).number(now + ahead).millis(shared.settings.tombstone_ttl);
        args.number(millis(shared.settings.line_life())).number(shared.keys.prefix_len() as u64);
    };
    let manner = Manner { deadline: shared.deadline(&Scope::default()), writes: true };
    let mut round =
        shared.ask(&plan, &shared.scripts.remove, manner, |_| clocks::Floor::default(), head, |_, _, _| {}).await;
    assert_eq!(round.items.remove(0).unwrap().reply[0].as_u64(), Some(1));
}

/// The server's time, µs.
async fn now(shared: &Shared) -> u64 {
    let time = shared.client.send(0, Command::plain("TIME", &[]), Duration::from_secs(5)).await.unwrap();
    let parts: Vec<u64> = time.into_array().unwrap().iter().map(|part| part.as_u64().unwrap()).collect();
    parts[0] * SECOND + parts[1]
}

async fn is_seen(shared: &Shared) -> bool {
    let found = shared.look(&[key().into()], OnMiss::Report.into(), &Scope::default()).await.0.remove(0);
    matches!(found.unwrap(), memstache_core::Lookup::Hit(_))
}

#[tokio::test]
async fn the_fence_stops_a_write_that_comes_after_its_time() {
    for (guard, state, seen) in [("none", 3, false), ("fence", 1, true)] {
        // The server was paused for so long that nothing is left that could tell.
        let shared = shared(guard).await;
        let late = late_write(&shared, now(&shared).await - 1, 0).await;
        assert_eq!((late, is_seen(&shared).await), (state, seen), "without {guard}");
    }
}

#[tokio::test]
async fn the_tombstone_stops_a_write_that_a_slow_clock_takes_for_timely() {
    for (guard, state, seen) in [("none", 3, false), ("version", 1, true), ("tombstone", 1, true)] {
        // The write was fenced by a primary whose clock was ten seconds ahead, then the key was removed, then another
        // took over, and the write arrives there.
        let shared = shared(guard).await;
        remove_ahead(&shared, 10 * SECOND).await;
        let sent = now(&shared).await + 11 * SECOND;
        let late = late_write(&shared, now(&shared).await + 5 * SECOND, sent).await;
        assert_eq!((late, is_seen(&shared).await), (state, seen), "without {guard}");
    }
}

#[tokio::test]
async fn the_stamp_stops_a_write_that_was_given_up_before_the_removal() {
    for (guard, state, seen) in [("none", 3, false), ("stamp", 1, true), ("tombstone", 1, true)] {
        // The connection broke and the caller was told so at once; the write arrives after its next call, in time.
        let shared = shared(guard).await;
        let sent = now(&shared).await;
        assert!(shared.remove(&[key()], &Scope::default()).await.remove(0).is_ok());
        let late = late_write(&shared, now(&shared).await + 5 * SECOND, sent).await;
        assert_eq!((late, is_seen(&shared).await), (state, seen), "without {guard}");
    }
}

#[tokio::test]
async fn what_is_removed_can_be_stored_at_once() {
    let shared = shared("none").await;
    for when in [When::Always, When::IfAbsent] {
        for _ in 0..20 {
            assert!(shared.remove(&[key()], &Scope::default()).await.remove(0).is_ok());
            let item = SetItem { address: key(), entry: NewEntry::new("v", Lifetime::UNLIMITED), when };
            let written = shared.set(vec![item], &Scope::default()).await.remove(0);
            assert!(matches!(written, Ok(memstache_core::Written::Stored(_))), "{written:?}");
            assert!(is_seen(&shared).await);
        }
    }
}

#[tokio::test]
async fn whoever_still_waits_is_not_late() {
    let shared = shared("none").await;
    remove_ahead(&shared, 60 * SECOND).await;
    let item = SetItem { address: key(), entry: NewEntry::new("v2", Lifetime::UNLIMITED), when: When::Always };
    let written = shared.set(vec![item], &Scope::default()).await.remove(0);
    assert!(written.is_ok(), "a clock that was ahead must not lock a key: {written:?}");
    assert!(is_seen(&shared).await);
}

#[tokio::test]
async fn versions_rise_over_what_was_forgotten() {
    let shared = shared("none").await;
    let write = async || {
        let item = SetItem { address: key(), entry: NewEntry::new("v", Lifetime::UNLIMITED), when: When::Always };
        match shared.set(vec![item], &Scope::default()).await.remove(0).unwrap() {
            memstache_core::Written::Stored(version) => version,
            other => panic!("{other:?}"),
        }
    };
    let first = write().await;
    let keys = shared.keys.entry(key().stored());
    shared.client.send(0, Command::new("DEL", [keys.value.clone()]), Duration::from_secs(5)).await.unwrap();
    assert!(write().await > first, "the server has forgotten the first");
    let stored = shared.client.send(0, Command::new("GET", [keys.value]), Duration::from_secs(5)).await.unwrap();
    assert!(Head::parse(stored.into_bytes().unwrap()).unwrap().0.present);
}

#[tokio::test]
async fn what_evicted_tags_hid_stays_hidden_when_others_follow() {
    for (guard, seen) in [("none", false), ("eviction", true)] {
        let shared = shared(guard).await;
        let tag = |name: &str| Tag::new(name).unwrap();
        let entry = NewEntry { tags: Tags::new([tag("red")]).unwrap(), ..NewEntry::new("v", Lifetime::UNLIMITED) };
        let item = SetItem { address: key(), entry, when: When::Always };
        shared.set(vec![item], &Scope::default()).await.remove(0).unwrap();
        let invalidate = async |name: &str| {
            let target = Target::Tag(key().space(), tag(name));
            shared.invalidate(&[target], &Scope::default()).await.remove(0).unwrap();
        };
        assert!(is_seen(&shared).await);
        invalidate("red").await;
        assert!(!is_seen(&shared).await);
        let young = shared.keys.tenant("").young;
        let gone = shared.client.send(0, Command::new("DEL", [young]), Duration::from_secs(5)).await;
        assert_eq!(gone.unwrap().as_u64(), Some(1));
        invalidate("blue").await;
        assert_eq!(is_seen(&shared).await, seen, "without {guard}");
    }
}

#[tokio::test]
async fn on_a_cluster_the_hash_tag_keeps_an_entry_in_one_slot() {
    let url = env::var("MEMSTACHE_REDIS_CLUSTER_URL").unwrap_or_else(|_| {
        panic!("MEMSTACHE_REDIS_CLUSTER_URL is not set: `cargo xtask test` sets it; or exclude this test")
    });
    for tagged in [true, false] {
        let builder = RedisStore::builder(&url).unwrap().prefix(&format!("t{:x}:", fastrand::u64(..)));
        let secs = Duration::from_secs;
        let mut shared = builder.read_timeout(secs(2)).call_timeout(secs(5)).write_timeout(secs(5)).shared().unwrap();
        if !tagged {
            shared.keys = shared.keys.clone().without_tags();
        }
        shared.ready(secs(20)).await.unwrap();
        let shared = Arc::new(shared);
        let item = SetItem { address: key(), entry: NewEntry::new("v", Lifetime::UNLIMITED), when: When::Always };
        let written = shared.set(vec![item], &Scope::default()).await.remove(0);
        assert_eq!(written.is_ok(), tagged, "{written:?}");
    }
}
