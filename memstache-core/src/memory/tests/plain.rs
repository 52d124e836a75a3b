//! Plain writes, which most writes are, come to the same as any other.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::FutureExt;

use super::*;
use crate::{EvictionPolicy, Lru, Parts, Sieve, SlotId, memory::shared::Shared};

/// Counts again what the tables count as they go.
fn check<P: EvictionPolicy>(shared: &Shared<P>) {
    let mut taken = 0;
    for shard in &shared.shards {
        let shard = shard.read();
        taken += shard.table.bytes();
        let slots = || (0..shard.table.end().0).filter_map(|id| shard.table.get(SlotId(id)));
        assert_eq!(slots().count(), shard.table.len());
        assert_eq!(slots().filter(|slot| slot.dead_at() != crate::Tick::NEVER).count(), shard.table.deadlines());
        assert!(slots().map(|slot| slot.bytes()).sum::<usize>() <= shard.table.bytes());
    }
    assert_eq!(taken, shared.budget.used(), "the budget is what the tables take");
}

fn set<P: EvictionPolicy>(store: &MemoryStore<P>, name: u32, len: usize, ttl: Option<u64>) {
    let lifetime = ttl.map_or(Lifetime::UNLIMITED, |ttl| Lifetime::new(Duration::from_millis(ttl)).unwrap());
    let mut value = vec![0; len];
    value[..4].copy_from_slice(&name.to_be_bytes());
    let (space, name) = (space("", "test"), name.to_string());
    store.set_now(&Parts::new(&space, name.as_bytes()).unwrap(), NewEntry::new(value, lifetime)).unwrap();
}

fn get<P: EvictionPolicy>(store: &MemoryStore<P>, name: u32) -> Option<usize> {
    let (space, text) = (space("", "test"), name.to_string());
    let value = store.get_now(&Parts::new(&space, text.as_bytes()).unwrap())?;
    assert_eq!(value[..4], name.to_be_bytes(), "the value is this key's");
    Some(value.len())
}

fn empty<P: EvictionPolicy>(store: &MemoryStore<P>, clock: &ManualClock) {
    store.invalidate(Invalidate::one(Target::Space(space("", "test")))).now_or_never();
    clock.advance(secs(10));
    store.maintain();
    assert_eq!((store.stats().bytes, store.stats().entries), (0, 0));
}

#[test]
fn newcomers_in_the_place_of_victims_live_by_their_own_deadlines() {
    let clock = ManualClock::new();
    let builder = MemoryStore::builder().max_bytes(1 << 20).shards(2).clock(clock.clone());
    let store = builder.policy(|_| Sieve::new()).build().unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let (mut model, mut now) = (HashMap::new(), 0);
    for n in 0..60_000 {
        let name = random.u32(..6000);
        if random.u8(..4) == 0 {
            let held = get(&store, name);
            let written = model.get(&name).filter(|(_, until)| now < *until).map(|(len, _)| *len);
            assert!(held.is_none() || held == written, "{name}: {held:?} of {written:?} at {now}");
        } else {
            // Mostly of one length, as where victims are exchanged; some shrink, some grow.
            let len = if random.u8(..8) == 0 { random.usize(4..600) } else { 200 };
            let ttl = (random.u8(..3) > 0).then(|| random.u64(1..100_000));
            set(&store, name, len, ttl);
            model.insert(name, (len, ttl.map_or(u64::MAX, |ttl| now + ttl)));
        }
        if n % 10 == 0 {
            clock.advance(Duration::from_millis(37));
            now += 37;
        }
        if n % 1000 == 0 {
            check(&store.shared);
        }
    }
    let stats = store.stats();
    assert!(stats.evictions > 1000 && stats.expirations > 100, "{stats:?}");
    assert!(stats.bytes <= stats.max_bytes && stats.bytes > stats.max_bytes / 2, "{stats:?}");
    check(&store.shared);
    empty(&store, &clock);
}

#[test]
fn what_came_either_stays_or_was_evicted() {
    let clock = ManualClock::new();
    let builder = MemoryStore::builder().max_bytes(1 << 20).shards(1).clock(clock.clone());
    let store = builder.policy(|_| Sieve::new()).build().unwrap();
    (0..20_000).for_each(|name| set(&store, name, 256, None));
    let stats = store.stats();
    assert!(stats.evictions > 0 && stats.inserts == 20_000, "{stats:?}");
    assert_eq!(stats.entries as u64, stats.inserts - stats.evictions);
    assert_eq!((0..20_000).filter(|name| get(&store, *name).is_some()).count(), stats.entries);
    empty(&store, &clock);
}

#[test]
fn the_least_recently_used_is_evicted_and_only_that() {
    let store = MemoryStore::builder().max_bytes(1 << 20).shards(1).policy(|_| Lru::new()).build().unwrap();
    for name in 0..5000 {
        set(&store, name, 1000, None);
        assert!(get(&store, 0).is_some(), "it is read again and again");
    }
    let held = store.stats().entries as u32;
    assert!(held > 500 && store.stats().evictions > 1000, "{:?}", store.stats());
    let gone = 1..5001 - held;
    assert!(gone.clone().all(|name| get(&store, name).is_none()) && gone.end > 1000);
    assert!((gone.end..5000).all(|name| get(&store, name).is_some()), "the last ones stay");
}

#[test]
fn a_plain_write_ends_the_lease_on_its_key() {
    let bed = bed();
    let (space, name) = (space("", "test"), "7");
    let lease = bed.lease(name).now_or_never().unwrap();
    set(&bed.store, 7, 8, None);
    assert_eq!(bed.fill(name, forever("late"), lease).now_or_never().unwrap(), Written::Refused);
    assert_eq!(bed.store.get_now(&Parts::new(&space, name.as_bytes()).unwrap()).map(|value| value.len()), Some(8));
}

#[test]
fn bytes_balance_after_eight_threads_and_never_pass_the_bound() {
    let bed = bed();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (store, done) = (&bed.store, &done);
        let watch = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                assert!(store.stats().bytes <= 1 << 20);
                std::thread::yield_now();
            }
        });
        let work = |seed| {
            move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..5000 {
                    let name = random.u32(..5000);
                    match random.u8(..4) {
                        0 => drop(get(store, name)),
                        1 => set(store, name, random.usize(4..5000), None),
                        _ => set(store, name, 256, Some(60_000)),
                    }
                }
            }
        };
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(work(seed))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });
    check(&bed.store.shared);
    empty(&bed.store, &bed.clock);
}
