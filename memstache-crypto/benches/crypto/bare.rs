//! A transform by hand that calls ring as the policy needs it and does no more: randomness, HKDF, the key's setup, the AEAD
//! over as many bytes, one buffer. No lookup of keys, no policy, no check of what it opened, no counters.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use memstache_core::{Request, Response, Step, Transform};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk},
    rand::{SecureRandom as _, SystemRandom},
};

/// As many bytes of associated data as the layer's.
const AAD: [u8; 95] = [7; 95];
/// As many bytes as are said inside beside the value.
const INNER: usize = 44;
/// Salt and nonce.
const FRESH: usize = 28;

struct Len;

impl KeyType for Len {
    fn len(&self) -> usize {
        32
    }
}

#[derive(Clone)]
pub(crate) struct Bare(Arc<Keys>);

struct Keys {
    random: SystemRandom,
    prk: Prk,
    /// The key of all, if they share one.
    shared: Option<LessSafeKey>,
}

impl Bare {
    pub(crate) fn new(shared: bool) -> Self {
        let prk = Prk::new_less_safe(HKDF_SHA256, &[1; 32]);
        let shared = shared.then(|| derived(&prk, &[2; 16]));
        Self(Arc::new(Keys { random: SystemRandom::new(), prk, shared }))
    }

    fn seal(&self, plain: &[u8]) -> Bytes {
        let Keys { random, prk, shared } = &*self.0;
        let mut fresh = [0; FRESH];
        let own;
        let key = match shared {
            Some(key) => {
                random.fill(&mut fresh[16..]).unwrap();
                key
            }
            None => {
                random.fill(&mut fresh).unwrap();
                own = derived(prk, fresh.first_chunk().unwrap());
                &own
            }
        };
        let mut out = Vec::with_capacity(FRESH + INNER + plain.len() + 16);
        out.extend_from_slice(&fresh);
        out.extend_from_slice(&[0; INNER]);
        out.extend_from_slice(plain);
        let nonce = Nonce::try_assume_unique_for_key(&fresh[16..]).unwrap();
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(AAD), &mut out[FRESH..]).unwrap();
        out.extend_from_slice(tag.as_ref());
        out.into()
    }

    fn open(&self, stored: &[u8]) -> Bytes {
        let Keys { prk, shared, .. } = &*self.0;
        let own;
        let key = match shared {
            Some(key) => key,
            None => {
                own = derived(prk, stored.first_chunk().unwrap());
                &own
            }
        };
        let mut text = stored[FRESH..stored.len() - 16].to_vec();
        let tag: [u8; 16] = *stored.last_chunk().unwrap();
        let nonce = Nonce::try_assume_unique_for_key(&stored[16..FRESH]).unwrap();
        key.open_in_place_separate_tag(nonce, Aad::from(AAD), tag.into(), &mut text, 0..).unwrap();
        let mut value = Bytes::from(text);
        value.advance(INNER);
        value
    }
}

fn derived(prk: &Prk, salt: &[u8; 16]) -> LessSafeKey {
    let mut key = [0; 32];
    prk.expand(&[b"mst1/entry", &[1], &[3; 16], salt], Len).unwrap().fill(&mut key).unwrap();
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
}

impl Transform for Bare {
    type Pending = ();

    fn request(&self, mut request: Request) -> Step<(Request, ())> {
        for (_, entry) in request.entries_mut() {
            entry.value = self.seal(&entry.value);
            entry.content.sealed = true;
        }
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        for entry in response.entries_mut() {
            entry.value = self.open(&entry.value);
            entry.meta.content.sealed = false;
        }
        Step::Now(Ok(response))
    }
}
