//! Allocations, counted: one a direction, and none that hostile bytes could ask for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod keyring;
#[path = "../seal/kit.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod kit;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use memstache_core::{Get, Lookup, NewEntry, OneOrMany, Request, Response, Set, Step, Transform};
use memstache_crypto::{Seal, SealBuilder, Subkeys};

use crate::kit::{address, assert_rejected, backends, builder, down, entry, home, kept, keys, up};

struct Counting;

/// What this thread has allocated: how often, and the most at once.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    times: usize,
    largest: usize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { times: 0, largest: 0 }) };
}

fn note(size: usize) {
    COUNT.with(|count| {
        let Count { times, largest } = count.get();
        count.set(Count { times: times + 1, largest: largest.max(size) });
    });
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something and returns what it allocated on this thread.
fn counted<T>(work: impl FnOnce() -> T) -> (T, Count) {
    let before = COUNT.replace(Count::default());
    let result = work();
    let count = COUNT.replace(before);
    (result, count)
}

fn ways() -> Vec<(&'static str, SealBuilder)> {
    let base = || builder(keys(1)).0;
    vec![
        ("per entry", base()),
        ("per writer", base().subkeys(Subkeys::per_writer())),
        ("committing", base().chacha20_poly1305().committing()),
        ("padded", base().padded()),
    ]
}

fn sealed(seal: &Seal, name: &str, len: usize) -> NewEntry {
    down(seal, &address("acme", "users", name), entry(vec![7; len])).unwrap()
}

#[test]
fn one_allocation_to_seal_and_one_to_open() {
    // ring alone: what AWS-LC allocates for its contexts is its own.
    for (way, builder) in ways() {
        let seal = builder.build().unwrap();
        for (name, len) in [("ada".to_owned(), 64), ("n".repeat(1_024), 64), ("ada".to_owned(), 16 << 10)] {
            let at = address("acme", "users", &name);
            // The space, and a writer's key, are there from now on.
            for _ in 0..3 {
                let stored = sealed(&seal, &name, len);
                up(&seal, &at, stored).unwrap();
            }
            let request = Request::Set(Set::one(at.clone(), entry(vec![7; len])));
            let (step, count) = counted(|| seal.request(request));
            assert_eq!(count.times, 1, "{way}: seal {len} bytes");
            let Step::Now(Ok((Request::Set(set), _))) = step else { panic!() };
            let stored = set.items.into_one().unwrap().entry;
            assert_eq!(count.largest, stored.value.len(), "{way}: what is stored, and no more");
            let (asked, count) = counted(|| seal.request(Request::Get(Get::one(at.clone()))));
            assert_eq!(count.times, 0, "{way}: what is remembered of one read");
            let Step::Now(Ok((_, pending))) = asked else { panic!() };
            let found = Response::Found(OneOrMany::One(Ok(Lookup::Hit(kept(stored)))));
            let (opened, count) = counted(|| seal.response(pending, found));
            assert_eq!(count.times, 1, "{way}: open {len} bytes");
            let Step::Now(Ok(Response::Found(found))) = opened else { panic!() };
            assert!(matches!(found.into_one(), Some(Ok(Lookup::Hit(entry))) if entry.value == vec![7; len]));
        }
    }
}

#[test]
fn every_backend_allocates_at_most_its_contexts_beside() {
    for backend in backends() {
        let seal = builder(keys(1)).0.backend(backend).build().unwrap();
        up(&seal, &home(), sealed(&seal, "ada", 64)).unwrap();
        let (stored, count) = counted(|| sealed(&seal, "ada", 100_000));
        assert!(count.times <= 16, "{backend:?}: {count:?}");
        let (opened, count) = counted(|| up(&seal, &home(), stored));
        assert!(opened.is_ok() && count.times <= 16, "{backend:?}: {count:?}");
    }
}

#[test]
fn hostile_bytes_are_refused_before_anything_is_allocated_for_them() {
    let seal = builder(keys(1)).0.max_value(1_000).build().unwrap();
    let stored = sealed(&seal, "ada", 500);
    up(&seal, &home(), stored.clone()).unwrap();
    let hostile: [(usize, Vec<u8>); 5] = [
        // Longer than is read, with a good header.
        (1_024, [&stored.value[..], &vec![0; 1 << 20]].concat()),
        (1_024, vec![0xC1; 1 << 20]),
        (1_024, stored.value[..100].to_vec()),
        (1_024, vec![0; 1 << 20]),
        // Refused by its tag: no more than its own length.
        (1_024, [&stored.value[..stored.value.len() - 1], &[0]].concat()),
    ];
    for (most, bytes) in hostile {
        let stored = NewEntry { value: bytes.into(), ..stored.clone() };
        let (found, count) = counted(|| up(&seal, &home(), stored));
        assert!(count.largest <= most, "{count:?}");
        assert_rejected(found);
    }
}
