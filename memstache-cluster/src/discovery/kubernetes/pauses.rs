//! How long a watch that failed is left alone.

use std::time::Duration;

use kube::runtime::utils::{Backoff, ResetTimerBackoff};

const FIRST: Duration = Duration::from_millis(500);
/// Shorter than the client's own half a minute: lists are asked for every 15 seconds anyway.
const LAST: Duration = Duration::from_secs(5);
/// After how long without a failure it begins anew.
const RESET: Duration = Duration::from_secs(60);

/// Spans that double from half a second to five, each cut by chance to no less than a half.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    rng: fastrand::Rng,
}

impl Pauses {
    pub(super) fn between_failures() -> ResetTimerBackoff<Self> {
        ResetTimerBackoff::new(Self { next: FIRST, rng: fastrand::Rng::new() }, RESET)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let longest = self.next;
        self.next = (longest * 2).min(LAST);
        Some(longest.mul_f64(0.5 + self.rng.f64() / 2.0))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_begin_anew() {
        let mut pauses = Pauses { next: FIRST, rng: fastrand::Rng::with_seed(1) };
        let longest = [500, 1000, 2000, 4000, 5000, 5000].map(Duration::from_millis);
        for longest in longest {
            let pause = pauses.next().unwrap();
            assert!(pause <= longest && pause >= longest / 2, "{pause:?} of {longest:?}");
        }
        pauses.reset();
        assert!(pauses.next().unwrap() <= FIRST);
    }
}
