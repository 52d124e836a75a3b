//! The parts into which the keys of a cluster fall.

use std::fmt;

use memstache_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

/// How many partitions there are, on every node of every cluster.
pub const PARTITIONS: usize = 1 << BITS;

const BITS: u32 = 14;

/// One of the 16,384 parts into which the keys of a cluster fall.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// Checks a number.
    ///
    /// Errors: `Invalid` if it is not below [`PARTITIONS`].
    pub fn new(number: u16) -> Result<Self> {
        if usize::from(number) >= PARTITIONS {
            return Err(Error::invalid("partition", format_args!("below {PARTITIONS}"), number));
        }
        Ok(Self(number))
    }

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns the number, to index with.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Iterates over all partitions.
    pub fn all() -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + Clone {
        (0..1_u16 << BITS).map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({})", self.0)
    }
}

/// Returns the partition that a stored key falls into: the top 14 bits of its XXH3 hash.
///
/// A stored key is that of [`Address::stored`](memstache_core::Address::stored), blind or plain.
///
/// ```
/// use memstache_cluster::partition_of;
///
/// assert_eq!(partition_of(b":products:7"), partition_of(b":products:7"));
/// ```
#[inline]
pub fn partition_of(stored: &[u8]) -> Partition {
    Partition((xxh3_64(stored) >> (64 - BITS)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_where_they_always_fell() {
        // By the reference implementation of XXH3 (Python's xxhash): nodes of different versions must agree.
        let known: [(&[u8], u16); 4] = [(b"", 2881), (b"a", 14_769), (b":products:7", 711), (&[0xff; 300], 10_682)];
        for (key, number) in known {
            assert_eq!(partition_of(key).get(), number, "{key:?}");
        }
    }

    #[test]
    fn keys_spread_evenly() {
        let mut count = vec![0_u32; PARTITIONS];
        for n in 0..PARTITIONS * 64 {
            count[partition_of(format!("tenant:keyspace:{n}").as_bytes()).index()] += 1;
        }
        // 64 on average with a deviation of 8: six of them either way.
        assert!(count.iter().all(|it| (16..=112).contains(it)), "{:?} {:?}", count.iter().min(), count.iter().max());
    }

    #[test]
    fn there_are_no_others() {
        assert_eq!(Partition::all().len(), PARTITIONS);
        assert_eq!(Partition::new(16_383).unwrap(), Partition::all().next_back().unwrap());
        let error = Partition::new(16_384).unwrap_err().to_string();
        assert_eq!(error, "partition must be below 16384, but 16384 was given");
    }
}
