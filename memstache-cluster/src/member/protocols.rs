//! Which versions of the wire protocol a node speaks.

use std::fmt;

use memstache_core::{Error, Result};

/// The versions of the wire protocol that a node speaks, from the oldest to the newest.
///
/// ```
/// use memstache_cluster::Protocols;
///
/// let (old, new) = (Protocols::new(1, 2)?, Protocols::new(2, 3)?);
/// assert_eq!(old.common(new), Some(2));
/// assert_eq!(old.common(Protocols::new(3, 3)?), None);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocols {
    oldest: u8,
    newest: u8,
}

impl Protocols {
    /// What this version of the crate speaks.
    pub const CURRENT: Self = Self { oldest: 1, newest: 1 };

    /// Creates a range; both ends belong to it.
    ///
    /// Errors: `Invalid` if the oldest is 0 or above the newest.
    pub fn new(oldest: u8, newest: u8) -> Result<Self> {
        if oldest == 0 || oldest > newest {
            return Err(Error::invalid("protocols", "from at least 1 upwards", format_args!("{oldest} to {newest}")));
        }
        Ok(Self { oldest, newest })
    }

    /// Returns the oldest version.
    pub const fn oldest(self) -> u8 {
        self.oldest
    }

    /// Returns the newest version.
    pub const fn newest(self) -> u8 {
        self.newest
    }

    /// Returns the newest version that both speak.
    pub fn common(self, other: Self) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl Default for Protocols {
    /// [`CURRENT`](Self::CURRENT).
    fn default() -> Self {
        Self::CURRENT
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.oldest, self.newest)
    }
}
