//! What an engine needs to take part in a cluster.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use memstache_core::{Clock, Error, Result};

use crate::{
    member::{Incarnation, MAX_MEMBERS, Member, NodeId},
    membership::Membership,
    net::{Tcp, Transport},
    peer::{Local, MAX_CONNECTIONS, PeerConfig},
    problems::Problems,
};

/// What an engine needs to take part in a cluster.
///
/// The membership says who is there: [`Gossip`](crate::membership::Gossip) for clusters that change, a
/// [`StaticMembership`](crate::membership::StaticMembership) for fixed ones. It begins before the engine starts, and describes the
/// same node: the engine makes it active, and leaves by it.
///
/// ```
/// use memstache_cluster::{ClusterConfig, Engine, KeySpace, Member, MemberState, membership::StaticMembership};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
/// let address = "127.0.0.1:0".parse().unwrap(); // any free port
/// let me = Member::at("127.0.0.1:3320".parse().unwrap());
/// let cluster = ClusterConfig::new("shop", me.clone(), StaticMembership::new(me, []))
///     .bind(address)
///     .secret(b"from a vault, better");
/// let users = KeySpace::builder("users").build()?;
/// let engine = Engine::builder().keyspace(users).cluster(cluster).build()?;
/// engine.start().await?;
/// engine.put("users", "7", "Ada").await?;
/// assert_eq!(engine.get("users", "7").await?.as_deref(), Some(&b"Ada"[..]));
/// engine.stop().await?;
/// # Ok(()) }
/// ```
#[must_use = "it is given to an engine"]
pub struct ClusterConfig {
    pub(super) name: String,
    pub(super) me: Member,
    pub(super) membership: Arc<dyn Membership>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) bind: SocketAddr,
    secrets: Vec<Vec<u8>>,
    insecure: bool,
    pub(super) bootstrap_timeout: Duration,
    pub(super) join_retry_interval: Duration,
    pub(super) max_join_attempts: u32,
    pub(super) minimum_peers_quorum: usize,
    connections: usize,
}

impl ClusterConfig {
    /// Starts with the cluster's name, which all nodes share (1 to 64 bytes), this node as others are to reach it, and who knows
    /// the others.
    pub fn new(name: impl Into<String>, me: Member, membership: impl Membership) -> Self {
        Self {
            name: name.into(),
            me,
            membership: Arc::new(membership),
            transport: Arc::new(Tcp::new()),
            bind: SocketAddr::from(([0, 0, 0, 0], 3320)),
            secrets: Vec::new(),
            insecure: false,
            bootstrap_timeout: Duration::from_secs(30),
            join_retry_interval: Duration::from_secs(1),
            max_join_attempts: 10,
            minimum_peers_quorum: 1,
            connections: 2,
        }
    }

    /// Sets where peers are listened for. Default: `0.0.0.0:3320`.
    pub fn bind(mut self, at: SocketAddr) -> Self {
        self.bind = at;
        self
    }

    /// Sets by what peers are reached. Default: TCP.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Arc::new(transport);
        self
    }

    /// Adds a secret that peers must know: the first is preferred, the others are for a change of secrets; at most 4, of at least 16
    /// bytes. Needed, unless the transport proves who is at the other end.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(secret.as_ref().to_vec());
        self
    }

    /// Believes everybody who can connect: for tests, and networks that nobody else is in. Default: no.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Bounds the whole start. Default: 30 s.
    pub fn bootstrap_timeout(mut self, limit: Duration) -> Self {
        self.bootstrap_timeout = limit;
        self
    }

    /// Sets the pause between attempts to join. Default: 1 s.
    pub fn join_retry_interval(mut self, pause: Duration) -> Self {
        self.join_retry_interval = pause;
        self
    }

    /// Sets how often a node tries to join before it starts with those that it knows: 1 to 1,000. Default: 10.
    ///
    /// It goes on trying afterwards, by its membership.
    pub fn max_join_attempts(mut self, attempts: u32) -> Self {
        self.max_join_attempts = attempts;
        self
    }

    /// Sets how many live members there must be, this node included, for it to start: 1 to 65,535. Default: 1.
    pub fn minimum_peers_quorum(mut self, members: usize) -> Self {
        self.minimum_peers_quorum = members;
        self
    }

    /// Sets how many connections are made to each peer, which take turns: 1 to 16. Default: 2.
    ///
    /// One is served by one core at a time at either end. More are for clusters of few nodes with many cores.
    pub fn connections_per_peer(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        problems.positive("bootstrap_timeout", self.bootstrap_timeout);
        problems.positive("join_retry_interval", self.join_retry_interval);
        problems.within("max_join_attempts", self.max_join_attempts as usize, 1, 1000);
        problems.within("minimum_peers_quorum", self.minimum_peers_quorum, 1, MAX_MEMBERS);
        problems.within("connections_per_peer", self.connections, 1, MAX_CONNECTIONS);
        problems.note(self.local());
        let proven = !self.secrets.is_empty() || self.transport.is_secure();
        let missing = || Error::invalid("secret", "set, or insecure asked for by name", "nothing");
        problems.require(proven || self.insecure, missing);
        let same = || Error::invalid("membership", "that of this node", "one of another");
        problems.require(self.membership.id() == self.me.id, same);
    }

    /// Returns which node this is, and which life of it.
    pub(super) fn life(&self) -> (NodeId, Incarnation) {
        let members = self.membership.members();
        let me = members.get(self.me.id).unwrap_or(&self.me);
        (me.id, me.incarnation)
    }

    /// Returns who this node is towards others.
    pub(super) fn local(&self) -> Result<Local> {
        let (id, life) = self.life();
        Local::new(&self.name, id, life)?.with_secrets(&self.secrets)
    }

    /// Returns the limits of connections. Nobody waits for a peer longer than half of a read.
    pub(super) fn peers(&self) -> PeerConfig {
        PeerConfig { connections: self.connections, ..PeerConfig::default() }
    }

    /// Returns when a start that begins now must have ended.
    pub(super) fn give_up(&self, clock: &Arc<dyn Clock>) -> memstache_core::Tick {
        clock.now().after(self.bootstrap_timeout)
    }
}

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterConfig")
            .field("name", &self.name)
            .field("me", &self.me)
            .field("bind", &self.bind)
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}
