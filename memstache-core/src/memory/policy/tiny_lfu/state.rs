//! The part of an entry that hits write: two bytes.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// The highest count of uses.
pub(super) const MOST: u8 = 15;

const COUNT: u16 = 0b1111;
const EPOCH: u32 = 4;
const EPOCHS: u16 = 0b11 << EPOCH;
const STAMP: u32 = 6;
const STAMPS: u16 = 0b1_1111;
const TOUCHED: u16 = 1 << 11;
const MAIN: u16 = 1 << 12;
const LIVE: u16 = 1 << 13;
const LINKED: u16 = 1 << 14;

/// Uses, and where the slot stands, or still stands though its entry went.
///
/// From low to high: four bits of count, two of epoch, five of stamp, flags. Hits write it under a shared lock, so of two
/// at a time one may be lost; everything else happens under an exclusive one.
#[derive(Debug, Default)]
pub(super) struct State(AtomicU16);

impl State {
    /// Begins an entry, in whatever list the slot still is.
    pub(super) fn begin(&mut self, epoch: u8, count: u8) {
        let state = self.0.get_mut();
        *state = *state & LINKED | LIVE | u16::from(epoch & 3) << EPOCH | u16::from(count.min(MOST));
    }

    /// Counts a hit: a load, and a store unless there is nothing new.
    #[inline]
    pub(super) fn hit(&self, mark: Mark) {
        let state = self.0.load(Relaxed);
        let hit = if (state ^ mark.0) & EPOCHS == 0 { mark.left_on(state) } else { mark.left_on_old(state) };
        if hit != state {
            self.0.store(hit, Relaxed);
        }
    }

    /// Returns the count as of this epoch.
    pub(super) fn count(&self, epoch: u8) -> u8 {
        count(self.0.load(Relaxed), epoch)
    }

    pub(super) fn set_count(&mut self, epoch: u8, count: u8) {
        let state = self.0.get_mut();
        *state = *state & !(COUNT | 3 << EPOCH) | u16::from(epoch & 3) << EPOCH | u16::from(count.min(MOST));
    }

    /// Returns in which turn of the window the entry was last used.
    pub(super) fn stamp(&self) -> u8 {
        (self.0.load(Relaxed) >> STAMP & STAMPS) as u8
    }

    pub(super) fn set_stamp(&mut self, stamp: u8) {
        let state = self.0.get_mut();
        *state = *state & !(STAMPS << STAMP) | (u16::from(stamp) & STAMPS) << STAMP;
    }

    /// Returns whether there was a hit since the last call.
    pub(super) fn take_touched(&mut self) -> bool {
        let touched = self.is(TOUCHED);
        self.set(TOUCHED, false);
        touched
    }

    /// Returns whether the entry belongs to the main queue.
    pub(super) fn main(&self) -> bool {
        self.is(MAIN)
    }

    pub(super) fn set_main(&mut self, main: bool) {
        self.set(MAIN, main);
    }

    /// Returns whether the entry is there; if not, a list may still hold its slot.
    pub(super) fn live(&self) -> bool {
        self.is(LIVE)
    }

    pub(super) fn end(&mut self) {
        self.set(LIVE, false);
    }

    /// Returns whether a list holds the slot.
    pub(super) fn linked(&self) -> bool {
        self.is(LINKED)
    }

    pub(super) fn set_linked(&mut self, linked: bool) {
        self.set(LINKED, linked);
    }

    fn is(&self, flag: u16) -> bool {
        self.0.load(Relaxed) & flag != 0
    }

    fn set(&mut self, flag: u16, on: bool) {
        let state = self.0.get_mut();
        *state = if on { *state | flag } else { *state & !flag };
    }
}

/// What hits leave on a state beside the count, made once for all hits of an epoch and turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u16);

impl Mark {
    pub(super) fn new(epoch: u8, stamp: u8) -> Self {
        Self(TOUCHED | (u16::from(stamp) & STAMPS) << STAMP | u16::from(epoch & 3) << EPOCH)
    }

    /// Returns a state of this epoch with one use more.
    #[inline]
    fn left_on(self, state: u16) -> u16 {
        let more = u16::from(state & COUNT != COUNT);
        (state & (MAIN | LIVE | LINKED | COUNT) | self.0) + more
    }

    /// Returns a state with one use more, its count halved for each epoch since.
    #[cold]
    fn left_on_old(self, state: u16) -> u16 {
        let count = count(state, (self.0 >> EPOCH) as u8);
        self.left_on(state & !COUNT | u16::from(count))
    }
}

fn count(state: u16, epoch: u8) -> u8 {
    let behind = epoch.wrapping_sub((state >> EPOCH) as u8) & 3;
    (state & COUNT) as u8 >> behind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_halve_with_each_epoch_and_stay_in_their_bits() {
        let mut state = State::default();
        state.begin(0, 200);
        assert_eq!((state.count(0), state.count(1), state.count(3)), (15, 7, 1));
        state.hit(Mark::new(1, 31));
        assert_eq!((state.count(1), state.stamp(), state.live(), state.main()), (8, 31, true, false));
        (0..100).for_each(|_| state.hit(Mark::new(1, 0)));
        assert_eq!((state.count(1), state.stamp()), (15, 0));
        assert!(state.take_touched() && !state.take_touched());
    }
}
