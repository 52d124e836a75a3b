//! Which division would hit most, found by trying all of them at once on a sample.

use super::shadow::Shadow;
use super::split::{Admission, Division, WHOLE};

/// The divisions that compete. Each is the best of them for some behaviour: loops and stable popularity; popularity
/// with some recency; both alike; many keys of one use; recency alone.
pub(super) const DIVISIONS: [Division; 5] = [
    Division { window: 10, admission: Admission::Frequency },
    Division { window: 100, admission: Admission::Frequency },
    Division { window: 400, admission: Admission::Frequency },
    Division { window: 100, admission: Admission::SecondUse },
    Division { window: WHOLE, admission: Admission::Frequency },
];
/// Which one a store begins with.
pub(super) const FIRST: usize = 3;

/// A store with fewer residents is not divided anew.
const FEW: usize = 32;
/// Miniatures are as large as the store up to here.
const SOLO: usize = 512;
/// Above it they hold at most so many keys,
const LEAST: usize = 384;
/// or this share of the store's if that is more; and half of it at least.
const SHARE: usize = 64;
/// At most so many low bits tell who is sampled.
const BITS: u32 = 8;
/// Hits are remembered over about so many requests for each place in a miniature.
const MEMORY: f64 = 20.0;
/// By how many standard deviations another division must have more hits.
const MARGIN: f64 = 2.0;
/// And by which share of the present one's hits: to change over costs some.
const RELUCTANCE: f64 = 0.01;

/// Miniatures of the store side by side, all fed with the same sample of requests.
pub(super) struct Trial {
    /// None while there are few residents.
    shadows: Vec<Shadow>,
    hits: [f64; DIVISIONS.len()],
    best: usize,
    requests: usize,
    /// Residents of the store whose fingerprints have so many low bits 0, up to the most that matter.
    residents: [usize; BITS as usize + 1],
    len: usize,
    /// The most there ever were.
    most: usize,
    /// How many of them are part of the sample.
    sampled: usize,
    /// How many a miniature holds: follows `sampled`, which wavers.
    capacity: f64,
    /// A key is sampled when these low bits of its fingerprint are 0.
    mask: u32,
}

impl Trial {
    pub(super) const fn new() -> Self {
        Self {
            shadows: Vec::new(),
            hits: [0.0; DIVISIONS.len()],
            best: FIRST,
            requests: 0,
            residents: [0; BITS as usize + 1],
            len: 0,
            most: 0,
            sampled: 0,
            capacity: 0.0,
            mask: 0,
        }
    }

    /// Returns whether a key is part of the sample.
    #[inline]
    pub(super) fn samples(&self, print: u32) -> bool {
        print & self.mask == 0
    }

    /// Returns the division that does best.
    pub(super) const fn best(&self) -> Division {
        DIVISIONS[self.best]
    }

    /// Lets every miniature serve a request for a sampled key.
    pub(super) fn request(&mut self, print: u32) {
        let sampled = self.sampled as f64;
        if (sampled - self.capacity).abs() > self.capacity / 8.0 {
            self.capacity = sampled;
        }
        let capacity = (self.capacity + 0.5) as usize;
        for (shadow, hits) in self.shadows.iter_mut().zip(&mut self.hits) {
            if shadow.request(print, capacity) {
                *hits += 1.0;
            }
        }
        self.requests += 1;
        let period = (capacity / 8).max(8);
        if self.requests >= period {
            self.requests = 0;
            self.decide();
            let forget = period as f64 / (MEMORY * self.capacity.max(16.0) + period as f64);
            self.hits.iter_mut().for_each(|hits| *hits -= *hits * forget);
            self.capacity += (sampled - self.capacity) / 8.0;
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shadows.capacity() * size_of::<Shadow>() + self.shadows.iter().map(Shadow::bytes).sum::<usize>()
    }

    /// Takes note of a new resident; makes the sample sparser for a store that has grown.
    pub(super) fn add(&mut self, print: u32) {
        self.residents[level(print)] += 1;
        self.len += 1;
        self.sampled += usize::from(self.samples(print));
        if self.len > self.most {
            self.most = self.len;
            self.capacity = self.sampled as f64;
        }
        if self.len >= FEW && self.shadows.is_empty() {
            self.shadows = DIVISIONS.map(Shadow::new).into();
        }
        let least = if self.len <= SOLO { SOLO } else { LEAST };
        if self.sampled > least && self.sampled > self.len / SHARE && self.bits() < BITS as usize {
            self.mask = self.mask << 1 | 1;
            let mask = self.mask;
            self.shadows.iter_mut().for_each(|shadow| shadow.retain(|print| print & mask == 0));
            self.sampled = self.residents[self.bits()..].iter().sum();
        }
    }

    /// Returns how many residents are part of the sample.
    pub(super) const fn sampled(&self) -> usize {
        self.sampled
    }

    /// Takes note that a resident went; makes the sample denser for a store that has shrunk.
    pub(super) fn subtract(&mut self, print: u32) {
        // Saturating: somebody else's store may tell another hash than it told when the entry came.
        let level = &mut self.residents[level(print)];
        *level = level.saturating_sub(1);
        self.len = self.len.saturating_sub(1);
        self.sampled = self.sampled.saturating_sub(usize::from(self.samples(print)));
        if self.mask > 0 && self.sampled < LEAST / 8 {
            self.mask >>= 1;
            self.sampled = self.residents[self.bits()..].iter().sum();
        }
    }

    /// Returns how many low bits tell who is sampled.
    const fn bits(&self) -> usize {
        self.mask.count_ones() as usize
    }

    /// Changes over when another division leads by more than chance.
    fn decide(&mut self) {
        let mut best = self.best;
        for (at, hits) in self.hits.iter().enumerate() {
            if *hits > self.hits[best] {
                best = at;
            }
        }
        let lead = self.hits[best] - self.hits[self.best];
        if lead > MARGIN * lead.sqrt().max(1.0) + self.hits[self.best] * RELUCTANCE {
            self.best = best;
        }
    }
}

/// Returns how many low bits of a fingerprint are 0, up to the most that matter.
fn level(print: u32) -> usize {
    (print | 1 << BITS).trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of one store under the division that leads, as many as there are keys.
    fn leader(keys: impl Iterator<Item = u32>, residents: u32) -> usize {
        let mut trial = Trial::new();
        (0..residents).for_each(|print| trial.add(print));
        keys.for_each(|print| trial.request(print));
        trial.best
    }

    #[test]
    fn a_loop_wants_frequency_and_a_moving_hot_set_recency() {
        assert_eq!(leader((0..200).cycle().take(8_000), 100), 0);
        let moving = (0..20_000_u32).map(|at| at / 2 + at % 2 * 60);
        assert!(leader(moving, 100) >= 2);
    }

    #[test]
    fn the_sample_follows_the_size_and_survives_equal_fingerprints() {
        let mut trial = Trial::new();
        (0..100_000).for_each(|print| trial.add(print));
        assert!((LEAST / 2..=100_000 / SHARE + 1).contains(&trial.sampled), "{}", trial.sampled);
        (0..100_000).for_each(|print| trial.subtract(print));
        assert_eq!((trial.sampled, trial.len, trial.mask), (0, 0, 0));
        for _ in 0..10_000 {
            trial.add(0);
            trial.request(0);
        }
        (0..10_000).for_each(|_| trial.subtract(0));
        assert_eq!(trial.len, 0);
    }
}
