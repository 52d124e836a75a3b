//! The memory store keeps its word about memory: counted at the allocator, not by its own books.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    future::Future,
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use memstache_core::{
    Address, Get, KeyspaceName, Lifetime, Lookup, MemoryStore, NewEntry, Request, Response, Set, Space, Store, Tag,
    Tags,
};
use tower_service::Service;

/// Counts the bytes that are allocated, and how often.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The counters belong to the process, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

const MAX_BYTES: usize = 32 * 1024 * 1024;

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the memory store answers at once"),
    }
}

fn space() -> Space {
    Space::new(None, &KeyspaceName::new("flood").unwrap())
}

fn set(store: &MemoryStore, name: &str, entry: NewEntry) {
    let address = Address::plain(&space(), name).unwrap();
    now(store.set(Set::one(address, entry))).unwrap().into_one().unwrap().unwrap();
}

/// Mostly small, at most 4 KiB.
fn skewed(random: &mut fastrand::Rng) -> Vec<u8> {
    vec![7; (4096.0 * random.f64().powi(3)) as usize]
}

#[test]
fn a_million_entries_of_random_size_stay_within_the_bound() {
    let _turn = TURN.lock().unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let store = MemoryStore::builder().max_bytes(MAX_BYTES).shards(4).build().unwrap();
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for part in 0..2u64 {
            let (store, most) = (&store, &most);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(part);
                for n in 0..500_000u64 {
                    let entry = NewEntry::new(skewed(&mut random), Lifetime::new(Duration::from_secs(3600)).unwrap());
                    set(store, &format!("{part}:{n}"), entry);
                    if n % 64 == 0 {
                        most.fetch_max(LIVE.load(Ordering::Relaxed) - before, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (most, stats) = (most.into_inner(), store.stats());
    println!("at most {most} bytes live of {MAX_BYTES}; {stats:?}");
    assert_eq!(stats.inserts, 1_000_000);
    assert!(stats.bytes <= MAX_BYTES && stats.bytes > MAX_BYTES * 9 / 10, "the room is used: {stats:?}");
    assert!(most <= MAX_BYTES + MAX_BYTES / 10, "{most} bytes were live");
    assert!(most >= MAX_BYTES * 7 / 10, "the books are not far above the truth: {most}");
    drop(store);
    assert!(LIVE.load(Ordering::Relaxed) < before + 64 * 1024, "everything is given back");
}

#[test]
fn the_bound_holds_when_small_entries_give_way_to_large_ones() {
    let _turn = TURN.lock().unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let store = MemoryStore::builder().max_bytes(MAX_BYTES).shards(4).build().unwrap();
    let live = || LIVE.load(Ordering::Relaxed) - before;
    let tags = |n: u64| Tags::new([Tag::new(format!("tag {}", n % 100)).unwrap()]).unwrap();
    for n in 0..90_000 {
        set(&store, &n.to_string(), NewEntry::new("", Lifetime::UNLIMITED).with_tags(tags(n)));
    }
    let (small, tiny) = (store.stats(), live());
    assert!(tiny <= MAX_BYTES + MAX_BYTES / 10, "{tiny} bytes for tiny entries");
    for n in 0..1000 {
        set(&store, &n.to_string(), NewEntry::new(vec![7; 100_000], Lifetime::UNLIMITED));
        assert!(live() <= MAX_BYTES + MAX_BYTES / 10, "{} bytes for large entries", live());
    }
    let large = store.stats();
    println!("{} small entries in {tiny} bytes, then {} large ones in {}", small.entries, large.entries, live());
    assert!(large.entries >= 300, "the slots of the small ones are not kept: {large:?}");
}

#[test]
fn a_hit_allocates_nothing() {
    let _turn = TURN.lock().unwrap();
    let mut store = MemoryStore::builder().max_bytes(MAX_BYTES).build().unwrap();
    let lifetime = Lifetime::new(Duration::from_secs(3600)).unwrap().with_sliding(Duration::from_secs(60)).unwrap();
    let tags = Tags::new([Tag::new("tag").unwrap()]).unwrap();
    set(&store, "name", NewEntry::new(vec![7; 100], lifetime).with_tags(tags));
    let space = space();
    let address = Address::plain(&space, "name").unwrap();
    let mut hit = || {
        let Ok(Response::Found(found)) = now(store.call(Request::Get(Get::one(address.clone())))) else { panic!() };
        assert!(matches!(found.into_one(), Some(Ok(Lookup::Hit(_)))));
    };
    // The first share of a value that came as a vector makes its reference count.
    hit();
    let before = CALLS.load(Ordering::Relaxed);
    (0..100).for_each(|_| hit());
    assert_eq!(CALLS.load(Ordering::Relaxed), before);
}

/// Prints what an entry takes beside its key and its value.
#[test]
fn overhead_for_each_entry() {
    let _turn = TURN.lock().unwrap();
    let store = MemoryStore::builder().max_bytes(256 * 1024 * 1024).shards(8).build().unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let entries = 100_000;
    for n in 0..entries {
        set(&store, &format!("{n:016}"), NewEntry::new(vec![7; 256], Lifetime::new(Duration::from_secs(60)).unwrap()));
    }
    let live = (LIVE.load(Ordering::Relaxed) - before) / entries;
    let charged = store.stats().bytes / entries;
    let payload = 256 + ":flood:".len() + 16;
    println!("live {} and charged {} bytes an entry, beside key and value", live - payload, charged - payload);
    assert!(live <= charged, "the charge covers what is taken");
}
