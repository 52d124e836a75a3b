//! Sampled hits on their way to the miniatures.

use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
    pub(super) fn new() -> Self {
        Self { prints: Vec::new(), first: 0, len: AtomicU32::new(0) }
    }

    #[inline]
    pub(super) fn push(&self, print: u32) {
        let len = self.len.load(Relaxed);
        if (len as usize) < self.places() {
            self.prints[self.first.wrapping_add(len as usize) & (self.prints.len() - 1)].store(print, Relaxed);
            self.len.store(len + 1, Relaxed);
        }
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.len.store(self.len.load(Relaxed).checked_sub(1)?, Relaxed);
        let at = self.first & (self.prints.len() - 1);
        self.first = self.first.wrapping_add(1);
        Some(self.prints[at].load(Relaxed))
    }

    /// Returns how many it can hold.
    pub(super) fn places(&self) -> usize {
        self.prints.len()
    }

    /// Makes room for about as many as a miniature holds.
    pub(super) fn reserve(&mut self, places: usize) {
        if self.places() < places {
            let places = places.next_power_of_two();
            let waiting: Vec<u32> = std::iter::from_fn(|| self.pop()).collect();
            self.first = 0;
            self.prints = Vec::new();
            self.prints.resize_with(places, || AtomicU32::new(0));
            waiting.into_iter().for_each(|print| self.push(print));
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.prints.capacity() * size_of::<AtomicU32>()
    }
}
