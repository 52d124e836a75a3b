//! The ciphers of a backend: the same code over each library, whose interfaces are nearly the same.

/// Makes a module of a library's AEADs; opening with the tag apart is where the libraries differ.
macro_rules! primitives {
    ($name:ident, $lib:ident, $open:expr) => {
        pub(crate) mod $name {
            use $lib::{
                aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
                error::Unspecified,
            };

            use crate::backend::{Aead, NONCE_LEN, TAG_LEN};

            /// A prepared key of an AEAD.
            pub(crate) struct Cipher(LessSafeKey);

            impl Cipher {
                #[inline(always)]
                pub(crate) fn new(aead: Aead, key: &[u8; 32]) -> Self {
                    let algorithm = match aead {
                        Aead::Aes256Gcm => &AES_256_GCM,
                        Aead::ChaCha20Poly1305 => &CHACHA20_POLY1305,
                    };
                    Self(LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both have keys of 32 bytes")))
                }

                /// Encrypts in place and returns the tag.
                #[inline(always)]
                pub(crate) fn seal(
                    &self,
                    nonce: [u8; NONCE_LEN],
                    aad: &[u8],
                    text: &mut [u8],
                ) -> Result<[u8; TAG_LEN], Unspecified> {
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text)?;
                    tag.as_ref().try_into().map_err(|_| Unspecified)
                }

                /// Checks the tag and decrypts in place; what is in the buffer after a failure is nothing.
                #[inline(always)]
                pub(crate) fn open(
                    &self,
                    nonce: [u8; NONCE_LEN],
                    aad: &[u8],
                    text: &mut [u8],
                    tag: [u8; TAG_LEN],
                ) -> Result<(), Unspecified> {
                    let open: fn(&LessSafeKey, Nonce, &[u8], &mut [u8], [u8; TAG_LEN]) -> Result<(), Unspecified> =
                        $open;
                    open(&self.0, Nonce::assume_unique_for_key(nonce), aad, text, tag)
                }
            }
        }
    };
}

primitives!(with_ring, ring, |key, nonce, aad, text, tag| {
    key.open_in_place_separate_tag(nonce, Aad::from(aad), tag.into(), text, 0..).map(drop)
});
#[cfg(feature = "aws-lc")]
primitives!(with_aws_lc, aws_lc_rs, |key, nonce, aad, text, tag| {
    key.open_in_place_separate_tag(nonce, Aad::from(aad), &tag, text).map(drop)
});
