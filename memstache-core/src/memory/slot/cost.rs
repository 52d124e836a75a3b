//! What a load cost, in 16 bits: microseconds to a part in two thousand.

use std::time::Duration;

const MANTISSA: u32 = 11;

/// Rounds up; `None` above 50 days.
pub(super) fn to_bits(cost: Duration) -> Option<u16> {
    let micros = cost.as_secs().checked_mul(1_000_000)?.checked_add(cost.subsec_nanos().div_ceil(1000).into())?;
    let mut shift = (u64::BITS - micros.leading_zeros()).saturating_sub(MANTISSA);
    let mut mantissa = micros.div_ceil(1 << shift);
    if mantissa >> MANTISSA != 0 {
        (shift, mantissa) = (shift + 1, mantissa.div_ceil(2));
    }
    (shift < 32).then_some((shift as u16) << MANTISSA | mantissa as u16)
}

pub(super) fn from_bits(bits: u16) -> Duration {
    Duration::from_micros(u64::from(bits & ((1 << MANTISSA) - 1)) << (bits >> MANTISSA))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_kept_to_a_part_in_a_thousand(micros in prop_oneof![0..5000u64, 0..4_000_000_000_000u64]) {
            let cost = Duration::from_micros(micros);
            let kept = from_bits(to_bits(cost).unwrap());
            prop_assert!(kept >= cost && (kept - cost).as_micros() as u64 <= micros / 1000);
            prop_assert!(micros >= 2048 || kept == cost, "short ones exactly");
        }
    }

    #[test]
    fn nothing_is_zero_and_years_do_not_fit() {
        assert_eq!(from_bits(to_bits(Duration::ZERO).unwrap()), Duration::ZERO);
        assert_eq!(from_bits(to_bits(Duration::from_nanos(1)).unwrap()), Duration::from_micros(1));
        assert_eq!(to_bits(Duration::MAX), None);
        assert_eq!(to_bits(Duration::from_secs(60 * 86_400)), None);
    }
}
