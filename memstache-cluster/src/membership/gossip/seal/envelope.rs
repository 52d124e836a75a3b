//! Datagrams, sealed and opened.

use std::{collections::HashMap, fmt};

use bytes::{BufMut as _, Bytes, BytesMut};
use memstache_core::Tick;
use ring::aead::{Aad, NONCE_LEN, Nonce};

use super::{
    Keys,
    keys::{Key, cipher},
    window::Window,
};
use crate::{
    member::{Incarnation, NodeId},
    membership::gossip::{
        parameters::{MAX_PACKET, TAG},
        wire::{HEADER, Header, Kind, PREFIX, Prefix},
    },
};

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Dropped {
    /// Too short, of an unknown version or kind, or with a body that makes no sense.
    Malformed,
    /// For another cluster.
    WrongCluster,
    /// Sealed by a secret that is not ours, in the clear though it should be sealed, or the other way round; or changed.
    Unauthentic,
    /// Seen before, or too old to know.
    Replayed,
    /// From an earlier life of its sender.
    Stale,
    /// From this node itself.
    Own,
}

/// How a sender stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Standing {
    Known,
    /// An earlier life of the sender, beside the one that is known. Only knocks come so far.
    Stale(Incarnation),
    /// Somebody else of the name of this node.
    Namesake,
}

/// A datagram that is what it says.
#[derive(Debug)]
pub(in super::super) struct Opened<'a> {
    pub(in super::super) header: Header,
    pub(in super::super) standing: Standing,
    pub(in super::super) prefix: Prefix,
    pub(in super::super) body: &'a [u8],
}

/// What is known of one sender.
struct Sender {
    incarnation: Incarnation,
    session: u64,
    secret: u32,
    key: Option<Key>,
    window: Window,
    /// The latest of its times that we have.
    sent: u64,
    seen: Tick,
}

/// Seals what this node sends and opens what it gets.
pub(in super::super) struct Envelope {
    keys: Keys,
    node: NodeId,
    incarnation: Incarnation,
    session: u64,
    key: Option<Key>,
    sequence: u64,
    senders: HashMap<NodeId, Sender>,
    max_senders: usize,
}

impl Envelope {
    pub(in super::super) fn new(
        keys: Keys,
        node: NodeId,
        incarnation: Incarnation,
        session: u64,
        max_senders: usize,
    ) -> Self {
        let mut envelope =
            Self { keys, node, incarnation, session, key: None, sequence: 0, senders: HashMap::new(), max_senders };
        envelope.renew(incarnation, session);
        envelope
    }

    /// Begins another life, with another key.
    pub(in super::super) fn renew(&mut self, incarnation: Incarnation, session: u64) {
        (self.incarnation, self.session, self.sequence) = (incarnation, session, 0);
        let derive = |secret| self.keys.derive(secret, self.node, incarnation, session);
        self.key = self.keys.first().and_then(derive);
    }

    /// Takes other secrets. What they do not know is not opened any more.
    pub(in super::super) fn set_keys(&mut self, keys: Keys) {
        for sender in self.senders.values_mut().filter(|sender| !keys.knows(sender.secret)) {
            sender.key = None;
        }
        self.keys = keys;
        // The sequence goes on, in case the first secret is the one that it was.
        let derive = |secret| self.keys.derive(secret, self.node, self.incarnation, self.session);
        self.key = self.keys.first().and_then(derive);
    }

    #[cfg(test)]
    pub(in super::super) fn known_senders(&self) -> usize {
        self.senders.len()
    }

    pub(in super::super) fn is_sealed(&self) -> bool {
        self.key.is_some()
    }

    pub(in super::super) fn session(&self) -> u64 {
        self.session
    }

    /// Seals a body for a node, if it is known which.
    pub(in super::super) fn seal(&mut self, kind: Kind, to: Option<NodeId>, now: Tick, body: &[u8]) -> Bytes {
        let known = to.and_then(|to| self.senders.get(&to));
        let (echo, session) = known.map_or((0, 0), |known| (known.sent, known.session));
        self.seal_with(kind, Prefix { sent: now.as_millis().saturating_add(1), echo, session }, body)
    }

    /// Seals a body with a prefix of its own.
    pub(in super::super) fn seal_with(&mut self, kind: Kind, prefix: Prefix, body: &[u8]) -> Bytes {
        let header = Header {
            kind,
            sealed: self.key.is_some(),
            cluster: self.keys.cluster(),
            secret: self.keys.first().unwrap_or(0),
            node: self.node,
            incarnation: self.incarnation,
            session: self.session,
            sequence: self.sequence,
        }
        .to_bytes();
        let mut out = BytesMut::with_capacity(HEADER + PREFIX + body.len() + TAG);
        out.put_slice(&header);
        out.put_slice(&prefix.to_bytes());
        out.put_slice(body);
        if let Some(key) = &self.key {
            let (_, text) = out.split_at_mut(HEADER);
            let sealed = cipher(key).seal_in_place_separate_tag(nonce(self.sequence), Aad::from(&header), text);
            out.put_slice(sealed.expect("a datagram is no longer than an AEAD can take").as_ref());
        }
        // One a nanosecond would take 584 years.
        self.sequence += 1;
        out.freeze()
    }

    /// Opens a datagram in place.
    pub(in super::super) fn open<'a>(&mut self, datagram: &'a mut [u8], now: Tick) -> Result<Opened<'a>, Dropped> {
        if datagram.len() > MAX_PACKET {
            return Err(Dropped::Malformed);
        }
        let (bytes, text) = datagram.split_first_chunk_mut::<HEADER>().ok_or(Dropped::Malformed)?;
        let header = Header::from_bytes(bytes).ok_or(Dropped::Malformed)?;
        if header.cluster != self.keys.cluster() {
            return Err(Dropped::WrongCluster);
        }
        if header.sealed != self.key.is_some() {
            return Err(Dropped::Unauthentic);
        }
        if header.node == self.node && header.session == self.session {
            return Err(Dropped::Own);
        }
        let standing = self.standing(&header)?;
        let known = self.senders.get(&header.node).filter(|it| standing == Standing::Known && it.is(&header));
        let derived;
        let key = match known {
            Some(known) => known.key.as_ref(),
            None => {
                derived = self.keys.derive(header.secret, header.node, header.incarnation, header.session);
                derived.as_ref()
            }
        };
        let (prefix, body) = unseal(header, bytes, text, key)?;
        let key = if known.is_some() { None } else { key.cloned() };
        if standing == Standing::Known {
            self.note(&header, key, prefix.sent, now);
        }
        Ok(Opened { header, standing, prefix, body })
    }

    /// What can be told before a datagram is opened.
    fn standing(&self, header: &Header) -> Result<Standing, Dropped> {
        if header.node == self.node {
            return Ok(Standing::Namesake);
        }
        let Some(known) = self.senders.get(&header.node) else { return Ok(Standing::Known) };
        if known.same_life(header) {
            let new = known.window.is_new(header.sequence);
            return if new { Ok(Standing::Known) } else { Err(Dropped::Replayed) };
        }
        if header.incarnation > known.incarnation {
            return Ok(Standing::Known);
        }
        // A node whose clock was put back, or one that was replaced, must hear of it.
        if header.kind == Kind::Knock { Ok(Standing::Stale(known.incarnation)) } else { Err(Dropped::Stale) }
    }

    /// Notes what an authentic datagram tells of its sender.
    fn note(&mut self, header: &Header, key: Option<Key>, sent: u64, now: Tick) {
        let known = self.senders.get_mut(&header.node).filter(|known| known.is(header));
        if let Some(known) = known {
            known.window.take(header.sequence);
            known.sent = known.sent.max(sent);
            known.seen = now;
            return;
        }
        if self.senders.len() >= self.max_senders && !self.senders.contains_key(&header.node) {
            // Only who knows the secret comes here.
            let oldest = self.senders.iter().min_by_key(|(id, it)| (it.seen, **id)).map(|(id, _)| *id);
            oldest.and_then(|oldest| self.senders.remove(&oldest));
        }
        // By another secret the sequence goes on.
        let before = self.senders.remove(&header.node).filter(|known| known.same_life(header));
        let (mut window, before) = before.map(|known| (known.window, known.sent)).unwrap_or_default();
        window.take(header.sequence);
        let (incarnation, session, secret) = (header.incarnation, header.session, header.secret);
        let sender = Sender { incarnation, session, secret, key, window, sent: sent.max(before), seen: now };
        self.senders.insert(header.node, sender);
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let senders = &self.senders.len();
        f.debug_struct("Envelope").field("keys", &self.keys).field("senders", senders).finish_non_exhaustive()
    }
}

impl Sender {
    fn same_life(&self, header: &Header) -> bool {
        (self.incarnation, self.session) == (header.incarnation, header.session)
    }

    fn is(&self, header: &Header) -> bool {
        self.same_life(header) && self.secret == header.secret
    }
}

/// Checks the tag, decrypts and splits what a datagram holds.
fn unseal<'a>(
    header: Header,
    bytes: &[u8; HEADER],
    text: &'a mut [u8],
    key: Option<&Key>,
) -> Result<(Prefix, &'a [u8]), Dropped> {
    let text = match key {
        Some(key) => {
            let opened = cipher(key).open_in_place(nonce(header.sequence), Aad::from(bytes), text);
            &*opened.map_err(|_| Dropped::Unauthentic)?
        }
        None if header.sealed => return Err(Dropped::Unauthentic),
        None => text,
    };
    Prefix::split(text).ok_or(Dropped::Malformed)
}

fn nonce(sequence: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&sequence.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}
