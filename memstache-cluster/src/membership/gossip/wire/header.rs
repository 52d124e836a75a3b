//! What every datagram begins with, in the clear.
//!
//! ```text
//! 0        1     2             10          14        22             30           38            46
//! | version | kind | cluster u64 | secret u32 | node u64 | incarnation u64 | session u64 | sequence u64 | body | tag 16 |
//! ```
//!
//! Big endian. `cluster` is the XXH3 hash of the cluster's name, `secret` a number derived from the secret that says which of
//! several it is (0 in the clear), `session` is drawn by the sender when it starts. The body is sealed by
//! ChaCha20-Poly1305 (RFC 8439) under a key for (secret, cluster, node, incarnation, session), the nonce is the sequence,
//! the header is authenticated with it. Without secret the body is in the clear, and there is no tag.

use crate::member::{Incarnation, NodeId};

/// Bytes of the header.
pub(in super::super) const HEADER: usize = 46;

const VERSION: u8 = 1;
const SEALED: u8 = 0x80;

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// To an address: who is there?
    Knock = 1,
    /// The answer: this node.
    Welcome = 2,
    /// The other answer: I know a later life of you.
    Stale = 3,
    /// The membership protocol itself.
    Swim = 4,
}

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Header {
    pub(in super::super) kind: Kind,
    pub(in super::super) sealed: bool,
    pub(in super::super) cluster: u64,
    pub(in super::super) secret: u32,
    pub(in super::super) node: NodeId,
    pub(in super::super) incarnation: Incarnation,
    pub(in super::super) session: u64,
    pub(in super::super) sequence: u64,
}

impl Header {
    pub(in super::super) fn to_bytes(self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0] = VERSION;
        out[1] = self.kind as u8 | if self.sealed { SEALED } else { 0 };
        out[2..10].copy_from_slice(&self.cluster.to_be_bytes());
        out[10..14].copy_from_slice(&self.secret.to_be_bytes());
        out[14..22].copy_from_slice(&self.node.0.to_be_bytes());
        out[22..30].copy_from_slice(&self.incarnation.0.to_be_bytes());
        out[30..38].copy_from_slice(&self.session.to_be_bytes());
        out[38..46].copy_from_slice(&self.sequence.to_be_bytes());
        out
    }

    /// Reads a header; none if it is of another version or kind.
    pub(in super::super) fn from_bytes(bytes: &[u8; HEADER]) -> Option<Self> {
        let kind = match bytes[1] & !SEALED {
            1 => Kind::Knock,
            2 => Kind::Welcome,
            3 => Kind::Stale,
            4 => Kind::Swim,
            _ => return None,
        };
        let long = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        (bytes[0] == VERSION).then(|| Self {
            kind,
            sealed: bytes[1] & SEALED != 0,
            cluster: long(2),
            secret: u32::from_be_bytes(bytes[10..14].try_into().expect("four bytes")),
            node: NodeId(long(14)),
            incarnation: Incarnation(long(22)),
            session: long(30),
            sequence: long(38),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        for kind in [Kind::Knock, Kind::Welcome, Kind::Stale, Kind::Swim] {
            for sealed in [true, false] {
                let header = Header {
                    kind,
                    sealed,
                    cluster: 1 << 60 | 2,
                    secret: 3 << 20,
                    node: NodeId(4),
                    incarnation: Incarnation(5),
                    session: u64::MAX,
                    sequence: 7,
                };
                let bytes = header.to_bytes();
                assert_eq!(Header::from_bytes(&bytes), Some(header));
                for (at, wrong) in [(0, 2), (1, 0), (1, 5), (1, 0x85)] {
                    let mut other = bytes;
                    other[at] = wrong;
                    assert_eq!(Header::from_bytes(&other), None, "{at}: {wrong}");
                }
            }
        }
    }
}
