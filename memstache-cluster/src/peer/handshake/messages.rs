//! What is said in a handshake.

use bytes::{Buf, BufMut, Bytes};
use memstache_core::{Error, ErrorKind, Result};

use crate::{
    member::{Incarnation, NodeId, Protocols},
    peer::local::{KeyId, MAX_CLUSTER, MAX_SECRETS},
};

/// Drawn anew for each handshake.
pub(crate) type Nonce = [u8; 32];

/// The length of a proof.
pub(super) const PROOF: usize = 32;

/// What a Hello begins with, so that a stranger who speaks another protocol is told apart at once.
const MAGIC: &[u8; 8] = b"memstach";

/// Why one end does not want to speak to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// Another cluster.
    Cluster,
    /// No common version.
    Protocol,
    /// No common secret, or a wrong proof.
    Secret,
    /// It is oneself.
    Yourself,
    /// It is another process with one's own name.
    SameName,
    /// Not the node that was meant.
    Another,
    /// Too many connections.
    Busy,
    /// On its way out.
    Stopping,
    /// What was said cannot be read.
    Malformed,
}

impl Refusal {
    pub(crate) const ALL: [Self; 9] = [
        Self::Cluster,
        Self::Protocol,
        Self::Secret,
        Self::Yourself,
        Self::SameName,
        Self::Another,
        Self::Busy,
        Self::Stopping,
        Self::Malformed,
    ];

    pub(crate) fn code(self) -> u8 {
        // By position, from 1: the order never changes.
        1 + u8::try_from(Self::ALL.iter().position(|known| *known == self).expect("all are there")).expect("few")
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// What a listener bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most calls under way.
    pub(crate) in_flight: u32,
    /// Longest frame.
    pub(crate) frame: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) cluster: String,
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    /// Whom the dialler means to reach.
    pub(super) whom: NodeId,
    pub(super) protocols: Protocols,
    pub(super) nonce: Nonce,
    pub(super) keys: Vec<KeyId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) protocol: u8,
    pub(super) limits: Limits,
    pub(super) nonce: Nonce,
    /// Under which key the proofs are; none if neither knows a secret.
    pub(super) key: Option<KeyId>,
}

pub(super) fn malformed() -> Error {
    Error::new(ErrorKind::Protocol, "a peer sent a handshake that cannot be read")
}

// Hello:
//   8  "memstach"
//   1  oldest, 1 newest version
//   8  node, 8 incarnation
//   8  whom it means to reach
//  32  nonce
//   1  length, n name of the cluster
//   1  number of keys, each: 8 id
impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.put_slice(MAGIC);
        out.put_slice(&[self.protocols.oldest(), self.protocols.newest()]);
        out.put_u64(self.node.0);
        out.put_u64(self.incarnation.0);
        out.put_u64(self.whom.0);
        out.put_slice(&self.nonce);
        out.put_u8(u8::try_from(self.cluster.len()).expect("at most 64 bytes"));
        out.put_slice(self.cluster.as_bytes());
        out.put_u8(u8::try_from(self.keys.len()).expect("at most four keys"));
        self.keys.iter().for_each(|key| out.put_slice(key));
        out
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self> {
        let magic: [u8; 8] = array(&mut bytes)?;
        let [oldest, newest] = array(&mut bytes)?;
        let (node, incarnation) = (NodeId(number(&mut bytes)?), Incarnation(number(&mut bytes)?));
        let (whom, nonce) = (NodeId(number(&mut bytes)?), array(&mut bytes)?);
        let [len] = array(&mut bytes)?;
        if magic != *MAGIC || len == 0 || usize::from(len) > MAX_CLUSTER || usize::from(len) > bytes.len() {
            return Err(malformed());
        }
        let (cluster, rest) = bytes.split_at(len.into());
        bytes = rest;
        let cluster = String::from_utf8(cluster.to_vec()).map_err(|_| malformed())?;
        let [count] = array(&mut bytes)?;
        if usize::from(count) > MAX_SECRETS || usize::from(count) * size_of::<KeyId>() != bytes.len() {
            return Err(malformed());
        }
        let keys = bytes.chunks_exact(size_of::<KeyId>()).map(|id| id.try_into().expect("chunks of eight")).collect();
        let protocols = Protocols::new(oldest, newest).map_err(|_| malformed())?;
        Ok(Self { cluster, node, incarnation, whom, protocols, nonce, keys })
    }
}

// Welcome:
//   1  version that both speak
//   8  node, 8 incarnation
//   4  most calls under way, 4 longest frame
//  32  nonce
//   1  1 if proofs are under a key, then 8 id; else 0
//  32  proof                              only under a key
impl Welcome {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.put_u8(self.protocol);
        out.put_u64(self.node.0);
        out.put_u64(self.incarnation.0);
        out.put_u32(self.limits.in_flight);
        out.put_u32(self.limits.frame);
        out.put_slice(&self.nonce);
        out.put_u8(u8::from(self.key.is_some()));
        if let Some(key) = &self.key {
            out.put_slice(key);
        }
        out
    }

    /// Reads it, with what is proven and the proof.
    pub(super) fn decode(whole: &Bytes) -> Result<(Self, &[u8], &[u8])> {
        let mut bytes = &whole[..];
        let [protocol] = array(&mut bytes)?;
        let (node, incarnation) = (NodeId(number(&mut bytes)?), Incarnation(number(&mut bytes)?));
        let (in_flight, frame) = (u32::from_be_bytes(array(&mut bytes)?), u32::from_be_bytes(array(&mut bytes)?));
        let nonce = array(&mut bytes)?;
        let key = match array(&mut bytes)? {
            [0] => None,
            [1] => Some(array(&mut bytes)?),
            _ => return Err(malformed()),
        };
        if bytes.len() != if key.is_some() { PROOF } else { 0 } {
            return Err(malformed());
        }
        let limits = Limits { in_flight, frame };
        let said = &whole[..whole.len() - bytes.len()];
        Ok((Self { node, incarnation, protocol, limits, nonce, key }, said, bytes))
    }
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let taken = *bytes.first_chunk().ok_or_else(malformed)?;
    bytes.advance(N);
    Ok(taken)
}

fn number(bytes: &mut &[u8]) -> Result<u64> {
    array(bytes).map(u64::from_be_bytes)
}
