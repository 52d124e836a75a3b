//! A count that many threads raise at once.

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

/// Threads with a stripe of their own; those beyond share one.
const OWNED: usize = 16;
/// The stripe of all others, and of threads that are ending.
const COMMON: usize = OWNED;
/// Before a thread's first count.
const NONE: usize = usize::MAX;

/// A count, exact, in stripes that lie on cache lines of their own, so that no thread waits for another's.
///
/// A stripe that belongs to a thread is only read by others: to add to it takes no locked instruction. The first 16 threads
/// that count have stripes of their own, all others share one; a count takes 1,088 bytes.
///
/// ```
/// use memstache_core::Striped;
///
/// let hits = Striped::default();
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| hits.bump());
///     }
/// });
/// hits.add(6);
/// assert_eq!(hits.sum(), 10);
/// ```
#[derive(Debug, Default)]
pub struct Striped([Stripe; OWNED + 1]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

thread_local! {
    // Without a destructor, so that it can be asked until the thread has ended.
    static OWN: Cell<usize> = const { Cell::new(NONE) };
    static LENT: Lent = const { Lent };
}

/// Stripes that no thread has.
static FREE: Mutex<Free> = Mutex::new(Free { returned: Vec::new(), next: 0 });

struct Free {
    returned: Vec<usize>,
    /// The first that was never given out.
    next: usize,
}

/// Gives a thread's stripe back when it ends.
struct Lent;

impl Drop for Lent {
    fn drop(&mut self) {
        // What is counted from here on is counted in common: the next thread may have the stripe already.
        let own = OWN.replace(COMMON);
        if own < OWNED {
            // The lock orders what was counted before what the next owner reads.
            FREE.lock().unwrap_or_else(PoisonError::into_inner).returned.push(own);
        }
    }
}

impl Striped {
    /// Adds one.
    #[inline]
    pub fn bump(&self) {
        self.add(1);
    }

    /// Takes one back that was counted before.
    #[cfg(feature = "memory")]
    pub(crate) fn take_back(&self) {
        self.add(u64::MAX);
    }

    /// Adds so many, wrapping around.
    #[inline]
    pub fn add(&self, count: u64) {
        match self.0[..OWNED].get(OWN.get()) {
            Some(Stripe(own)) => own.store(own.load(Relaxed).wrapping_add(count), Release),
            None => self.add_first(count),
        }
    }

    /// Adds to what is not the thread's own, or not yet.
    #[cold]
    #[inline(never)]
    fn add_first(&self, count: u64) {
        let own = own();
        let stripe = &self.0[own].0;
        if own == COMMON {
            stripe.fetch_add(count, Release);
        } else {
            stripe.store(stripe.load(Relaxed).wrapping_add(count), Release);
        }
    }

    /// Returns what all threads have counted.
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, stripe| sum.wrapping_add(stripe.0.load(Acquire)))
    }
}

/// Returns which stripe is the thread's: up to and including 16, the one of many.
#[inline]
pub(crate) fn own() -> usize {
    let own = OWN.get();
    if own == NONE { first() } else { own }
}

/// Gives the thread its stripe.
#[cold]
fn first() -> usize {
    // A thread whose locals are being torn down could not give it back.
    let own = if LENT.try_with(|_| ()).is_ok() { take() } else { COMMON };
    OWN.set(own);
    own
}

fn take() -> usize {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = free.returned.pop() {
        return own;
    }
    let own = free.next.min(COMMON);
    free.next = (own + 1).min(OWNED);
    own
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Barrier};

    use super::*;

    #[test]
    fn nothing_is_lost_between_more_threads_than_stripes() {
        let count = Striped::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * OWNED {
                scope.spawn(|| (0..1000).for_each(|_| count.bump()));
            }
        });
        assert_eq!(count.sum(), 32_000);
    }

    #[test]
    fn nothing_is_lost_between_threads_that_follow_each_other() {
        let count = Striped::default();
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for _ in 0..OWNED + 4 {
                    scope.spawn(|| (0..50).for_each(|_| count.bump()));
                }
            });
        }
        assert_eq!(count.sum(), 20 * 20 * 50);
    }

    #[test]
    fn no_two_threads_have_one_stripe_at_a_time_but_the_common_one() {
        let barrier = Barrier::new(3 * OWNED);
        let stripes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..3 * OWNED {
                scope.spawn(|| {
                    stripes.lock().unwrap().push(own());
                    barrier.wait();
                });
            }
        });
        let mut owned: Vec<_> = stripes.into_inner().unwrap();
        owned.retain(|stripe| *stripe != COMMON);
        assert!(!owned.is_empty());
        assert_eq!(owned.iter().collect::<BTreeSet<_>>().len(), owned.len());
    }

    #[test]
    fn what_is_counted_while_a_thread_ends_is_counted() {
        static COUNT: Striped = Striped([const { Stripe(AtomicU64::new(0)) }; OWNED + 1]);
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                COUNT.bump();
            }
        }
        thread_local!(static LATE: Late = const { Late });
        for early in [false, true] {
            std::thread::spawn(move || {
                if early {
                    COUNT.bump();
                }
                LATE.with(|_| ());
                COUNT.bump();
            })
            .join()
            .unwrap();
        }
        assert_eq!(COUNT.sum(), 5);
    }
}
