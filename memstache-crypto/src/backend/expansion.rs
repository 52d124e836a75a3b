//! HKDF-Expand with SHA-256 (RFC 5869, section 2.3), over each library.

/// Over ring's HMAC, which ring's own HKDF copies more often than it must.
pub(crate) mod with_ring {
    use ring::hmac::{Context, HMAC_SHA256, Key, Tag};

    /// The bytes of a block.
    const BLOCK: usize = 32;

    /// The pseudorandom key that entry keys are expanded from.
    pub(crate) struct Prk(Key);

    impl Prk {
        pub(crate) fn new(secret: &[u8; 32]) -> Self {
            Self(Key::new(HMAC_SHA256, secret))
        }

        /// Fills `out`, of at most 255 blocks.
        #[inline(always)]
        pub(crate) fn expand(&self, info: &[u8], out: &mut [u8]) {
            if out.len() > BLOCK {
                return self.expand_long(info, out);
            }
            // Nearly always, and with nothing moved: a context is some hundred bytes, and moving what was just written waits
            // until it is.
            let mut context = Context::with_key(&self.0);
            context.update(info);
            context.update(&[1]);
            out.copy_from_slice(&context.sign().as_ref()[..out.len()]);
        }

        #[inline(never)]
        fn expand_long(&self, info: &[u8], out: &mut [u8]) {
            let mut last: Option<Tag> = None;
            for (number, block) in (1..).zip(out.chunks_mut(BLOCK)) {
                let number = u8::try_from(number).expect("a few bytes are within what HKDF gives");
                let mut context = Context::with_key(&self.0);
                // Each block but the first begins with the one before.
                if let Some(last) = &last {
                    context.update(last.as_ref());
                }
                context.update(info);
                context.update(&[number]);
                let tag = context.sign();
                block.copy_from_slice(&tag.as_ref()[..block.len()]);
                last = Some(tag);
            }
        }
    }
}

#[cfg(feature = "aws-lc")]
pub(crate) mod with_aws_lc {
    use aws_lc_rs::hkdf::{self, HKDF_SHA256, KeyType};

    /// The pseudorandom key that entry keys are expanded from.
    pub(crate) struct Prk(hkdf::Prk);

    impl Prk {
        pub(crate) fn new(secret: &[u8; 32]) -> Self {
            Self(hkdf::Prk::new_less_safe(HKDF_SHA256, secret))
        }

        /// Fills `out`, of at most 255 blocks.
        #[inline]
        pub(crate) fn expand(&self, info: &[u8], out: &mut [u8]) {
            let filled = self.0.expand(&[info], Len(out.len())).and_then(|okm| okm.fill(out));
            filled.expect("a few bytes are within what HKDF gives");
        }
    }

    struct Len(usize);

    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
}
