//! A call that is measured: nanoseconds and allocations.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Instant,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: forwards to the system's allocator; the counter is a plain thread local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// How many a call may make.
    allowed: u64,
    call: Box<dyn FnMut()>,
    allocations: u64,
    /// Of a call, round by round.
    nanos: Vec<f64>,
}

impl Row {
    pub(crate) fn new(name: &'static str, allowed: u64, call: impl FnMut() + 'static) -> Self {
        Self { name, allowed, call: Box::new(call), allocations: 0, nanos: Vec::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    pub(crate) fn round(&mut self, calls: u32) {
        let before = ALLOCATIONS.with(Cell::get);
        let start = Instant::now();
        (0..calls).for_each(|_| (self.call)());
        self.nanos.push(start.elapsed().as_nanos() as f64 / f64::from(calls));
        self.allocations = (ALLOCATIONS.with(Cell::get) - before) / u64::from(calls);
    }

    pub(crate) fn forget(&mut self) {
        self.nanos.clear();
    }

    pub(crate) fn nanos(&self) -> f64 {
        median(self.nanos.iter().copied())
    }

    /// In parts of another row: the median of the rounds' own ratios, which what disturbs one round does not move.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        median(self.nanos.iter().zip(&other.nanos).map(|(ours, theirs)| ours / theirs))
    }

    /// What it adds to a base, in parts of another row.
    pub(crate) fn added(&self, base: &Self, unit: &Self) -> f64 {
        let rounds = self.nanos.iter().zip(&base.nanos).zip(&unit.nanos);
        median(rounds.map(|((ours, base), unit)| (ours - base) / unit))
    }

    pub(crate) fn allocations(&self) -> u64 {
        self.allocations
    }

    pub(crate) fn assert_allocations(&self) {
        let Self { name, allocations, allowed, .. } = self;
        assert!(allocations <= allowed, "{name}: {allocations} allocations, allowed {allowed}");
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
