//! How two nodes find out that they belong together; without I/O.
//!
//! ```text
//! dialler                                                              listener
//!   Hello   { cluster, node, incarnation, whom, versions, nonce, keys }  -->
//!   <--  Welcome { node, incarnation, version, limits, nonce, key, proof }  or  Refused { why }
//!   Proof   { proof }                                                    -->
//!   <--  Welcome without a body: calls may follow                           or  Refused { why }
//! ```
//!
//! A proof is the HMAC-SHA-256 of who proves, and of every byte of Hello and Welcome up to the proof: of both nonces, both
//! ids, the cluster's name and the versions. Nothing can be replayed, reflected or talked down.

mod dialler;
mod listener;
mod messages;
#[cfg(test)]
mod tests;

use std::fmt;

use memstache_core::{Error, ErrorKind};
use ring::hmac;

pub(crate) use self::{
    dialler::{Agreed, Dialler},
    listener::{Guest, Listening},
    messages::{Limits, Nonce, Refusal},
};

/// Longest frame of a handshake.
pub(crate) const MAX_HANDSHAKE: usize = 1024;

const BY_DIALLER: &[u8] = b"memstache dialler";
const BY_LISTENER: &[u8] = b"memstache listener";

/// The MAC of everything that was said.
fn sign(key: &hmac::Key, by: &[u8], hello: &[u8], welcome: &[u8]) -> hmac::Tag {
    hmac::sign(key, &transcript(by, hello, welcome))
}

/// Compares in constant time.
fn verify(key: &hmac::Key, by: &[u8], hello: &[u8], welcome: &[u8], proof: &[u8]) -> bool {
    hmac::verify(key, &transcript(by, hello, welcome), proof).is_ok()
}

/// Who speaks and what was said; each part with its length, so that none can pass for a part of another.
fn transcript(by: &[u8], hello: &[u8], welcome: &[u8]) -> Vec<u8> {
    let mut said = Vec::with_capacity(24 + by.len() + hello.len() + welcome.len());
    for part in [by, hello, welcome] {
        said.extend_from_slice(&(part.len() as u64).to_be_bytes());
        said.extend_from_slice(part);
    }
    said
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "the peer belongs to another cluster",
            Self::Protocol => "the peer and this node speak no common version of the protocol",
            Self::Secret => "the peer and this node do not know the same secret",
            Self::Yourself => "the connection leads back to this node itself",
            Self::SameName => "the peer has the same name as this node",
            Self::Another => "another node than the one that was meant answers at this address",
            Self::Busy => "the peer has as many connections as it may have",
            Self::Stopping => "the peer is stopping",
            Self::Malformed => "the peer could not read what this node sent",
        })
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    /// Unavailable; retryable only if trying again later may help. The refusal is the error's source.
    fn from(refusal: Refusal) -> Self {
        let passing = matches!(refusal, Refusal::Busy | Refusal::Stopping | Refusal::Another);
        Self::new(ErrorKind::Unavailable, refusal.to_string())
            .with_retryable(passing)
            .with_source(refusal)
            .without_effect()
    }
}
