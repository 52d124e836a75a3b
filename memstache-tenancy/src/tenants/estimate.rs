//! What a tenant is thought to hold where keys expire silently.

use std::time::Duration;

use memstache_core::SampledUse;

/// Of what is written, fading as it expires.
///
/// Little's law: what is written at a steady rate and lives for `ttl` amounts to rate × ttl, and so does what fades by
/// 1/ttl a second. Off that steady state it lags: after one ttl of steady writing to new keys it is 37 % short, after
/// three 5 %; and what nobody writes to any more is told for longer than it lives. A key that is overwritten is counted
/// twice until the first write has faded. A sample puts all of that right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    bytes: f64,
    entries: f64,
    /// The mean ttl in seconds, weighted to the last writes.
    ttl: f64,
    at: Duration,
    /// When a sample was last asked for.
    asked: Duration,
}

/// How much the last write counts in the mean ttl.
const NEWS: f64 = 1.0 / 16.0;

/// The mean ttl of what was sampled before anything was written, in seconds: a day.
const UNKNOWN_TTL: f64 = 24.0 * 3_600.0;

impl Estimate {
    /// Lets time pass.
    fn fade(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        if passed > 0.0 && self.ttl > 0.0 {
            let left = (-passed / self.ttl).exp();
            self.bytes *= left;
            self.entries *= left;
        }
        if self.entries < 0.5 {
            (self.bytes, self.entries) = (0.0, 0.0);
        }
    }

    /// Takes note of an entry that was written.
    pub(crate) fn wrote(&mut self, now: Duration, bytes: u64, ttl: Duration) {
        self.fade(now);
        let ttl = ttl.as_secs_f64().max(0.001);
        self.ttl = if self.entries == 0.0 { ttl } else { self.ttl + (ttl - self.ttl) * NEWS };
        self.bytes += bytes as f64;
        self.entries += 1.0;
    }

    /// Takes note of entries that were removed; of mean size.
    pub(crate) fn removed(&mut self, now: Duration, entries: u64) {
        self.fade(now);
        if self.entries > 0.0 {
            let left = ((self.entries - entries as f64) / self.entries).max(0.0);
            self.bytes *= left;
            self.entries *= left;
        }
        self.fade(now);
    }

    /// Takes note that everything was removed.
    pub(crate) fn cleared(&mut self, now: Duration) {
        *self = Self { at: self.at.max(now), ttl: self.ttl, asked: self.asked, ..Self::default() };
    }

    /// Goes on from what was sampled.
    pub(crate) fn sampled(&mut self, now: Duration, sample: SampledUse) {
        self.fade(now);
        (self.bytes, self.entries) = (sample.bytes as f64, sample.entries as f64);
        // Before the first write nobody knows for how long they live.
        if self.ttl == 0.0 {
            self.ttl = UNKNOWN_TTL;
        }
    }

    /// Takes note that a sample is asked for.
    pub(crate) fn asked(&mut self, now: Duration) {
        self.asked = now;
    }

    /// Returns when a sample was last asked for; `None` if nothing is thought to be held.
    pub(crate) fn since(&mut self, now: Duration) -> Option<Duration> {
        self.fade(now);
        (self.entries > 0.0).then_some(self.asked)
    }

    /// Returns bytes and entries now.
    pub(crate) fn at(&mut self, now: Duration) -> (u64, u64) {
        self.fade(now);
        (self.bytes.round() as u64, self.entries.round() as u64)
    }

    /// Returns how long it takes until what is held has faded to so much; `None` if it never does.
    pub(crate) fn wait_for(&self, held: u64, most: u64) -> Option<Duration> {
        if held <= most || most == 0 {
            return (held <= most).then_some(Duration::ZERO);
        }
        let seconds = self.ttl * (held as f64 / most as f64).ln();
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Writes an entry of 10 bytes a second for so long; ttl: 100 seconds.
    fn steady(seconds: u64) -> (Estimate, Duration) {
        let mut estimate = Estimate::default();
        (1..=seconds).for_each(|now| estimate.wrote(secs(1000 + now), 10, secs(100)));
        (estimate, secs(1000 + seconds))
    }

    #[test]
    fn steady_writing_is_told_right_in_the_end_and_short_before() {
        let entries = |seconds| {
            let (mut estimate, now) = steady(seconds);
            estimate.at(now).1
        };
        assert!((62..=64).contains(&entries(100)), "of 100: {}", entries(100));
        assert!((94..=96).contains(&entries(300)), "of 100: {}", entries(300));
        assert!((100..=101).contains(&entries(2000)), "of 100: {}", entries(2000));
    }

    #[test]
    fn what_is_not_written_any_more_fades_to_nothing() {
        let (mut estimate, now) = steady(2000);
        let (bytes, entries) = estimate.at(now);
        assert!(bytes.abs_diff(entries * 10) <= 5);
        let later = estimate.at(now + secs(100));
        assert!((36..=38).contains(&later.1), "{later:?}");
        assert_eq!(estimate.at(now + secs(1000)), (0, 0));
    }

    #[test]
    fn removals_clears_and_samples_are_taken_note_of() {
        let (mut estimate, now) = steady(10);
        estimate.removed(now, 3);
        assert!((6..=7).contains(&estimate.at(now).1));
        estimate.removed(now, 100);
        assert_eq!(estimate.at(now), (0, 0));
        estimate.sampled(now, SampledUse::new(5000, 50));
        assert_eq!(estimate.at(now), (5000, 50));
        estimate.cleared(now);
        assert_eq!(estimate.at(now), (0, 0));
    }

    #[test]
    fn the_wait_that_is_told_suffices_and_a_clock_that_goes_back_does_nothing() {
        let (mut estimate, now) = steady(500);
        let held = estimate.at(now).0;
        let wait = estimate.wait_for(held, held / 2).unwrap();
        assert!(estimate.at(now - secs(100)).0 == held);
        assert!(estimate.at(now + wait + Duration::from_millis(200)).0 <= held / 2);
        assert_eq!(estimate.wait_for(5, 5), Some(Duration::ZERO));
        assert_eq!(estimate.wait_for(5, 0), None);
    }

    #[test]
    fn what_was_sampled_before_the_first_write_fades_too() {
        let mut estimate = Estimate::default();
        estimate.sampled(secs(5), SampledUse::new(120_000, 12_000));
        let wait = estimate.wait_for(12_000, 10_000).unwrap();
        assert!((secs(15_000)..secs(16_000)).contains(&wait), "ln 1.2 of a day: {wait:?}");
        assert!(estimate.at(secs(5) + wait).1.abs_diff(10_000) <= 1);
        assert_eq!(estimate.at(secs(30 * 24 * 3_600)), (0, 0), "an account that can be at rest");
    }
}
