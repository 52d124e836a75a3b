//! Asking a second node when the first is slow: of "The Tail at Scale" (Dean and Barroso, CACM 56(2), 2013), section "Hedged
//! requests".
//!
//! When an owner has not answered a read by the time that 95 % of the last reads took, a replica is asked too, and whoever
//! answers first is believed; the other call is cancelled. At most one read in twenty is hedged.

mod budget;
mod latency;

use std::{fmt, time::Duration};

use parking_lot::Mutex;

use self::{budget::Budget, latency::Latencies};

/// The least time that an owner is given: below it a second call costs more than it brings.
const LEAST: Duration = Duration::from_millis(1);

/// When a read is hedged, and whether it may be.
#[derive(Default)]
pub(crate) struct Hedging(Mutex<State>);

#[derive(Default)]
struct State {
    latencies: Latencies,
    budget: Budget,
}

impl Hedging {
    /// Takes note of a read that begins; returns after how long it is to be hedged, if that is known yet.
    pub(super) fn begin(&self) -> Option<Duration> {
        let mut state = self.0.lock();
        state.budget.earn();
        state.latencies.p95().map(|p95| p95.max(LEAST))
    }

    /// Takes note of how long an owner took.
    pub(super) fn answered(&self, took: Duration) {
        self.0.lock().latencies.note(took);
    }

    /// Returns whether one more read may be hedged now.
    pub(super) fn may(&self) -> bool {
        self.0.lock().budget.spend()
    }
}

impl fmt::Debug for Hedging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedging").field("p95", &self.0.lock().latencies.p95()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_in_twenty_is_hedged_however_slow_all_become() {
        let hedging = Hedging::default();
        assert_eq!(hedging.begin(), None, "nothing is known yet");
        for _ in 0..200 {
            hedging.answered(Duration::from_millis(4));
        }
        let after = hedging.begin().unwrap();
        assert!((Duration::from_millis(4)..Duration::from_millis(5)).contains(&after), "{after:?}");
        let mut hedged = 0;
        for _ in 0..10_000 {
            hedging.begin();
            hedged += u32::from(hedging.may());
        }
        assert!((490..=510).contains(&hedged), "{hedged}");
        for _ in 0..20_000 {
            hedging.answered(Duration::from_micros(10));
        }
        assert_eq!(hedging.begin(), Some(LEAST));
    }
}
