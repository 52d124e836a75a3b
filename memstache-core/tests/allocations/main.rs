//! Allocations, counted: the figures that the documentation promises.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod envelope;
mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Counting;

thread_local! {
    /// How often and how many bytes this thread has allocated.
    static COUNT: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set((count.get().0 + 1, count.get().1 + layout.size())));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs something and returns how often and how many bytes it allocated.
fn counted<T>(work: impl FnOnce() -> T) -> (T, (usize, usize)) {
    let (times, bytes) = COUNT.get();
    let result = work();
    (result, (COUNT.get().0 - times, COUNT.get().1 - bytes))
}
