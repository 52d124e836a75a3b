//! A transform by hand that calls ring as the policy needs it and does no more: randomness, HKDF, the key's setup, the AEAD
//! over as many bytes, bound to the address that was asked for, one buffer. No lookup of keys, no policy, no check of what
//! it opened, no counters.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use memstache_core::{Address, OneOrMany, Request, Response, Step, Transform};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk},
    rand::{SecureRandom as _, SystemRandom},
};

/// As many bytes of associated data as the layer has beside the address.
const AAD: usize = 66;
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

    fn seal(&self, address: &Address, plain: &[u8]) -> Bytes {
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
        let tag = bound(address, |aad| key.seal_in_place_separate_tag(nonce, aad, &mut out[FRESH..])).unwrap();
        out.extend_from_slice(tag.as_ref());
        out.into()
    }

    fn open(&self, address: &Address, stored: &[u8]) -> Bytes {
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
        bound(address, |aad| key.open_in_place_separate_tag(nonce, aad, tag.into(), &mut text, 0..).map(drop)).unwrap();
        let mut value = Bytes::from(text);
        value.advance(INNER);
        value
    }
}

/// Puts together what is authenticated beside the text.
fn bound<R>(address: &Address, use_it: impl FnOnce(Aad<&[u8]>) -> R) -> R {
    let (space, name) = (address.space_key(), address.name());
    let mut room = [7; 256];
    let len = AAD + space.len() + name.len();
    room[AAD..AAD + space.len()].copy_from_slice(space);
    room[AAD + space.len()..len].copy_from_slice(name);
    use_it(Aad::from(&room[..len]))
}

fn derived(prk: &Prk, salt: &[u8; 16]) -> LessSafeKey {
    let mut key = [0; 32];
    prk.expand(&[b"mst1/entry", &[1], &[3; 16], salt], Len).unwrap().fill(&mut key).unwrap();
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
}

impl Transform for Bare {
    /// Where what is answered must belong.
    type Pending = Option<OneOrMany<Address>>;

    fn request(&self, mut request: Request) -> Step<(Request, Self::Pending)> {
        if let Request::Get(get) = &request {
            let asked = get.items.map_ref(|item| item.address.clone());
            return Step::Now(Ok((request, Some(asked))));
        }
        for (address, entry) in request.entries_mut() {
            entry.value = self.seal(address, &entry.value);
            entry.content.sealed = true;
        }
        Step::Now(Ok((request, None)))
    }

    fn response(&self, asked: Self::Pending, mut response: Response) -> Step<Response> {
        for (address, entry) in asked.iter().flat_map(OneOrMany::iter).zip(response.entries_mut()) {
            entry.value = self.open(address, &entry.value);
            entry.meta.content.sealed = false;
        }
        Step::Now(Ok(response))
    }
}
