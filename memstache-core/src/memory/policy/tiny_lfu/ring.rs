//! Sampled hits on their way to the miniatures.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A buffer that many threads write under a shared lock and one empties under an exclusive one.
///
/// It loses what does not fit and what two threads write at the same place: samples are worth no contention. It has
/// to hold a miniature's worth of hits, though: a long run of hits that is cut short looks like a smaller loop, which
/// any division would serve.
pub(super) struct Ring {
    /// A power of two of them, or none.
    prints: Vec<AtomicU32>,
    first: usize,
    len: AtomicU32,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self { prints: Vec::new(), first: 0, len: AtomicU32::new(0) }
    }

    pub(super) fn push(&self, print: u32) {
        let len = self.len.load(Relaxed);
        if (len as usize) < self.prints.len() {
            self.prints[self.first.wrapping_add(len as usize) & (self.prints.len() - 1)].store(print, Relaxed);
            self.len.store(len + 1, Relaxed);
        }
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<u32> {
        *self.len.get_mut() = self.len.get_mut().checked_sub(1)?;
        let at = self.first & (self.prints.len() - 1);
        self.first = self.first.wrapping_add(1);
        Some(*self.prints[at].get_mut())
    }

    /// Makes room for about as many as a miniature holds.
    pub(super) fn reserve(&mut self, places: usize) {
        if self.prints.len() < places {
            let places = places.next_power_of_two();
            let waiting: Vec<u32> = std::iter::from_fn(|| self.pop()).collect();
            self.first = 0;
            self.prints = Vec::new();
            self.prints.resize_with(places, AtomicU32::default);
            waiting.into_iter().for_each(|print| self.push(print));
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.prints.capacity() * size_of::<AtomicU32>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_queue_that_loses_what_does_not_fit(steps in prop::collection::vec(0..100u32, 0..500)) {
            let (mut ring, mut naive) = (Ring::new(), VecDeque::new());
            for step in steps {
                match step {
                    0 => ring.reserve(naive.len() * 2),
                    1..45 => prop_assert_eq!(ring.pop(), naive.pop_front()),
                    _ => {
                        if naive.len() < ring.prints.len() {
                            naive.push_back(step);
                        }
                        ring.push(step);
                    }
                }
                ring.reserve(4);
            }
        }
    }
}
