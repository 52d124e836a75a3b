//! The end that connects.

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Result};

use super::{
    BY_DIALLER, BY_LISTENER,
    messages::{Hello, Limits, Nonce, Refusal, Welcome, malformed},
    sign, verify,
};
use crate::{
    member::{Incarnation, NodeId},
    peer::local::Local,
    wire::{Frame, Kind},
};

/// A handshake from the side of the one who connects.
#[derive(Debug)]
pub(crate) struct Dialler<'a> {
    local: &'a Local,
    whom: NodeId,
    hello: Vec<u8>,
}

/// What two nodes agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Who is at the other end.
    pub(crate) node: NodeId,
    /// Which life of it.
    pub(crate) incarnation: Incarnation,
    /// The version of the protocol.
    pub(crate) protocol: u8,
    /// What the listener bears.
    pub(crate) limits: Limits,
}

impl<'a> Dialler<'a> {
    /// Begins; the nonce must never have been used before.
    pub(crate) fn new(local: &'a Local, whom: NodeId, nonce: Nonce) -> Self {
        let hello = Hello {
            cluster: local.cluster.clone(),
            node: local.node,
            incarnation: local.incarnation,
            whom,
            protocols: local.protocols,
            nonce,
            keys: local.key_ids().collect(),
        };
        Self { local, whom, hello: hello.encode() }
    }

    /// The body of the Hello.
    pub(crate) fn hello(&self) -> &[u8] {
        &self.hello
    }

    /// Reads the listener's Welcome, and returns the body of the Proof.
    ///
    /// Errors: a [`Refusal`] of either side, `Protocol`.
    pub(crate) fn welcomed(&self, frame: &Frame) -> Result<(Agreed, Vec<u8>)> {
        let body = expect_welcome(frame)?;
        let (welcome, said, proof) = Welcome::decode(body)?;
        // The secret first: what an impostor says is not to be believed.
        let answer = match (&welcome.key, self.local.has_secrets()) {
            (None, false) => Vec::new(),
            (Some(id), true) => {
                let key = self.local.key(id).ok_or(Refusal::Secret)?;
                if !verify(key, BY_LISTENER, &self.hello, said, proof) {
                    return Err(Refusal::Secret.into());
                }
                sign(key, BY_DIALLER, &self.hello, said).as_ref().to_vec()
            }
            _ => return Err(Refusal::Secret.into()),
        };
        let protocols = self.local.protocols;
        if !(protocols.oldest()..=protocols.newest()).contains(&welcome.protocol) {
            return Err(Refusal::Protocol.into());
        }
        if welcome.node == self.local.node {
            return Err(Refusal::Yourself.into());
        }
        if welcome.node != self.whom {
            return Err(Refusal::Another.into());
        }
        let Welcome { node, incarnation, protocol, limits, .. } = welcome;
        Ok((Agreed { node, incarnation, protocol, limits }, answer))
    }

    /// Reads the listener's last word.
    pub(crate) fn admitted(frame: &Frame) -> Result<()> {
        if expect_welcome(frame)?.is_empty() { Ok(()) } else { Err(malformed()) }
    }
}

fn expect_welcome(frame: &Frame) -> Result<&Bytes> {
    match frame.header.kind {
        Kind::Welcome => Ok(&frame.body),
        Kind::Refused => Err(match &frame.body[..] {
            [code] => Refusal::of(*code).map_or_else(malformed, Error::from),
            _ => malformed(),
        }),
        _ => Err(Error::new(ErrorKind::Protocol, "a peer sent something else than a handshake")),
    }
}
