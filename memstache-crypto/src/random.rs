//! Randomness, injected.

use std::fmt;

use memstache_core::{Error, ErrorKind, Result};
use ring::rand::SecureRandom as _;

/// Where salts, nonces and new keys come from.
///
/// An implementation must be fit for keys: unpredictable, and never the same twice, also over restarts and forks.
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills a buffer.
    ///
    /// Errors: [`Unavailable`](ErrorKind::Unavailable) if there is no randomness to be had. What is in the buffer then must
    /// not be used.
    fn fill(&self, out: &mut [u8]) -> Result<()>;
}

/// The operating system's randomness, by ring.
#[derive(Clone, Debug)]
pub struct SystemRandom(ring::rand::SystemRandom);

impl SystemRandom {
    /// Creates the source; nothing is opened or read before the first use.
    pub fn new() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Default for SystemRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        self.0.fill(out).map_err(|_| Error::new(ErrorKind::Unavailable, "the system's randomness is not available"))
    }
}

/// Bytes that repeat for a seed: for golden values and tests, never for anything else.
///
/// HMAC-SHA256 over a counter, under the seed.
///
/// ```
/// use memstache_crypto::{Random, SeededRandom};
///
/// let (mut a, mut b) = ([0; 9], [0; 9]);
/// SeededRandom::new(7).fill(&mut a)?;
/// SeededRandom::new(7).fill(&mut b)?;
/// assert_eq!(a, b);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
#[derive(Debug)]
pub struct SeededRandom {
    key: ring::hmac::Key,
    next: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "test-util"))]
impl SeededRandom {
    /// Creates a source of its own.
    pub fn new(seed: u64) -> Self {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &seed.to_be_bytes());
        Self { key, next: std::sync::atomic::AtomicU64::new(0) }
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        for part in out.chunks_mut(32) {
            let at = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let block = ring::hmac::sign(&self.key, &at.to_be_bytes());
            part.copy_from_slice(&block.as_ref()[..part.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let filled = |random: &dyn Random| {
            let mut out = [0; 70];
            random.fill(&mut out).unwrap();
            out
        };
        assert_eq!(filled(&SeededRandom::new(1)), filled(&SeededRandom::new(1)));
        assert_ne!(filled(&SeededRandom::new(1)), filled(&SeededRandom::new(2)));
        let once = SeededRandom::new(1);
        assert_ne!(filled(&once), filled(&once));
        assert_ne!(filled(&SystemRandom::new()), filled(&SystemRandom::new()));
    }
}
