//! RSA keys, by AWS-LC.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{
        KeyPair, KeyPairComponents, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
        OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicKeyComponents,
    },
    signature::KeyPair as _,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::failure::Failure;

/// A private key of 2048, 3072 or 4096 bits.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct RsaKey {
    pkcs8: Zeroizing<Vec<u8>>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// A private key as JSON (RFC 7518, section 6.3).
#[derive(Deserialize)]
pub(super) struct Jwk {
    pub(super) kty: Option<String>,
    pub(super) key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
}

/// What RSA encrypts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// OAEP with SHA-1 for the hash and the mask.
    Oaep,
    /// OAEP with SHA-256 for both.
    Oaep256,
}

impl Padding {
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "RSA-OAEP" => Ok(Self::Oaep),
            "RSA-OAEP-256" => Ok(Self::Oaep256),
            _ => Err(Failure::field("alg", "RSA-OAEP or RSA-OAEP-256", "another algorithm")),
        }
    }

    fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Oaep => &OAEP_SHA1_MGF1SHA1,
            Self::Oaep256 => &OAEP_SHA256_MGF1SHA256,
        }
    }
}

impl RsaKey {
    /// Makes a key. Takes from a tenth of a second to some seconds, longer without optimisation.
    pub(super) fn generate(bits: u32) -> Result<Self, Failure> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(Failure::field("key_size", "2048, 3072 or 4096", bits)),
        };
        let pair = KeyPair::generate(size).map_err(|_| Failure::internal("The key could not be made."))?;
        Self::of(&pair)
    }

    pub(super) fn import(jwk: &Jwk) -> Result<Self, Failure> {
        let part = |name: &str, text: &Option<String>| {
            let missing = || Failure::field(format_args!("key.{name}"), "base64url without padding", "something else");
            BASE64URL_NOPAD.decode(text.as_deref().unwrap_or("*").as_bytes()).map_err(|_| missing())
        };
        let (n, e) = (part("n", &jwk.n)?, part("e", &jwk.e)?);
        if ![2048, 3072, 4096].contains(&(n.len() * 8)) {
            return Err(Failure::field("key.n", "2048, 3072 or 4096 bits long", format_args!("{} bits", n.len() * 8)));
        }
        let secret = |name, text| part(name, text).map(Zeroizing::new);
        let (d, p, q) = (secret("d", &jwk.d)?, secret("p", &jwk.p)?, secret("q", &jwk.q)?);
        let (dp, dq, qi) = (secret("dp", &jwk.dp)?, secret("dq", &jwk.dq)?, secret("qi", &jwk.qi)?);
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: &n[..], e: &e[..] },
            d: &d[..],
            p: &p[..],
            q: &q[..],
            dP: &dp[..],
            dQ: &dq[..],
            qInv: &qi[..],
        };
        let pair = KeyPair::from_components(&components);
        Self::of(&pair.map_err(|_| Failure::bad("The parts of the key do not belong together."))?)
    }

    fn of(pair: &KeyPair) -> Result<Self, Failure> {
        let pkcs8 = pair.as_der().map_err(|_| Failure::internal("The key could not be encoded."))?;
        let public = pair.public_key();
        Ok(Self {
            pkcs8: Zeroizing::new(pkcs8.as_ref().to_vec()),
            modulus: public.modulus().big_endian_without_leading_zero().to_vec(),
            exponent: public.exponent().big_endian_without_leading_zero().to_vec(),
        })
    }

    /// The length of the modulus in bytes, which is that of every ciphertext.
    pub(super) fn len(&self) -> usize {
        self.modulus.len()
    }

    pub(super) fn bits(&self) -> u32 {
        u32::try_from(self.len() * 8).expect("at most 4096 bits")
    }

    /// The public part of the JWK.
    pub(super) fn describe(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        json!({ "kty": "RSA", "n": text(&self.modulus), "e": text(&self.exponent) })
    }

    pub(super) fn encrypt(&self, padding: Padding, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let key = OaepPublicEncryptingKey::new(self.parsed()?.public_key()).map_err(|_| unusable())?;
        let most = key.max_plaintext_size(padding.algorithm());
        if plain.len() > most {
            let limit = format_args!("at most {most} bytes long for this key and algorithm");
            return Err(Failure::field("value", limit, format_args!("{} bytes", plain.len())));
        }
        let mut out = vec![0; key.ciphertext_size()];
        let len = key.encrypt(padding.algorithm(), plain, &mut out, None).map_err(|_| unusable())?.len();
        out.truncate(len);
        Ok(out)
    }

    pub(super) fn decrypt(&self, padding: Padding, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if cipher.len() != self.len() {
            let limit = format_args!("{} bytes long for this key", self.len());
            return Err(Failure::field("value", limit, format_args!("{} bytes", cipher.len())));
        }
        let key = OaepPrivateDecryptingKey::new(self.parsed()?).map_err(|_| unusable())?;
        let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
        let wrong = |_| Failure::bad("The parameter is incorrect: value was not encrypted for this key.");
        let len = key.decrypt(padding.algorithm(), cipher, &mut out, None).map_err(wrong)?.len();
        out.truncate(len);
        Ok(out)
    }

    fn parsed(&self) -> Result<PrivateDecryptingKey, Failure> {
        PrivateDecryptingKey::from_pkcs8(&self.pkcs8).map_err(|_| unusable())
    }
}

fn unusable() -> Failure {
    Failure::internal("The key could not be used.")
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").field("bits", &self.bits()).finish_non_exhaustive()
    }
}

impl From<RsaKey> for String {
    fn from(key: RsaKey) -> Self {
        BASE64.encode(&key.pkcs8)
    }
}

impl TryFrom<String> for RsaKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let pkcs8 = Zeroizing::new(BASE64.decode(Zeroizing::new(text).as_bytes()).map_err(|_| "not base64")?);
        let pair = KeyPair::from_pkcs8(&pkcs8).map_err(|_| "not an RSA key")?;
        Self::of(&pair).map_err(|_| "not an RSA key")
    }
}
