//! Thirty-two secret bytes.

use std::fmt;

use memstache_core::Result;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::random::Random;

/// A secret of 32 bytes; overwritten when it is dropped, compared in constant time, never printed.
///
/// What is derived of it lives on in the keys that were made of it; see the limits in the crate's documentation.
///
/// ```
/// use memstache_crypto::{Secret, SystemRandom};
///
/// let secret = Secret::random(&SystemRandom::new())?;
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The bytes of a secret.
    pub const LEN: usize = 32;

    /// Takes a secret that comes from somewhere else; it must be uniformly random, not a passphrase.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Makes a new secret.
    ///
    /// Errors: those of the source of randomness.
    pub fn random(random: &dyn Random) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        random.fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the secret bytes.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl PartialEq for Secret {
    /// Compares in constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn secrets_are_random_equal_to_themselves_and_not_printed() {
        let (a, b) = (Secret::random(&SystemRandom::new()).unwrap(), Secret::random(&SystemRandom::new()).unwrap());
        assert_ne!(a, b);
        assert_eq!(a, Secret::from_bytes(*a.expose()));
        assert_eq!(format!("{a:?}"), "Secret(..)");
    }
}
