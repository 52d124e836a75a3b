//! The end that is connected to.

use bytes::Bytes;
use ring::hmac;

use super::{
    BY_DIALLER, BY_LISTENER,
    dialler::Agreed,
    messages::{Hello, Limits, Nonce, PROOF, Refusal, Welcome},
    sign, verify,
};
use crate::{
    peer::local::Local,
    wire::{Frame, Kind},
};

/// A handshake from the side of the one who is connected to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening<'a> {
    pub(crate) local: &'a Local,
    pub(crate) limits: Limits,
}

/// A dialler that was welcomed and has not proven anything yet.
#[derive(Debug)]
pub(crate) struct Guest {
    agreed: Agreed,
    key: Option<hmac::Key>,
    hello: Bytes,
    said: Vec<u8>,
}

impl Listening<'_> {
    /// Reads a Hello, and returns the body of the Welcome; the nonce must never have been used before.
    ///
    /// The error is to be told.
    pub(crate) fn greeted(&self, frame: &Frame, nonce: Nonce) -> Result<(Guest, Vec<u8>), Refusal> {
        if frame.header.kind != Kind::Hello {
            return Err(Refusal::Malformed);
        }
        let hello = Hello::decode(&frame.body).map_err(|_| Refusal::Malformed)?;
        let local = self.local;
        if hello.cluster != local.cluster {
            return Err(Refusal::Cluster);
        }
        let protocol = local.protocols.common(hello.protocols).ok_or(Refusal::Protocol)?;
        if hello.node == local.node {
            let same = hello.incarnation == local.incarnation;
            return Err(if same { Refusal::Yourself } else { Refusal::SameName });
        }
        if hello.whom != local.node {
            return Err(Refusal::Another);
        }
        // The dialler's order decides: it says what it prefers.
        let key = hello.keys.iter().find(|id| local.key(id).is_some()).copied();
        if key.is_none() && (local.has_secrets() || !hello.keys.is_empty()) {
            return Err(Refusal::Secret);
        }
        let welcome =
            Welcome { node: local.node, incarnation: local.incarnation, protocol, limits: self.limits, nonce, key };
        let said = welcome.encode();
        let key = key.and_then(|id| local.key(&id)).cloned();
        let mut body = said.clone();
        if let Some(key) = &key {
            body.extend_from_slice(sign(key, BY_LISTENER, &frame.body, &said).as_ref());
        }
        let Hello { node, incarnation, .. } = hello;
        let agreed = Agreed { node, incarnation, protocol, limits: self.limits };
        Ok((Guest { agreed, key, hello: frame.body.clone(), said }, body))
    }
}

impl Guest {
    /// Reads the Proof. The error is to be told.
    pub(crate) fn proved(self, frame: &Frame) -> Result<Agreed, Refusal> {
        if frame.header.kind != Kind::Proof {
            return Err(Refusal::Malformed);
        }
        let good = match &self.key {
            Some(key) => frame.body.len() == PROOF && verify(key, BY_DIALLER, &self.hello, &self.said, &frame.body),
            None => frame.body.is_empty(),
        };
        if good { Ok(self.agreed) } else { Err(Refusal::Secret) }
    }
}
