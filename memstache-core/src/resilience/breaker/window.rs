//! Calls and failures of the recent past, in constant space.

use std::time::Duration;

use crate::clock::{Tick, millis};

/// Into how many pieces a window is cut: it forgets a tenth at a time.
const PIECES: usize = 10;

/// Counts over a sliding window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Milliseconds of one piece.
    width: u64,
    /// The number, since the origin of time, of the newest piece.
    newest: u64,
    /// Where the newest piece is.
    head: usize,
    pieces: [Counts; PIECES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) failures: u64,
}

impl Window {
    pub(super) fn new(span: Duration) -> Self {
        let width = millis(span).div_ceil(PIECES as u64).max(1);
        Self { width, newest: 0, head: 0, pieces: [Counts::default(); PIECES] }
    }

    pub(super) fn add(&mut self, failed: bool, now: Tick) {
        self.advance(now);
        let piece = &mut self.pieces[self.head];
        piece.calls += 1;
        piece.failures += u64::from(failed);
    }

    pub(super) fn counts(&mut self, now: Tick) -> Counts {
        self.advance(now);
        self.pieces.iter().fold(Counts::default(), |sum, piece| Counts {
            calls: sum.calls + piece.calls,
            failures: sum.failures + piece.failures,
        })
    }

    pub(super) fn clear(&mut self) {
        self.pieces = [Counts::default(); PIECES];
    }

    /// Forgets what is over. Time that went back forgets nothing: the window goes on from there.
    fn advance(&mut self, now: Tick) {
        let number = now.as_millis() / self.width;
        let passed = number.saturating_sub(self.newest);
        for _ in 0..passed.min(PIECES as u64) {
            self.head = (self.head + 1) % PIECES;
            self.pieces[self.head] = Counts::default();
        }
        self.newest = number;
    }
}
