//! What members of a cluster know and nobody else.

use std::fmt;

use memstache_core::{Error, Result};
use zeroize::Zeroizing;

/// The shortest and the longest secret, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// What all members of a cluster know and nobody else: 16 to 64 bytes, best from a generator of random bytes.
///
/// Keys are derived from it; it is never sent. Overwritten when dropped; `Debug` shows nothing of it.
///
/// ```
/// use memstache_cluster::membership::GossipSecret;
///
/// let secret = GossipSecret::new(b"0123456789abcdef")?;
/// assert_eq!(format!("{secret:?}"), "GossipSecret(..)");
/// assert!(GossipSecret::new("short").is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct GossipSecret(Zeroizing<Vec<u8>>);

impl GossipSecret {
    /// Takes the bytes of a secret.
    ///
    /// Errors: `Invalid` if there are fewer than 16 or more than 64.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if !LENGTHS.contains(&bytes.len()) {
            let given = format_args!("{} bytes", bytes.len());
            return Err(Error::invalid("gossip secret", "16 to 64 bytes long", given));
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for GossipSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GossipSecret(..)")
    }
}
