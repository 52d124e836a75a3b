//! The layout in which stores of bytes (Redis, files, peers) keep an [`Entry`](crate::Entry).
//!
//! An envelope says what it is, which version of the layout it has and what the value's bytes are. Points in time cross
//! as spans: ages and remaining times in whole milliseconds, counted from the tick of [`encode`] and turned back into
//! ticks by [`decode`]. Two machines therefore need no common clock.
//!
//! Numbers are canonical LEB128: most of them are small or zero, so an entry without tags costs about 30 bytes where
//! fixed fields would cost 90. What is random by nature (the schema) is fixed.
//!
//! ```
//! use std::time::Duration;
//! use memstache_core::{Clock, Lifetime, NewEntry, Sequence, SystemClock, Version, envelope};
//!
//! let now = SystemClock::new().now();
//! let lifetime = Lifetime::new(Duration::from_secs(300))?;
//! let entry = NewEntry::new("tea", lifetime).into_entry(now, Version(7), Sequence(2));
//!
//! let stored = envelope::encode(&entry, now);
//! assert!(stored.len() <= 40 + entry.value.len());
//!
//! let read = envelope::decode(stored, now)?;
//! assert_eq!((read.value, read.meta), (entry.value, entry.meta));
//! # Ok::<(), memstache_core::Error>(())
//! ```

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod varint;

pub use self::{
    decode::{decode, decode_meta},
    encode::{encode, encode_meta},
};

/// The first byte of every envelope.
///
/// Never 0xC1: that begins a sealed value, so neither is ever taken for the other.
pub const MAGIC: u8 = 0xE5;

/// The version of the layout that [`encode`] writes, and the only one that [`decode`] reads.
pub const VERSION: u8 = 1;

/// What the two flag bytes say; every other bit is unknown to this version.
mod flags {
    /// The value is sealed.
    pub(super) const SEALED: u16 = 1;
    /// The source has no such key.
    pub(super) const NEGATIVE: u16 = 1 << 1;
    /// A schema follows.
    pub(super) const SCHEMA: u16 = 1 << 2;
    /// A sliding window follows.
    pub(super) const SLIDING: u16 = 1 << 3;
    /// Tags follow.
    pub(super) const TAGS: u16 = 1 << 4;
    /// Freshness ended in the past: its field counts backwards, so that a grace is not prolonged by a copy.
    pub(super) const PAST: u16 = 1 << 5;
    /// There is no hard deadline.
    pub(super) const HARD_NEVER: u16 = 1 << 6;
    /// Freshness never ends, hence neither does the hard deadline.
    pub(super) const FRESH_NEVER: u16 = 1 << 7;
    /// All of the above.
    pub(super) const KNOWN: u16 = (1 << 8) - 1;
}
