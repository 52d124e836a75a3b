//! From keys that were drawn to what all keys hold: pure arithmetic.

use memstache_core::SampledUse;

/// What was drawn of one server, with replacement, and how much of that is a tenant's.
///
/// The mean of independent draws, scaled by the number of keys, is unbiased (W. G. Cochran, *Sampling Techniques*, 3rd ed.,
/// 1977, §2.9 and §3.2). With `p` the tenant's share of all keys and `n` draws, the standard deviation of that share is
/// `√(p(1 − p)/n)`; that of its bytes is `√((1 − p + v²)/(p·n))` of them, where `v` is the deviation of its sizes over their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    drawn: u64,
    entries: u64,
    bytes: u64,
}

impl Tally {
    /// Takes note of so many draws, whosever keys they are.
    pub(super) fn drew(&mut self, keys: usize) {
        self.drawn = self.drawn.saturating_add(keys as u64);
    }

    /// Takes note that one of them is an entry of the tenant, of so many bytes.
    pub(super) fn found(&mut self, bytes: u64) {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Returns what was found, as it is: each key was looked at once.
    pub(super) fn counted(self) -> SampledUse {
        SampledUse::new(self.bytes, self.entries)
    }

    /// Returns what so many keys hold, if all are as those that were drawn.
    pub(super) fn scaled(self, keys: u64) -> SampledUse {
        let all = |found: u64| {
            let drawn = u128::from(self.drawn.max(1));
            let rounded = (u128::from(found) * u128::from(keys) + drawn / 2) / drawn;
            u64::try_from(rounded).unwrap_or(u64::MAX)
        };
        SampledUse::new(all(self.bytes), all(self.entries))
    }
}

/// Adds up what servers hold.
pub(super) fn sum(parts: impl IntoIterator<Item = SampledUse>) -> SampledUse {
    parts.into_iter().fold(SampledUse::default(), |all, part| {
        SampledUse::new(all.bytes.saturating_add(part.bytes), all.entries.saturating_add(part.entries))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_drawn_is_scaled_and_rounded() {
        let mut tally = Tally::default();
        assert_eq!(tally.scaled(1_000), SampledUse::default(), "nothing was drawn");
        tally.drew(3);
        assert_eq!(tally.scaled(1_000), SampledUse::default(), "nothing was found");
        tally.found(10);
        assert_eq!(tally.scaled(1_000), SampledUse::new(3_333, 333));
        tally.found(20);
        assert_eq!(tally.scaled(1_000), SampledUse::new(10_000, 667));
        assert_eq!(tally.counted(), SampledUse::new(30, 2));
        tally.found(u64::MAX);
        assert_eq!((tally.counted().bytes, tally.scaled(u64::MAX).bytes), (u64::MAX, u64::MAX), "no overflow");
    }

    #[test]
    fn servers_are_added_up() {
        let parts = [SampledUse::new(1, 2), SampledUse::new(u64::MAX, 3)];
        assert_eq!(sum(parts), SampledUse::new(u64::MAX, 5));
        assert_eq!(sum([]), SampledUse::default());
    }

    /// How far the mean of `n` draws out of 0..=`most` may be off: by Bernstein's inequality, once in 10^8 it is by more.
    fn bound(n: f64, variance: f64, most: f64) -> f64 {
        const LOG: f64 = 19.2;
        (2.0 * variance * LOG / n).sqrt() + 2.0 * most * LOG / (3.0 * n)
    }

    proptest! {
        /// The sizes of the tenant's entries among keys of others.
        #[test]
        fn the_error_is_within_its_bound(
            sizes in prop::collection::vec(1u64..1 << 16, 0..400),
            others in 0usize..4_000,
            draws in 64usize..4_096,
            seed: u64,
        ) {
            let keys = sizes.len() + others;
            prop_assume!(keys > 0);
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tally = Tally::default();
            tally.drew(draws);
            for _ in 0..draws {
                if let Some(size) = sizes.get(random.usize(..keys)) {
                    tally.found(*size);
                }
            }
            let found = tally.scaled(keys as u64);
            let (all, n) = (keys as f64, draws as f64);
            let check = |values: &[f64], found: u64| {
                let mean = values.iter().sum::<f64>() / all;
                let variance = values.iter().map(|value| value * value).sum::<f64>() / all - mean * mean;
                let most = values.iter().copied().fold(0.0, f64::max);
                ((found as f64 - mean * all).abs(), bound(n, variance.max(0.0), most) * all + 1.0)
            };
            let (off, most) = check(&vec![1.0; sizes.len()], found.entries);
            prop_assert!(off <= most, "{off} entries off, at most {most}");
            let sizes: Vec<_> = sizes.iter().map(|size| *size as f64).collect();
            let (off, most) = check(&sizes, found.bytes);
            prop_assert!(off <= most, "{off} bytes off, at most {most}");
        }
    }
}
