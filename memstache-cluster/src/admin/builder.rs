//! Building admin endpoints: every setting is checked, all at once.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use memstache_core::{Error, Result, observe::Registry};

use super::{Admin, base::BasePath, hosts::Hosts, page::Page, server::Listen, state::Shared, tokens::Tokens};
use crate::{
    Engine,
    net::{Tcp, Transport},
    problems::Problems,
};

/// Where an own listener is, unless it is told otherwise.
const BIND: ([u8; 4], u16) = ([127, 0, 0, 1], 3321);

/// Builds an [`Admin`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting.
#[must_use = "nothing is built before `build`"]
pub struct AdminBuilder {
    engine: Engine,
    base_path: String,
    read_token: Option<String>,
    write_token: Option<String>,
    registry: Option<Registry>,
    max_event_streams: usize,
    bind: SocketAddr,
    transport: Arc<dyn Transport>,
    hosts: Vec<String>,
    max_connections: usize,
    timeout: Duration,
}

impl AdminBuilder {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            base_path: "/_memstache/admin".to_owned(),
            read_token: None,
            write_token: None,
            registry: None,
            max_event_streams: 32,
            bind: BIND.into(),
            transport: Arc::new(Tcp::new()),
            hosts: Vec::new(),
            max_connections: 256,
            timeout: Duration::from_secs(10),
        }
    }

    /// Sets the path that all others begin with: at most 128 bytes of segments of `[A-Za-z0-9._~-]`; `/` for none. Default:
    /// `/_memstache/admin`.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = path.into();
        self
    }

    /// Sets the token that reads need: 16 to 512 visible ASCII characters. Default: none, anybody who can connect reads, names
    /// of keys apart.
    pub fn read_token(mut self, token: impl Into<String>) -> Self {
        self.read_token = Some(token.into());
        self
    }

    /// Sets the token that changes need, another than the read token: 16 to 512 visible ASCII characters. Default: none, nobody
    /// changes anything.
    pub fn write_token(mut self, token: impl Into<String>) -> Self {
        self.write_token = Some(token.into());
        self
    }

    /// Has `/metrics` tell what this registry holds, too. Default: what the engine counts by itself.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Bounds those who follow events at a time: 1 to 1,024; one more is 503. Default: 32.
    pub fn max_event_streams(mut self, streams: usize) -> Self {
        self.max_event_streams = streams;
        self
    }

    /// Sets where [`serve`](Admin::serve) listens; port 0 is any free one. Any other address than a loopback one needs a
    /// [read token](Self::read_token), or a transport that proves who connects. Default: `127.0.0.1:3321`.
    pub fn bind(mut self, at: SocketAddr) -> Self {
        self.bind = at;
        self
    }

    /// Sets by what [`serve`](Admin::serve) is reached: [`Tls`](crate::net::Tls) (feature `tls`) for HTTPS. Default: TCP.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Arc::new(transport);
        self
    }

    /// Adds a name by which the endpoints may be asked where reading needs no token: 1 to 255 bytes of `[A-Za-z0-9.-]`, at most 16
    /// of them. Default: `localhost` and IP addresses.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Bounds the connections of [`serve`](Admin::serve): 8 to 65,536. Default: 256.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Bounds how long [`serve`](Admin::serve) waits for a handshake, for a head or the next one, for an answer, and for a
    /// client that does not read. Default: 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Builds the endpoints. The error names everything that is wrong.
    pub fn build(self) -> Result<Admin> {
        let mut problems = Problems::default();
        let base = problems.note(BasePath::new(&self.base_path));
        let (read, write) = (self.read_token.as_deref(), self.write_token.as_deref());
        let tokens = Tokens::new(read, write, &mut problems);
        problems.within("max_event_streams", self.max_event_streams, 1, 1024);
        problems.within("max_connections", self.max_connections, 8, 65_536);
        problems.positive("timeout", self.timeout);
        let hosts = problems.note(Hosts::new(self.hosts));
        let private = self.bind.ip().is_loopback() || tokens.guard_reads() || self.transport.is_secure();
        let public = || {
            let limit = "a loopback address, unless a read_token is set or the transport proves who connects";
            Error::invalid("bind", limit, self.bind)
        };
        problems.require(private, public);
        problems.finish()?;
        let checked = "was checked";
        let (base, hosts) = (base.expect(checked), hosts.expect(checked));
        let shared = Shared::new(&self.engine, base, tokens, hosts, Page::new(), self.registry, self.max_event_streams);
        let listen = Listen {
            bind: self.bind,
            transport: self.transport,
            max_connections: self.max_connections,
            timeout: self.timeout,
        };
        Ok(Admin { shared: Arc::new(shared), listen: Arc::new(listen) })
    }
}

impl fmt::Debug for AdminBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminBuilder")
            .field("base_path", &self.base_path)
            .field("bind", &self.bind)
            .finish_non_exhaustive()
    }
}
