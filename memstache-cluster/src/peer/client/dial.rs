//! Making a connection: stream, handshake, task.

use std::{net::SocketAddr, sync::Arc};

use memstache_core::{Clock, Error, ErrorKind, Result};
use ring::rand::{SecureRandom, SystemRandom};

use super::connection::{Connection, Limits};
use crate::{
    member::{Incarnation, Member, NodeId, NodeName},
    net::Transport,
    peer::{
        config::PeerConfig,
        handshake::{Dialler, MAX_HANDSHAKE, Nonce},
        io::Io,
        local::Local,
        until::until,
    },
    wire::{Kind, PeerInfo},
};

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whom {
    pub(super) id: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) address: SocketAddr,
    pub(super) name: NodeName,
}

impl From<&Member> for Whom {
    fn from(member: &Member) -> Self {
        let Member { id, incarnation, address, name, .. } = member;
        Self { id: *id, incarnation: *incarnation, address: *address, name: name.clone() }
    }
}

/// What all connections of a node are made with.
pub(super) struct Means {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) local: Arc<Local>,
    pub(super) config: Arc<PeerConfig>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Means {
    /// Connects, within the time that this may take.
    pub(super) async fn dial(&self, whom: &Whom) -> Result<Arc<Connection>> {
        let deadline = self.clock.now().after(self.config.connect_timeout);
        until(&self.clock, Some(deadline), self.connect(whom)).await.unwrap_or_else(|| {
            let late = Error::new(ErrorKind::Unavailable, "connecting to the peer took longer than it may");
            Err(late.with_source(super::driver::Silent))
        })
    }

    async fn connect(&self, whom: &Whom) -> Result<Arc<Connection>> {
        let stream = self.transport.connect(whom.address, whom.name.as_str()).await.map_err(unreachable_peer)?;
        let mut io = Io::new(stream, MAX_HANDSHAKE);
        let dialler = Dialler::new(&self.local, whom.id, nonce()?);
        io.send(Kind::Hello, dialler.hello()).await.map_err(unreachable_peer)?;
        let (agreed, proof) = dialler.welcomed(&io.receive().await?)?;
        io.send(Kind::Proof, &proof).await.map_err(unreachable_peer)?;
        Dialler::admitted(&io.receive().await?)?;
        io.set_max_frame(self.config.max_frame);
        let info = PeerInfo {
            id: agreed.node,
            incarnation: agreed.incarnation,
            protocol: agreed.protocol,
            remote: Some(whom.address),
        };
        let limits = Limits {
            in_flight: self.config.max_in_flight.min(agreed.limits.in_flight as usize),
            frame: self.config.max_frame.min(agreed.limits.frame as usize),
            held: self.config.max_held,
            silence: self.config.ping_after,
        };
        Ok(Arc::new(Connection::new(Arc::new(info), Arc::clone(&self.clock), io, limits)))
    }
}

fn unreachable_peer(error: std::io::Error) -> Error {
    // In words: what TLS has against a certificate has no kind of its own.
    let detail = format!("the peer cannot be reached: {error}");
    Error::new(ErrorKind::Unavailable, detail).with_source(error)
}

/// Draws a nonce from the operating system.
pub(in crate::peer) fn nonce() -> Result<Nonce> {
    let mut nonce = Nonce::default();
    let drawn = SystemRandom::new().fill(&mut nonce);
    drawn.map_err(|_| Error::new(ErrorKind::Io, "the operating system gives no random numbers"))?;
    Ok(nonce)
}
