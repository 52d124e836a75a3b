//! Medians, means and their spread.

use std::fmt;

/// The middle of some figures, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of an even number, the median is the mean of the middle two; of none, all is NaN.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return Self { median: f64::NAN, min: f64::NAN, max: f64::NAN };
        };
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 };
        Self { median, min: *min, max: *max }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}..{:.2})", self.median, self.min, self.max)
    }
}

/// NaN for none.
pub(crate) fn geometric_mean(figures: impl IntoIterator<Item = f64>) -> f64 {
    mean(figures.into_iter().map(f64::ln)).exp()
}

/// NaN for none.
pub(crate) fn mean(figures: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = figures.into_iter().fold((0.0, 0_u32), |(sum, count), it| (sum + it, count + 1));
    sum / f64::from(count)
}

/// NaN for none.
pub(crate) fn least(figures: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(figures).min
}

/// NaN for none.
pub(crate) fn greatest(figures: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(figures).max
}

/// The value below which `share` of the sorted samples are; 0 for none.
pub(crate) fn quantile(sorted: &[u32], share: f64) -> u32 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]).to_string(), "7.00 (7.00..7.00)");
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn means() {
        assert!((geometric_mean([0.5, 2.0]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean([1.0, 8.0]) - 8.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(mean([1.0, 2.0, 6.0]), 3.0);
        assert!(mean([]).is_nan() && geometric_mean([]).is_nan());
        assert_eq!((least([2.0, 1.0]), greatest([2.0, 1.0])), (1.0, 2.0));
    }

    #[test]
    fn quantiles_stay_within_the_samples() {
        let sorted: Vec<_> = (0..100).collect();
        assert_eq!((quantile(&sorted, 0.5), quantile(&sorted, 0.99), quantile(&sorted, 1.0)), (50, 99, 99));
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
