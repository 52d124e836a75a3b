//! Allocations, counted: one a direction in the steady state, and none that hostile bytes could ask for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../codec/common.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
mod hostile;
mod steady;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Counting;

/// What this thread has allocated: how often, how much, and the most at once.
#[derive(Clone, Copy, Default)]
struct Count {
    times: usize,
    bytes: usize,
    largest: usize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { times: 0, bytes: 0, largest: 0 }) };
}

fn note(size: usize) {
    COUNT.with(|count| {
        let Count { times, bytes, largest } = count.get();
        count.set(Count { times: times + 1, bytes: bytes + size, largest: largest.max(size) });
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
