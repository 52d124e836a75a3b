//! Which library does the work.

mod expansion;
mod primitives;

use std::fmt;

#[cfg(feature = "aws-lc")]
use self::primitives::with_aws_lc;
use self::primitives::with_ring;
use crate::key::Secret;

/// The bytes of a nonce, of both AEADs.
pub(crate) const NONCE_LEN: usize = 12;
/// The bytes of a tag, of both AEADs.
pub(crate) const TAG_LEN: usize = 16;

/// The library that encrypts and derives keys. What one seals, the other opens.
///
/// Default: ring.
///
/// ```
/// use memstache_crypto::Backend;
///
/// assert_eq!(Backend::default(), Backend::ring());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Backend(Library);

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Library {
    #[default]
    Ring,
    #[cfg(feature = "aws-lc")]
    AwsLc,
}

impl Backend {
    /// ring, a small library whose code is BoringSSL's.
    pub const fn ring() -> Self {
        Self(Library::Ring)
    }

    /// AWS-LC by aws-lc-rs; it overwrites its own keys when they are dropped.
    #[cfg(feature = "aws-lc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws-lc")))]
    pub const fn aws_lc() -> Self {
        Self(Library::AwsLc)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Library::Ring => "ring",
            #[cfg(feature = "aws-lc")]
            Library::AwsLc => "aws-lc",
        })
    }
}

/// An algorithm that encrypts and authenticates; the key has 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aead {
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

/// A secret as the pseudorandom key of HKDF-SHA256, for each backend.
pub(crate) struct Prks {
    ring: expansion::with_ring::Prk,
    #[cfg(feature = "aws-lc")]
    aws_lc: expansion::with_aws_lc::Prk,
}

impl Prks {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self {
            ring: expansion::with_ring::Prk::new(secret.expose()),
            #[cfg(feature = "aws-lc")]
            aws_lc: expansion::with_aws_lc::Prk::new(secret.expose()),
        }
    }

    /// Expands the key for an info.
    #[inline(always)]
    pub(crate) fn expand(&self, backend: Backend, info: &[u8], out: &mut [u8]) {
        match backend.0 {
            Library::Ring => self.ring.expand(info, out),
            #[cfg(feature = "aws-lc")]
            Library::AwsLc => self.aws_lc.expand(info, out),
        }
    }
}

/// A prepared key of an AEAD.
#[cfg_attr(feature = "aws-lc", expect(clippy::large_enum_variant, reason = "made for one call: a box would cost more"))]
pub(crate) enum Cipher {
    Ring(with_ring::Cipher),
    #[cfg(feature = "aws-lc")]
    AwsLc(with_aws_lc::Cipher),
}

/// The tag does not fit, or the text is longer than an AEAD can take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Cipher {
    #[inline(always)]
    pub(crate) fn new(backend: Backend, aead: Aead, key: &[u8; 32]) -> Self {
        match backend.0 {
            Library::Ring => Self::Ring(with_ring::Cipher::new(aead, key)),
            #[cfg(feature = "aws-lc")]
            Library::AwsLc => Self::AwsLc(with_aws_lc::Cipher::new(aead, key)),
        }
    }

    /// Encrypts in place and returns the tag. A nonce is used once.
    #[inline(always)]
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN], Refused> {
        match self {
            Self::Ring(cipher) => cipher.seal(nonce, aad, text).map_err(|_| Refused),
            #[cfg(feature = "aws-lc")]
            Self::AwsLc(cipher) => cipher.seal(nonce, aad, text).map_err(|_| Refused),
        }
    }

    /// Checks the tag and decrypts in place; after a failure the buffer must not be looked at.
    #[inline(always)]
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        text: &mut [u8],
        tag: [u8; TAG_LEN],
    ) -> Result<(), Refused> {
        match self {
            Self::Ring(cipher) => cipher.open(nonce, aad, text, tag).map_err(|_| Refused),
            #[cfg(feature = "aws-lc")]
            Self::AwsLc(cipher) => cipher.open(nonce, aad, text, tag).map_err(|_| Refused),
        }
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

#[cfg(test)]
pub(crate) mod tests;
