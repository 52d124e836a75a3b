//! Draws ranks by Zipf's law.
//!
//! Rejection-inversion after W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone
//! discrete distributions", ACM TOMACS 6 (1996): no table, whatever the number of ranks.

use fastrand::Rng;

/// Ranks `0..ranks`, the rank `r` with a weight of `(r + 1)` to the power of minus `exponent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipf {
    ranks: f64,
    exponent: f64,
    /// The integral of the weight at its ends.
    first: f64,
    last: f64,
    /// Up to here a draw is taken without a look.
    sure: f64,
}

impl Zipf {
    pub(crate) fn new(ranks: u32, exponent: f64) -> Self {
        assert!(ranks > 0 && exponent > 0.0, "a rank to draw, and a law to draw it by");
        let mut zipf = Self { ranks: f64::from(ranks), exponent, first: 0.0, last: 0.0, sure: 0.0 };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.ranks + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        loop {
            let at = self.last + rng.f64() * (self.first - self.last);
            let x = self.inverse(at);
            let rank = (x + 0.5).floor().clamp(1.0, self.ranks);
            if rank - x <= self.sure || at >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as u32 - 1;
            }
        }
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let power = (1.0 - self.exponent) * log;
        // The limit of a quotient whose parts both vanish for an exponent of one.
        let factor = if power.abs() > 1e-8 { power.exp_m1() / power } else { 1.0 + power / 2.0 };
        factor * log
    }

    fn inverse(&self, integral: f64) -> f64 {
        let scaled = (integral * (1.0 - self.exponent)).max(-1.0);
        let factor = if scaled.abs() > 1e-8 { scaled.ln_1p() / scaled } else { 1.0 - scaled / 2.0 };
        (factor * integral).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 400_000;

    /// How often each rank came, and how often it should have.
    fn compare(ranks: u32, exponent: f64) -> Vec<(f64, f64)> {
        let zipf = Zipf::new(ranks, exponent);
        let mut rng = Rng::with_seed(1);
        let mut seen = vec![0_u32; ranks as usize];
        (0..DRAWS).for_each(|_| seen[zipf.draw(&mut rng) as usize] += 1);
        let weights: Vec<_> = (1..=ranks).map(|rank| f64::from(rank).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        seen.iter().zip(weights).map(|(seen, weight)| (f64::from(*seen), weight / total * f64::from(DRAWS))).collect()
    }

    #[test]
    fn every_rank_comes_as_often_as_the_law_says() {
        for exponent in [0.8, 0.99, 1.0, 1.3] {
            for (rank, (seen, expected)) in compare(50, exponent).into_iter().enumerate() {
                // Five standard deviations.
                assert!((seen - expected).abs() < 5.0 * expected.sqrt(), "{exponent} {rank}: {seen} for {expected}");
            }
        }
    }

    #[test]
    fn many_ranks_have_their_shares() {
        let counts = compare(1_000_000, 0.99);
        for bound in [10, 1_000, 100_000, 1_000_000] {
            let sum = |of: fn(&(f64, f64)) -> f64| counts[..bound].iter().map(of).sum::<f64>();
            let (seen, expected) = (sum(|it| it.0), sum(|it| it.1));
            assert!((seen - expected).abs() < 5.0 * expected.sqrt() + 1.0, "{bound}: {seen} for {expected}");
        }
    }

    #[test]
    fn one_rank_is_always_drawn() {
        assert_eq!(Zipf::new(1, 0.99).draw(&mut Rng::with_seed(1)), 0);
    }
}
