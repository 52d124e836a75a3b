//! How much of the keys a node takes.

use std::num::NonZeroU16;

use memstache_core::{Error, Result};

/// The greatest weight.
pub const MAX_WEIGHT: u16 = 1000;

/// How much of the keys a node takes, beside the others: 1 to 1,000.
///
/// Only ratios count: a node of weight 200 owns twice what one of 100 owns. Default: 100.
///
/// ```
/// use memstache_cluster::Weight;
///
/// assert_eq!(Weight::new(50)?.get(), 50);
/// assert!(Weight::new(0).is_err() && Weight::new(1001).is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU16);

impl Weight {
    /// Checks a weight.
    ///
    /// Errors: `Invalid` outside of 1 to 1,000.
    pub fn new(weight: u16) -> Result<Self> {
        let wrong = || Error::invalid("weight", format_args!("1 to {MAX_WEIGHT}"), weight);
        NonZeroU16::new(weight).filter(|it| it.get() <= MAX_WEIGHT).map(Self).ok_or_else(wrong)
    }

    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Self {
        const { Self(NonZeroU16::new(100).expect("not zero")) }
    }
}

impl TryFrom<u16> for Weight {
    type Error = Error;

    fn try_from(weight: u16) -> Result<Self> {
        Self::new(weight)
    }
}
