//! Peers that echo, for benches: hidden, and no part of what is promised.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{BoxFuture, Clock, Error, ErrorKind, Result, SystemClock};

use super::{Local, PeerConfig, Peers, Server};
use crate::{
    member::{Incarnation, Member, NodeId, NodeName},
    net::Transport,
    wire::{Answer, Call, CallContext, Calls, Handler, PeerInfo},
};

const SECRET: &str = "the secret of a bench";

/// A node that answers with what it was sent.
pub struct EchoServer(Server);

/// A node that asks it.
#[derive(Clone)]
pub struct EchoClient {
    peers: Peers,
    to: Member,
    clock: SystemClock,
}

struct Echo;

impl Handler for Echo {
    fn handle(&self, _: &Arc<PeerInfo>, call: Call, _: CallContext) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            match call {
                Call::Gossip(bytes) => Answer::Gossip(bytes),
                _ => Answer::Done,
            }
        })
    }
}

fn local(node: NodeId) -> Result<Local> {
    Local::new("bench", node, Incarnation(1))?.with_secrets(&[SECRET])
}

impl EchoServer {
    /// Listens.
    pub async fn start(transport: &dyn Transport, at: SocketAddr, name: &str) -> Result<Self> {
        let listener = transport.bind(at).await?;
        let id = NodeId::of(&name.parse::<NodeName>()?);
        let clock = Arc::new(SystemClock::new());
        Server::start(listener, local(id)?, Arc::new(Echo), PeerConfig::default(), clock).map(Self)
    }

    /// Returns where.
    pub fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.0.address())
    }
}

impl EchoClient {
    /// Calls the node of this name.
    pub fn new(transport: Arc<dyn Transport>, name: &str, at: SocketAddr) -> Result<Self> {
        let clock = SystemClock::new();
        let peers =
            Peers::new(transport, local(NodeId(1))?, PeerConfig::default(), Arc::new(clock), Arc::new(|_, _| {}))?;
        Ok(Self { peers, to: Member::new(name.parse()?, at), clock })
    }

    /// Sends bytes and returns what came back.
    pub async fn echo(&self, bytes: Bytes) -> Result<Bytes> {
        let context = CallContext::until(self.clock.now().after(Duration::from_secs(5)));
        match self.peers.call(&self.to, Call::Gossip(bytes), context).await? {
            Answer::Gossip(bytes) => Ok(bytes),
            _ => Err(Error::new(ErrorKind::Protocol, "no echo")),
        }
    }
}

impl fmt::Debug for EchoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EchoServer").field(&self.0).finish()
    }
}

impl fmt::Debug for EchoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoClient").field("peers", &self.peers).finish_non_exhaustive()
    }
}
