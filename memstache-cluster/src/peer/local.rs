//! Who this node is towards others, and what it knows that strangers do not.

use std::fmt;

use memstache_core::{Error, Result};
use ring::hmac;

use crate::member::{Incarnation, NodeId, Protocols};

/// Longest name of a cluster, in bytes.
pub(crate) const MAX_CLUSTER: usize = 64;

/// Shortest secret, in bytes.
pub(crate) const MIN_SECRET: usize = 16;

/// Most secrets that a node knows at once.
pub(crate) const MAX_SECRETS: usize = 4;

/// Names a key without telling it.
pub(crate) type KeyId = [u8; 8];

/// Who this node is towards others.
#[derive(Clone)]
pub(crate) struct Local {
    /// The name of the cluster: nodes of others are not spoken to.
    pub(super) cluster: String,
    /// Which node this is.
    pub(super) node: NodeId,
    /// Which life of it.
    pub(super) incarnation: Incarnation,
    /// The versions of the protocol that it speaks.
    pub(super) protocols: Protocols,
    keys: Vec<(KeyId, hmac::Key)>,
}

impl Local {
    /// Describes this node; without secrets, who is at the other end is not proven but by the transport.
    ///
    /// Errors: `Invalid` for a cluster's name that is empty or longer than 64 bytes.
    pub(crate) fn new(cluster: &str, node: NodeId, incarnation: Incarnation) -> Result<Self> {
        if cluster.is_empty() || cluster.len() > MAX_CLUSTER {
            let given = format_args!("{} bytes", cluster.len());
            return Err(Error::invalid("cluster", format_args!("1 to {MAX_CLUSTER} bytes long"), given));
        }
        let (cluster, protocols) = (cluster.to_owned(), Protocols::CURRENT);
        Ok(Self { cluster, node, incarnation, protocols, keys: Vec::new() })
    }

    /// Sets the secrets that peers must know one of: the first is preferred, the others are for a change of secrets.
    ///
    /// Errors: `Invalid` for more than four, or for one of less than 16 bytes.
    pub(crate) fn with_secrets<S: AsRef<[u8]>>(mut self, secrets: &[S]) -> Result<Self> {
        if secrets.len() > MAX_SECRETS {
            return Err(Error::invalid("peer secrets", format_args!("at most {MAX_SECRETS}"), secrets.len()));
        }
        self.keys.clear();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.len() < MIN_SECRET {
                let given = format_args!("{} bytes", secret.len());
                return Err(Error::invalid("peer secret", format_args!("at least {MIN_SECRET} bytes long"), given));
            }
            self.keys.push(self.derive(secret));
        }
        Ok(self)
    }

    /// Sets the versions of the protocol. Default: what this build speaks.
    #[must_use]
    pub(crate) fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Sets which life of the node this is.
    #[must_use]
    pub(crate) fn with_incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = incarnation;
        self
    }

    pub(super) fn has_secrets(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|(id, _)| *id)
    }

    pub(super) fn key(&self, id: &KeyId) -> Option<&hmac::Key> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }

    /// A secret is used for this cluster's handshakes alone under a key of its own; so is the key's name.
    fn derive(&self, secret: &[u8]) -> (KeyId, hmac::Key) {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let of = |label: &str| {
            let mut context = hmac::Context::with_key(&secret);
            context.update(label.as_bytes());
            context.update(&[0]);
            context.update(self.cluster.as_bytes());
            context.sign()
        };
        let id = of("memstache peer key id").as_ref()[..8].try_into().expect("eight bytes");
        (id, hmac::Key::new(hmac::HMAC_SHA256, of("memstache peer handshake").as_ref()))
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("node", &self.node)
            .field("incarnation", &self.incarnation)
            .field("protocols", &self.protocols)
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}
