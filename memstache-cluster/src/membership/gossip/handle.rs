//! What the rest of a node holds of its gossip.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::{Clock, Error, ErrorKind, Result, Tick};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

use super::{
    GossipBuilder, GossipSecret, GossipStats, builder,
    driver::{self, Driver},
    machine::{Machine, Phase},
    registration::Registration,
    seal::Keys,
};
use crate::{
    member::{Member, MemberState, Members, NodeId},
    membership::{Discovery, Membership, StateStream},
    net::Datagrams,
};

/// How long joining and leaving may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Membership by gossip over datagrams.
///
/// Each node asks another now and then whether it is there; who does not answer, not even to others, is suspected, and dead
/// if it does not object within 2 seconds. News travels along with that. What a node sends and receives does not grow
/// with the cluster.
///
/// Datagrams are sealed by ChaCha20-Poly1305 under keys for each node and start, derived from a secret that the members
/// share; of what was sealed by others, changed, or seen before, nothing is believed, and all is counted
/// ([`stats`](Self::stats)). Whoever has the secret can say anything of anybody.
///
/// Dropped, it stops; others find out by themselves. [`leave`](Membership::leave) tells them.
///
/// ```
/// use std::sync::Arc;
/// use memstache_cluster::{Member, membership::{Gossip, GossipSecret, Membership, StaticDiscovery}, net::{Datagrams, Udp}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Udp::bind("127.0.0.1:0".parse()?).await?;
/// let me = Member::at("127.0.0.1:3320".parse()?).with_gossip(socket.local_addr()?);
/// let gossip = Gossip::builder("shop", me)
///     .secret(GossipSecret::new(b"from a vault, better")?)
///     .discovery(StaticDiscovery::new([]))
///     .start(Arc::new(socket))?;
/// gossip.join().await?; // nobody to ask: this is the first node
/// assert_eq!(gossip.members().len(), 1);
/// gossip.leave().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Gossip {
    id: NodeId,
    cluster: String,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What handle and driver share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) machine: Mutex<Machine>,
    pub(super) members: watch::Sender<Members>,
    pub(super) clock: Arc<dyn Clock>,
    /// The way of lists that no datagram holds.
    pub(super) stream: Mutex<Option<Arc<dyn StateStream>>>,
    pub(super) registration: Registration,
    /// Something was asked of the machine: the driver must look.
    pub(super) asked: Notify,
    /// The driver looked.
    pub(super) looked: Notify,
}

impl Gossip {
    /// Begins to describe the gossip of a node.
    ///
    /// All nodes of a cluster give the same name of it, 1 to 64 visible ASCII characters. `me` says how others reach this
    /// node; its incarnation is set when gossip starts.
    pub fn builder(cluster: impl Into<String>, me: Member) -> GossipBuilder {
        GossipBuilder::new(cluster.into(), me)
    }

    pub(super) fn spawn(
        cluster: String,
        machine: Machine,
        datagrams: Arc<dyn Datagrams>,
        discovery: Arc<dyn Discovery>,
        stream: Option<Arc<dyn StateStream>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let me = machine.me().clone();
        let shared = Arc::new(Shared {
            machine: Mutex::new(machine),
            members: watch::Sender::new(Members::new([me.clone()])),
            registration: Registration::new(Arc::clone(&discovery), Arc::clone(&clock)),
            clock,
            stream: Mutex::new(stream),
            asked: Notify::new(),
            looked: Notify::new(),
        });
        let driver = Driver::new(Arc::clone(&shared), datagrams, discovery);
        let task = tokio::spawn(driver.run()).abort_handle();
        Self { id: me.id, cluster, shared, task }
    }

    /// Returns this node, as it describes itself now.
    pub fn me(&self) -> Member {
        self.shared.machine.lock().me().clone()
    }

    /// Returns whether another process has taken the name of this node. It takes part no more then.
    pub fn is_replaced(&self) -> bool {
        self.shared.machine.lock().phase() == Phase::Replaced
    }

    /// Returns what came and went.
    pub fn stats(&self) -> GossipStats {
        self.shared.machine.lock().stats()
    }

    /// Takes other secrets, at once: the first is sent by, all are accepted.
    ///
    /// Errors: `Invalid` if there are none or more than 4, or if this node speaks in the clear.
    pub fn set_secrets(&self, secrets: &[GossipSecret]) -> Result<()> {
        builder::check_secrets(secrets)?;
        let mut machine = self.shared.machine.lock();
        if !machine.is_sealed() {
            return Err(Error::new(ErrorKind::Invalid, "secrets cannot be set on a node that speaks in the clear"));
        }
        machine.set_keys(Keys::new(&self.cluster, secrets));
        Ok(())
    }

    /// Takes the list of members that another node's [`StateStream`] brought, and returns this node's.
    ///
    /// Errors: `Protocol` if it is no list of members; nothing of it is believed then.
    pub fn receive_state(&self, state: &[u8]) -> Result<Bytes> {
        let mut machine = self.shared.machine.lock();
        let merged = machine.merge(state, self.shared.clock.now());
        let answer = machine.state();
        drop(machine);
        self.shared.asked.notify_one();
        merged.map(|()| answer)
    }

    /// Waits until something holds of the machine, and returns whether it does in time.
    async fn wait_for(&self, holds: impl Fn(&Machine) -> bool + Send) -> bool {
        let clock = &self.shared.clock;
        let deadline = clock.now().after(PATIENCE);
        loop {
            let looked = self.shared.looked.notified();
            if holds(&self.shared.machine.lock()) {
                return true;
            }
            if driver::first(looked, clock.sleep_until(deadline)).await.is_none() {
                return holds(&self.shared.machine.lock());
            }
        }
    }
}

#[async_trait]
impl Membership for Gossip {
    fn id(&self) -> NodeId {
        self.id
    }

    fn members(&self) -> Members {
        self.shared.members.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Members> {
        self.shared.members.subscribe()
    }

    fn contact(&self) -> Option<Tick> {
        self.shared.machine.lock().contact()
    }

    async fn join(&self) -> Result<()> {
        let me = self.me();
        if self.shared.machine.lock().phase() != Phase::Running {
            let what = "this node has left, or another process has its name";
            return Err(Error::new(ErrorKind::Unavailable, what).with_retryable(false));
        }
        let registered = self.shared.registration.make(&me).await;
        self.shared.machine.lock().hurry(self.shared.clock.now());
        self.shared.asked.notify_one();
        if self.wait_for(Machine::has_joined).await {
            // Who is not registered yet is so as soon as discovery lets it.
            return Ok(());
        }
        registered?;
        let what = "no other node answered, or discovery did not, within 2 seconds";
        Err(Error::new(ErrorKind::Unavailable, what).with_retryable(true))
    }

    fn set_state(&self, state: MemberState) {
        self.shared.machine.lock().set_state(state, self.shared.clock.now());
        self.shared.asked.notify_one();
    }

    async fn leave(&self) -> Result<()> {
        self.shared.machine.lock().leave(self.shared.clock.now());
        self.shared.asked.notify_one();
        let said = self.wait_for(|machine| matches!(machine.phase(), Phase::Left | Phase::Replaced)).await;
        self.shared.registration.take_back(&self.me()).await?;
        if said {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "leaving could not be told within 2 seconds"))
    }

    /// One that was given to the builder is kept.
    fn connect(&self, stream: Arc<dyn StateStream>) {
        {
            let mut known = self.shared.stream.lock();
            if known.is_some() {
                return;
            }
            *known = Some(stream);
        }
        self.shared.machine.lock().has_stream(self.shared.clock.now());
        self.shared.asked.notify_one();
    }

    fn receive_state(&self, state: &[u8]) -> Result<Bytes> {
        Self::receive_state(self, state)
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.task.abort();
    }
}
