//! Keys for senders, from the secrets of the cluster.

use std::fmt;

use ring::{
    aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use xxhash_rust::xxh3::xxh3_64;
use zeroize::Zeroizing;

use crate::{
    member::{Incarnation, NodeId},
    membership::gossip::GossipSecret,
};

/// A key of ChaCha20-Poly1305.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// The secrets of a cluster, the one to send by first, made ready to derive from. None: everything is in the clear.
pub(in super::super) struct Keys {
    cluster: u64,
    secrets: Vec<(u32, Prk)>,
}

impl Keys {
    pub(in super::super) fn new(cluster: &str, secrets: &[GossipSecret]) -> Self {
        let salt = Salt::new(HKDF_SHA256, &[b"memstache gossip 1\0", cluster.as_bytes()].concat());
        let secrets = secrets.iter().map(|secret| {
            let prk = salt.extract(secret.expose());
            let mut number = [0; 4];
            expand(&prk, &[b"number"], &mut number);
            (u32::from_be_bytes(number), prk)
        });
        Self { cluster: xxh3_64(cluster.as_bytes()), secrets: secrets.collect() }
    }

    /// The hash of the cluster's name.
    pub(super) const fn cluster(&self) -> u64 {
        self.cluster
    }

    /// The number of the secret to send by, if there is one.
    pub(super) fn first(&self) -> Option<u32> {
        self.secrets.first().map(|(number, _)| *number)
    }

    /// Whether there is a secret of this number.
    pub(super) fn knows(&self, secret: u32) -> bool {
        self.secrets.iter().any(|(number, _)| *number == secret)
    }

    /// The key of a sender; none if the secret of that number is not known.
    pub(super) fn derive(&self, secret: u32, node: NodeId, incarnation: Incarnation, session: u64) -> Option<Key> {
        let (_, prk) = self.secrets.iter().find(|(number, _)| *number == secret)?;
        let mut key = Zeroizing::new([0; 32]);
        let parts = [node.0.to_be_bytes(), incarnation.0.to_be_bytes(), session.to_be_bytes()];
        expand(prk, &[b"seal", &parts[0], &parts[1], &parts[2]], &mut *key);
        Some(key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// ChaCha20-Poly1305 has no key schedule: a key is kept as its bytes.
pub(super) fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &**key).expect("32 bytes"))
}

/// HKDF-Expand (RFC 5869).
fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) {
    let filled = prk.expand(info, Len(out.len())).and_then(|okm| okm.fill(out));
    filled.expect("a few bytes are within what HKDF gives");
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}
