//! When a key is hot, and what other nodes may then keep of it.

use std::time::Duration;

use memstache_core::{Error, Result};

/// The longest lease of a copy: a new owner of a dead one's keys waits for so long.
const LONGEST: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(10);

/// When a key is hot, and what other nodes may then keep of it.
///
/// An owner lets a node that reads a hot key keep a copy for the time of a lease. The more a key is read, the more nodes have
/// one: one for each so many reads a second. Reads that copies answer count too; as they get fewer, leases are not given anew.
/// A put or a delete of the key is acknowledged once every node that may have a copy has confirmed that it has dropped it, or its lease
/// has run out; so no node answers with what was there before.
///
/// ```
/// use std::time::Duration;
/// use memstache_cluster::HotCopies;
///
/// let copies = HotCopies::above(500.0).with_lease(Duration::from_millis(200)).with_max_bytes(1 << 20);
/// copies.check()?;
/// assert!(HotCopies::above(0.0).check().is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HotCopies {
    per_second: f64,
    lease: Duration,
    max_bytes: Option<usize>,
}

impl HotCopies {
    /// Takes a key for hot that is read so often a second, above zero, and lets one node have a copy for each so many reads.
    pub const fn above(per_second: f64) -> Self {
        Self { per_second, lease: LONGEST, max_bytes: None }
    }

    /// Lets a copy live so long: 10 ms to 1 s. Default: 1 s.
    ///
    /// So long a write of the key waits for a node that has a copy and cannot be reached.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Bounds the bytes of the copies that a node keeps. Default: an eighth of what the keyspace may hold.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Checks the settings.
    pub fn check(&self) -> Result<()> {
        if !(self.per_second > 0.0 && self.per_second.is_finite()) {
            return Err(Error::invalid("hot copies per_second", "above zero", self.per_second));
        }
        if self.lease < SHORTEST || self.lease > LONGEST {
            let given = format_args!("{:?}", self.lease);
            return Err(Error::invalid("hot copies lease", format_args!("{SHORTEST:?} to {LONGEST:?}"), given));
        }
        Ok(())
    }

    pub(crate) const fn lease(&self) -> Duration {
        self.lease
    }

    /// Returns the bound of the copies of a keyspace that may hold so many bytes.
    pub(crate) fn max_bytes(&self, whole: usize) -> usize {
        self.max_bytes.unwrap_or(whole / 8)
    }

    /// Returns how many nodes may have a copy of a key that is read so often a second.
    pub(crate) fn copies(&self, per_second: f64) -> usize {
        if per_second < self.per_second { 0 } else { (per_second / self.per_second).ceil() as usize }
    }
}

/// Above 100 reads a second; a lease of 1 s.
impl Default for HotCopies {
    fn default() -> Self {
        Self::above(100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_reads_are_more_copies_and_few_are_none() {
        let copies = HotCopies::default();
        assert_eq!([0.0, 99.9, 100.0, 101.0, 950.0].map(|rate| copies.copies(rate)), [0, 0, 1, 2, 10]);
        assert_eq!((copies.max_bytes(800), copies.with_max_bytes(7).max_bytes(800)), (100, 7));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = HotCopies::above(wrong).check().unwrap_err().to_string();
            assert!(error.starts_with("hot copies per_second must be above zero, but "), "{error}");
        }
        for millis in [9, 1001] {
            let error = HotCopies::default().with_lease(Duration::from_millis(millis)).check().unwrap_err();
            assert!(error.to_string().starts_with("hot copies lease must be 10ms to 1s, but "), "{error}");
        }
        HotCopies::default().with_lease(Duration::from_millis(10)).check().unwrap();
    }
}
