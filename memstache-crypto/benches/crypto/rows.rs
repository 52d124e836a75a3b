//! Two calls, taken in turns.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt,
    hint::black_box,
    time::{Duration, Instant},
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn note() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: forwards to the system's allocator; the counter is a plain thread local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
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

/// How long one batch of calls should take: short, so that most are not interrupted on a busy machine.
const BATCH: Duration = Duration::from_micros(800);

/// Something to be measured: nanoseconds a call.
pub(crate) struct Row<'a> {
    call: Box<dyn FnMut(usize) + 'a>,
    calls: usize,
    nanos: Vec<f64>,
    /// Allocations of one call in the steady state.
    pub(crate) allocations: u64,
}

impl<'a> Row<'a> {
    /// Takes a call that is told its number.
    pub(crate) fn new<T>(mut call: impl FnMut(usize) -> T + 'a) -> Self {
        let call = Box::new(move |n| {
            black_box(call(n));
        });
        Self { call, calls: 1, nanos: Vec::new(), allocations: 0 }
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn batch(&mut self) -> Duration {
        let start = Instant::now();
        (0..self.calls).for_each(|n| (self.call)(n));
        start.elapsed()
    }

    /// Finds how many calls make a batch.
    fn warm(&mut self) {
        while self.batch() < BATCH {
            self.calls *= 2;
        }
    }

    fn round(&mut self) {
        let before = ALLOCATIONS.get();
        let took = self.batch();
        self.allocations = (ALLOCATIONS.get() - before) / self.calls as u64;
        self.nanos.push(took.as_nanos() as f64 / self.calls as f64);
    }

    pub(crate) fn median(&self) -> f64 {
        median(self.nanos.iter().copied())
    }

    /// How many times what another takes in the same round, in the median: what disturbs both cancels out.
    fn over(&self, other: &Self) -> f64 {
        median(self.nanos.iter().zip(&other.nanos).map(|(own, other)| own / other))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs calls in turns, so that what disturbs one disturbs all.
pub(crate) fn interleave(rounds: usize, rows: &mut [Row<'_>]) {
    rows.iter_mut().for_each(Row::warm);
    for _ in 0..rounds {
        rows.iter_mut().for_each(Row::round);
    }
}

/// Ours against bare.
pub(crate) struct Mark {
    pub(crate) name: String,
    bare: f64,
    ours: f64,
    ratio: f64,
    /// How many times bare it may take; `None`: it is only shown.
    factor: Option<f64>,
    allocations: u64,
    allowed: u64,
}

impl Mark {
    /// One direction by itself, which may allocate once.
    pub(crate) fn shown(name: String, bare: &Row<'_>, ours: &Row<'_>) -> Self {
        let (ratio, allocations) = (ours.over(bare), ours.allocations);
        Self { name, bare: bare.median(), ours: ours.median(), ratio, factor: None, allocations, allowed: 1 }
    }

    /// Both directions, one after the other.
    pub(crate) fn of_both(name: String, bare: [&Row<'_>; 2], ours: [&Row<'_>; 2], factor: f64) -> Self {
        let sums = |rows: [&Row<'_>; 2]| -> Vec<_> {
            rows[0].nanos.iter().zip(&rows[1].nanos).map(|(one, other)| one + other).collect()
        };
        let allocations = ours.iter().map(|row| row.allocations).sum();
        let (bare, ours) = (sums(bare), sums(ours));
        let ratio = median(ours.iter().zip(&bare).map(|(own, other)| own / other));
        let (bare, ours) = (median(bare.into_iter()), median(ours.into_iter()));
        Self { name, bare, ours, ratio, factor: Some(factor), allocations, allowed: 2 }
    }

    pub(crate) fn holds(&self) -> bool {
        self.factor.is_none_or(|factor| self.ratio <= factor) && self.allocations <= self.allowed
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bare, ours, ratio, factor, allocations, allowed } = self;
        let mark = factor.map_or_else(|| "–".to_owned(), |factor| format!("≤ {factor:.2}"));
        write!(f, "| {name} | {bare:.0} | {ours:.0} | {ratio:.2} | {mark} | {allocations} of {allowed} |")
    }
}
