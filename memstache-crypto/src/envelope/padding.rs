//! Hiding how long values are, roughly.

/// The length that a text is padded to: at most 12 % longer, and of log log n bits (Padmé: Nikitin et al., "Reducing
/// Metadata Leakage from Encrypted Files and Communication with PURBs", 2019, §4).
pub(crate) fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - kept)) - 1;
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_papers_lengths() {
        for (len, padded) in [(0, 0), (1, 1), (7, 7), (8, 8), (9, 10), (100, 104), (1_000, 1_024), (1 << 20, 1 << 20)] {
            assert_eq!(padme(len), padded, "{len}");
        }
    }

    proptest! {
        #[test]
        fn padding_is_at_most_12_percent_and_stays_what_it_is(len in 2usize..1 << 40) {
            let padded = padme(len);
            prop_assert!(padded >= len);
            prop_assert!((padded - len) as f64 <= 0.12 * len as f64, "{len} to {padded}");
            prop_assert_eq!(padme(padded), padded);
            prop_assert!(padme(len + 1) >= padded);
        }
    }
}
