//! One-shot encryption to a public key, for export and for first contact; entries are sealed otherwise.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{Error, ErrorKind, Result};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{RsaPrivateKey, RsaPublicKey};
use crate::{
    key::Secret,
    random::{Random, SystemRandom},
};

/// The longest text that is encrypted at once, in bytes.
pub const MAX_HYBRID_DATA: usize = 64 << 20;

const VERSION: u8 = 1;
/// RSA-OAEP-256 and AES-256-GCM.
const SUITE: u8 = 1;
const HEADER: usize = 4;
const TAG: usize = 16;
/// The label of the wrapped key: it serves nothing else.
const LABEL: &[u8] = b"mst1/hybrid";

/// Encrypts to a public RSA key and decrypts with the private one: hybrid, RSA-OAEP-256 and AES-256-GCM.
///
/// Each text gets a key of its own, which RSA wraps. Whoever has the public key can encrypt: what decrypts was not changed,
/// but who wrote it is not said.
///
/// ```text
/// 0   1  version 1
/// 1   1  suite 1: RSA-OAEP with SHA-256 and MGF1-SHA-256, label "mst1/hybrid"; AES-256-GCM
/// 2   2  length k of the wrapped key, big-endian: 256, 384 or 512 for keys of 2048, 3072, 4096 bits
/// 4   k  wrapped key
///    12  nonce
///     n  ciphertext, then 16 tag; associated data: everything before the ciphertext
/// ```
///
/// So it adds 288, 416 or 544 bytes. A text has at most 64 MiB.
///
/// ```
/// use memstache_crypto::{CryptoService, RsaPrivateKey};
///
/// let key = RsaPrivateKey::generate(2048)?;
/// let service = CryptoService::new();
/// let sealed = service.encrypt_data(key.public(), b"for your eyes only")?;
/// assert_eq!(sealed.len(), 288 + 18);
/// assert_eq!(&service.decrypt_data(&key, &sealed)?[..], b"for your eyes only");
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct CryptoService {
    random: SystemRandom,
}

impl CryptoService {
    /// Creates one; it holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encrypts a text of at most 64 MiB.
    ///
    /// Errors: [`TooLarge`](ErrorKind::TooLarge), [`Unavailable`](ErrorKind::Unavailable) without randomness.
    pub fn encrypt_data(&self, public_key: &RsaPublicKey, data: &[u8]) -> Result<Bytes> {
        if data.len() > MAX_HYBRID_DATA {
            let detail =
                format!("data must be at most {MAX_HYBRID_DATA} bytes long, but {} bytes was given", data.len());
            return Err(Error::new(ErrorKind::TooLarge, detail));
        }
        let secret = Secret::random(&self.random)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let wrapped = public_key.encrypt(secret.expose(), LABEL)?;
        let mut out = BytesMut::with_capacity(HEADER + wrapped.len() + NONCE_LEN + data.len() + TAG);
        out.put_u8(VERSION);
        out.put_u8(SUITE);
        out.put_u16(u16::try_from(wrapped.len()).expect("a key has at most 4096 bits"));
        out.put_slice(&wrapped);
        out.put_slice(&nonce);
        let mut text = out.split_off(out.len());
        text.put_slice(data);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = cipher(&secret).seal_in_place_separate_tag(nonce, Aad::from(&out[..]), &mut text);
        let tag = tag.map_err(|_| Error::new(ErrorKind::TooLarge, "the data could not be encrypted"))?;
        text.put_slice(tag.as_ref());
        out.unsplit(text);
        Ok(out.freeze())
    }

    /// Decrypts what [`encrypt_data`](Self::encrypt_data) made.
    ///
    /// Errors: [`Rejected`](ErrorKind::Rejected), one text for every reason: another key, a changed bit, a text cut short;
    /// [`Unsupported`](ErrorKind::Unsupported) for another version or suite.
    pub fn decrypt_data(&self, private_key: &RsaPrivateKey, data: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let parts = Parts::of(data)?;
        let secret = private_key.decrypt(parts.wrapped, LABEL).map_err(|_| rejected())?;
        let secret = Secret::from_bytes(secret.as_slice().try_into().map_err(|_| rejected())?);
        let mut text = Zeroizing::new(parts.sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(parts.nonce);
        let opened = cipher(&secret).open_in_place(nonce, Aad::from(parts.header), &mut text);
        let len = opened.map_err(|_| rejected())?.len();
        text.truncate(len);
        Ok(text)
    }
}

struct Parts<'a> {
    /// Everything before the ciphertext.
    header: &'a [u8],
    wrapped: &'a [u8],
    nonce: [u8; NONCE_LEN],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(data: &'a [u8]) -> Result<Self> {
        let (start, rest) = data.split_first_chunk::<HEADER>().ok_or_else(rejected)?;
        if (start[0], start[1]) != (VERSION, SUITE) {
            return Err(Error::new(ErrorKind::Unsupported, "the data was encrypted by another version or suite"));
        }
        let len = usize::from(u16::from_be_bytes([start[2], start[3]]));
        let (wrapped, rest) = rest.split_at_checked(len).ok_or_else(rejected)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(rejected)?;
        if sealed.len() < TAG || sealed.len() > MAX_HYBRID_DATA + TAG {
            return Err(rejected());
        }
        Ok(Self { header: &data[..HEADER + len + NONCE_LEN], wrapped, nonce: *nonce, sealed })
    }
}

fn cipher(secret: &Secret) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.expose()).expect("32 bytes are a key of AES-256"))
}

fn rejected() -> Error {
    Error::new(ErrorKind::Rejected, "the data cannot be decrypted")
}

impl fmt::Debug for CryptoService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoService").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_survives_and_only_the_right_key_opens() {
        let (key, other) = (RsaPrivateKey::generate(2_048).unwrap(), RsaPrivateKey::generate(2_048).unwrap());
        let service = CryptoService::new();
        for len in [0, 1, 15, 16, 17, 4_096, 100_000] {
            let data = vec![7; len];
            let sealed = service.encrypt_data(key.public(), &data).unwrap();
            assert_eq!(sealed.len(), 288 + len);
            assert_eq!(**service.decrypt_data(&key, &sealed).unwrap(), data);
            assert_eq!(service.decrypt_data(&other, &sealed).unwrap_err().kind(), ErrorKind::Rejected);
        }
        let twice = [0, 1].map(|_| service.encrypt_data(key.public(), b"tea").unwrap());
        assert_ne!(twice[0], twice[1]);
        let error = service.encrypt_data(key.public(), &vec![0; MAX_HYBRID_DATA + 1]).unwrap_err();
        assert_eq!(error.to_string(), "data must be at most 67108864 bytes long, but 67108865 bytes was given");
    }

    #[test]
    fn no_flipped_bit_no_truncation_and_no_extension_is_accepted() {
        let key = RsaPrivateKey::generate(2_048).unwrap();
        let service = CryptoService::new();
        let good = service.encrypt_data(key.public(), b"for your eyes only").unwrap();
        let refused = |data: &[u8]| {
            let error = service.decrypt_data(&key, data).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Rejected | ErrorKind::Unsupported), "{error}");
        };
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << (at % 8);
            refused(&bad);
        }
        (0..good.len()).step_by(3).for_each(|len| refused(&good[..len]));
        refused(&[&good[..], b"x"].concat());
        refused(&[1, 1, 0xFF, 0xFF]);
    }
}
