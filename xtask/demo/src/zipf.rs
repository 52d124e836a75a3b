//! Uneven demand: few products are asked for often, most of them rarely.

/// A Zipf distribution: the product of rank `k` is asked for in proportion to `1 / k^exponent`.
///
/// Sampled by inversion: a binary search in the cumulative weights, exact for every exponent (Devroye 1986, II.2).
#[derive(Debug)]
pub(crate) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// Creates a distribution over `ranks` ranks, at least one.
    pub(crate) fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| (rank as f64).powf(-exponent);
        let grown = |rank| {
            sum += weight(rank);
            sum
        };
        Self { cumulative: (1..=ranks.max(1)).map(grown).collect() }
    }

    /// Turns a number uniform in 0..1 into a rank, from 0.
    pub(crate) fn rank(&self, uniform: f64) -> usize {
        let last = self.cumulative.len() - 1;
        let point = uniform * self.cumulative[last];
        self.cumulative.partition_point(|sum| *sum <= point).min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_drawn_in_proportion_to_their_weight() {
        let (zipf, mut rng, draws) = (Zipf::new(1000, 0.99), fastrand::Rng::with_seed(1), 200_000);
        let mut seen = vec![0_u32; 1000];
        for _ in 0..draws {
            seen[zipf.rank(rng.f64())] += 1;
        }
        let total: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-0.99)).sum();
        for rank in [1, 2, 10, 100] {
            let expected = f64::from(rank).powf(-0.99) / total * f64::from(draws);
            let found = f64::from(seen[rank as usize - 1]);
            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {found} for {expected}");
        }
    }

    #[test]
    fn an_exponent_of_zero_is_even_and_the_ends_are_inside() {
        let zipf = Zipf::new(4, 0.0);
        assert_eq!([0.0, 0.26, 0.51, 0.99].map(|uniform| zipf.rank(uniform)), [0, 1, 2, 3]);
        assert_eq!(zipf.rank(1.0), 3);
        assert_eq!(Zipf::new(0, 1.0).rank(0.5), 0);
    }
}
