//! A count that many threads raise at once.

use std::{
    cell::Cell,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Threads with a stripe of their own; later ones share.
const STRIPES: usize = 16;

/// A count, exact, in stripes that lie on cache lines of their own, so that no thread waits for another's.
#[derive(Debug, Default)]
pub(crate) struct Striped([Stripe; STRIPES]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl Striped {
    /// Adds one.
    #[inline]
    pub(crate) fn bump(&self) {
        self.add(1);
    }

    /// Adds so many.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0[own() % STRIPES].0.fetch_add(count, Release);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Acquire)).sum()
    }
}

/// Returns which stripe is the thread's, for counts of any number of stripes.
#[inline]
pub(crate) fn own() -> usize {
    let own = OWN.get();
    if own == usize::MAX { first() } else { own }
}

/// Gives the thread its stripe.
#[cold]
fn first() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let own = NEXT.fetch_add(1, Relaxed) % STRIPES;
    OWN.set(own);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_more_threads_than_stripes() {
        let count = Striped::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| (0..1000).for_each(|_| count.bump()));
            }
        });
        assert_eq!(count.sum(), 32_000);
    }
}
