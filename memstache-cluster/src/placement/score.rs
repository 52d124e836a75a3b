//! How much a member wants a partition.
//!
//! Each pair draws a number `u` in (0, 1), the same on every node; the smallest `-log2(u)/weight` wins, so that a member
//! wins as often as its weight says. The logarithm is a table and a line between its points, in units of 2^-40: 0.3 % off
//! at most, never different on another machine.

use std::cmp::Ordering;

/// Fractional bits of logarithms.
const POINT: u32 = 40;
const ONE: u64 = 1 << POINT;

/// One step of SplitMix64 (Steele et al. 2014): every bit of the input moves half of those of the output.
pub(super) const fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What stands for a member in its draws.
pub(super) const fn node_seed(id: u64) -> u64 {
    // Odd, so that multiplying loses nothing.
    mix(id ^ 0x6d65_6d62_6572_0001) | 1
}

/// What stands for a partition in its draws.
pub(super) const fn partition_seed(number: u16) -> u64 {
    mix(number as u64 ^ 0x7061_7274_0000_0002) | 1
}

/// The draw of a member for a partition, as a fraction of 2^64: both halves of one product.
#[inline]
pub(super) const fn draw(node: u64, partition: u64) -> u64 {
    let product = node as u128 * partition as u128;
    (product >> 64) as u64 ^ product as u64
}

/// What a member bids for a partition. Less is better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bid {
    log: u64,
    weight: u64,
    /// Of two equal bids the first member in the order of ids wins.
    node: u16,
}

impl Bid {
    #[inline]
    pub(super) const fn new(draw: u64, weight: u16, node: u16) -> Self {
        Self { log: neg_log2(draw), weight: weight as u64, node }
    }

    /// Which member bids, by its place in the order of ids.
    pub(super) const fn node(&self) -> u16 {
        self.node
    }

    /// Whether nobody with this weight and draw can bid less; cheaper than to make the bid.
    #[inline]
    pub(super) const fn beats(&self, draw: u64, weight: u16) -> bool {
        // -log2(u) is at least (1 - u)/ln 2, and 23/16 is a little less than 1/ln 2.
        let distance = !draw >> (64 - POINT);
        let least = distance + distance * 7 / 16;
        least * self.weight > self.log * weight as u64
    }
}

impl Ord for Bid {
    fn cmp(&self, other: &Self) -> Ordering {
        // 46 bits of logarithm and 10 of weight.
        (self.log * other.weight).cmp(&(other.log * self.weight)).then(self.node.cmp(&other.node))
    }
}

impl PartialOrd for Bid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bid {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bid {}

/// `-log2(draw / 2^64)` with 40 fractional bits; of 0 what is that of 1.
#[inline]
const fn neg_log2(draw: u64) -> u64 {
    let draw = if draw == 0 { 1 } else { draw };
    let zeros = draw.leading_zeros();
    // What follows the highest bit: 8 bits find the point of the table, 30 the place up to the next.
    let rest = draw << zeros << 1;
    let at = (rest >> 56) as usize;
    let within = (rest << 8) >> 34;
    let (here, next) = (TABLE[at], TABLE[at + 1]);
    zeros as u64 * ONE + here - (((here - next) * within) >> 30)
}

/// `1 - log2(1 + k/256)` for k from 0 to 256.
static TABLE: [u64; 257] = {
    let mut table = [0; 257];
    let mut k = 0;
    while k < 256 {
        table[k] = ONE - log2_of_mantissa((256 + k as u64) << 55);
        k += 1;
    }
    table
};

/// The logarithm of a number in [1, 2) with 63 fractional bits: squares it, bit by bit (Knuth, TAOCP 1.2.2).
const fn log2_of_mantissa(number: u64) -> u64 {
    let mut x = number as u128;
    let mut log = 0;
    let mut bit = ONE >> 1;
    while bit > 0 {
        x = (x * x) >> 63;
        if x >> 64 > 0 {
            x >>= 1;
            log |= bit;
        }
        bit >>= 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(log: u64) -> f64 {
        log as f64 / ONE as f64
    }

    #[test]
    fn logarithms_are_right() {
        for exact in 0..64 {
            assert_eq!(neg_log2(1 << exact), (64 - exact) * ONE, "2^{exact}");
        }
        for n in 0..100_000 {
            let draw = mix(n);
            let expected = 64.0 - (draw as f64).log2();
            let off = float(neg_log2(draw)) - expected;
            assert!((-1e-9..4e-6).contains(&off), "{draw}: {off}");
        }
        assert_eq!(neg_log2(0), neg_log2(1));
        assert!(neg_log2(u64::MAX) < 200);
    }

    #[test]
    fn what_is_skipped_would_not_have_won() {
        for n in 0..200_000 {
            let (a, b) = (mix(n), mix(!n) | if n % 2 == 0 { 0 } else { u64::MAX << 50 });
            let (weight, other) = ((a % 1000 + 1) as u16, (b % 1000 + 1) as u16);
            let best = Bid::new(a, weight, 0);
            if best.beats(b, other) {
                assert!(best < Bid::new(b, other, 1), "{a} at {weight}, {b} at {other}");
            }
        }
    }

    #[test]
    fn equal_bids_go_to_the_first() {
        assert!(Bid::new(5, 1, 0) < Bid::new(5, 1, 1));
        assert!(Bid::new(1 << 63, 1, 9) > Bid::new(1 << 62, 4, 1), "half of the log at a quarter of the weight");
        assert_eq!(Bid::new(1 << 63, 1, 9), Bid::new(1 << 62, 2, 9));
    }

    #[test]
    fn a_member_wins_as_often_as_its_weight_says() {
        let weights = [1_u16, 10, 100, 889];
        let mut won = [0_u32; 4];
        for n in 0..200_000_u64 {
            let bids =
                weights.iter().zip(0..).map(|(weight, node)| Bid::new(mix(n << 2 | u64::from(node)), *weight, node));
            won[usize::from(bids.min().unwrap().node())] += 1;
        }
        for (won, weight) in won.into_iter().zip(weights) {
            let expected = f64::from(weight) * 200.0;
            let off = (f64::from(won) - expected).abs() / expected.sqrt();
            assert!(off < 5.0, "weight {weight} won {won} times");
        }
    }
}
