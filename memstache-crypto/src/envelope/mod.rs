//! The layout of a sealed value, version 1. Pure: no keys are looked up, no time is read, nothing is counted.
//!
//! Big-endian:
//!
//! ```text
//!  0   1  magic 0xC1       never used by UTF-8, MessagePack, gzip, zstd, lz4 or core's envelope
//!  1   1  version 1
//!  2   1  suite            0x01 AES-256-GCM, 0x02 ChaCha20-Poly1305, 0x11 and 0x12 the same with a commitment
//!  3   1  flags            bit 0 padded; any other is refused
//!  4  16  key id
//! 20  16  salt
//! 36  12  nonce
//! 48  32  commitment       suites 0x1x only
//!     44  inner header     \
//!      p  padding, zero     } encrypted
//!      n  value            /
//!     16  tag
//! ```
//!
//! The key of an entry is `HKDF-Expand(data key, "mst1/entry" | suite | key id | salt)` (RFC 5869, SHA-256), 32 bytes; under a
//! committing suite 64, of which the second half is the commitment.

pub(crate) mod associated;
mod entry_key;
mod inner;
mod open;
mod padding;
mod parse;
mod reason;
mod seal;
mod suite;

pub(crate) use self::{
    entry_key::EntryKey,
    inner::{INNER_LEN, Inner},
    open::open,
    padding::padme,
    parse::{Parsed, parse},
    reason::Reason,
    seal::{Opening, seal},
    suite::Suite,
};

/// The first byte of every sealed value.
pub(crate) const MAGIC: u8 = 0xC1;
/// The version of the layout that is written, and the only one that is read.
pub(crate) const VERSION: u8 = 1;
/// The bytes of the header before a commitment.
pub(crate) const HEADER_LEN: usize = 48;
/// The bytes of a commitment.
pub(crate) const COMMITMENT_LEN: usize = 32;
/// The bytes of a salt.
pub(crate) const SALT_LEN: usize = 16;

/// The text was padded.
pub(crate) const PADDED: u8 = 1;

#[cfg(test)]
mod tests;
