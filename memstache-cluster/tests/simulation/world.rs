//! The nodes, what they read from, and what is written down.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use memstache_cluster::{
    ClusterConfig, DataSource, Engine, Faults, HotCopies, Incarnation, Key, KeySpace, Member, MemberState, NodeId,
    Sourced,
    membership::{Membership as _, StaticMembership},
    net::SimNetwork,
};
use memstache_core::{
    BoxError, BoxFuture, Clock, SystemClock, Tick,
    testing::{History, Stamp, WriteOutcome},
};
use tokio::sync::watch;

use crate::faults::Mix;

/// Without a source.
pub(crate) const PLAIN: &str = "plain";
/// Over a source.
pub(crate) const SOURCED: &str = "sourced";
pub(crate) const WRITERS: usize = 3;
pub(crate) const KEYS: usize = 4;
/// How many nodes there are at first.
pub(crate) const NODES: u8 = 3;
/// How long any call may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);
const SLOWEST_SOURCE: u64 = 40;
/// Reads a second for each copy of a key: the keys are read about ten times a second.
const HOT: f64 = 2.0;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A source that reads at once and answers later, so that its answers may be old.
#[derive(Clone, Default)]
pub(crate) struct Truth(Arc<Mutex<HashMap<String, Row>>>);

#[derive(Default)]
struct Row {
    value: Option<String>,
    loads: u64,
}

impl Truth {
    pub(crate) fn set(&self, tenant: &str, key: &str, value: Option<String>) {
        self.0.lock().unwrap().entry(format!("{tenant}/{key}")).or_default().value = value;
    }

    /// How often keys that begin so were loaded.
    pub(crate) fn loads(&self, prefix: &str) -> u64 {
        self.0.lock().unwrap().iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, row)| row.loads).sum()
    }
}

impl DataSource for Truth {
    async fn fetch(&self, key: Key) -> Result<Option<Sourced>, BoxError> {
        let value = {
            let mut rows = self.0.lock().unwrap();
            let name = format!("{}/{}", key.tenant().unwrap_or_default(), key.text().unwrap_or_default());
            let row = rows.entry(name).or_default();
            row.loads += 1;
            row.value.clone()
        };
        tokio::time::sleep(millis(fastrand::u64(0..SLOWEST_SOURCE))).await;
        Ok(value.map(Sourced::new))
    }
}

/// A node that runs.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) member: Member,
    pub(crate) engine: Engine,
    list: Arc<StaticMembership>,
    /// Since when it leaves out others that are there, and until when it last did.
    apart: Arc<Mutex<Apart>>,
    /// When its last pause ended; long after the end of the world while one goes on.
    last_pause: Arc<Mutex<Option<Duration>>>,
    dead: watch::Sender<bool>,
    /// Its time stands still.
    paused: watch::Sender<bool>,
}

/// How long a node left out others that are there, because it found them silent.
#[derive(Clone, Copy, Debug, Default)]
struct Apart {
    since: Option<Duration>,
    last: Option<(Duration, Duration)>,
}

/// A clock that goes on while its node is paused, but wakes nobody.
#[derive(Clone, Debug)]
struct Pausable {
    clock: SystemClock,
    paused: watch::Sender<bool>,
}

impl Clock for Pausable {
    fn now(&self) -> Tick {
        self.clock.now()
    }

    fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()> {
        let (sleep, mut paused) = (self.clock.sleep_until(tick), self.paused.subscribe());
        Box::pin(async move {
            sleep.await;
            // Its sender is the world's as well: it is gone with all that could wait.
            let _ = paused.wait_for(|paused| !*paused).await;
        })
    }
}

impl Node {
    pub(crate) fn ip(&self) -> IpAddr {
        self.member.address.ip()
    }

    /// Runs a call as long as the node lives; `None` if it died, and the caller with it. While the node is paused, so is the caller.
    pub(crate) async fn call<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let (mut dead, mut paused) = (self.dead.subscribe(), self.paused.subscribe());
        let mut call = pin!(call);
        loop {
            tokio::select! {
                biased;
                _ = dead.wait_for(|dead| *dead) => return None,
                _ = paused.wait_for(|paused| *paused) => {}
                answer = &mut call => return Some(answer),
            }
            tokio::select! {
                biased;
                _ = dead.wait_for(|dead| *dead) => return None,
                _ = paused.wait_for(|paused| !*paused) => {}
            }
        }
    }

    /// Returns whether its time has stood still since then.
    pub(crate) fn was_paused(&self, since: Duration) -> bool {
        self.last_pause.lock().unwrap().is_some_and(|ended| ended >= since)
    }

    /// Says whether the node hears of the others.
    pub(crate) fn hears(&self, others: &[Self], hears: bool) {
        others.iter().for_each(|other| self.list.mark(other.member.id, hears));
    }

    /// Tells the node who is there.
    pub(crate) fn tell(&self, members: &[Member]) {
        self.list.set_others(members.iter().filter(|member| member.id != self.member.id).cloned());
    }
}

pub(crate) struct World {
    pub(crate) network: SimNetwork,
    pub(crate) truth: Truth,
    pub(crate) history: Mutex<History>,
    pub(crate) problems: Mutex<Vec<String>>,
    nodes: Mutex<Vec<Node>>,
    /// Under which name a writer's keys are written: a put that may still come is never followed by another.
    generations: [[AtomicU64; KEYS]; WRITERS],
    incarnations: AtomicU64,
    clock: SystemClock,
    began: Tick,
    faults: Faults,
    /// How many nodes hold each key.
    replicas: usize,
    /// Whether nodes that are there may find each other silent.
    splits: bool,
    /// What was acknowledged by nodes that left out others that are there, and whether it removed something.
    by_split: Mutex<Vec<(Stamp, bool)>>,
}

impl World {
    pub(crate) fn new(seed: u64, mix: Mix, faults: Faults) -> Arc<Self> {
        let clock = SystemClock::new();
        Arc::new(Self {
            network: SimNetwork::new(seed),
            truth: Truth::default(),
            history: Mutex::default(),
            problems: Mutex::default(),
            nodes: Mutex::default(),
            generations: Default::default(),
            incarnations: AtomicU64::new(1),
            began: clock.now(),
            clock,
            faults,
            replicas: 1 + usize::from(seed.is_multiple_of(2)),
            splits: mix.splits(),
            by_split: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now().since(self.began)
    }

    pub(crate) fn problem(&self, problem: String) {
        self.problems.lock().unwrap().push(problem);
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.nodes.lock().unwrap().clone()
    }

    pub(crate) fn any_node(&self, rng: &mut fastrand::Rng) -> Node {
        let nodes = self.nodes.lock().unwrap();
        nodes[rng.usize(..nodes.len())].clone()
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        self.nodes.lock().unwrap().iter().map(|node| node.member.clone()).collect()
    }

    /// Starts the how-manieth node; callers use it once it is there.
    pub(crate) async fn start(self: &Arc<Self>, place: u8, others: Vec<Member>) {
        let member = Member::at(([10, 0, 0, place + 1], 3320).into())
            .with_incarnation(Incarnation(self.incarnations.fetch_add(1, SeqCst)));
        let list = Arc::new(StaticMembership::new(member.clone(), others));
        // One connection to each peer: with several, one seed would be many runs.
        let cluster = ClusterConfig::new("simulation", member.clone(), Arc::clone(&list))
            .connections_per_peer(1)
            .transport(self.network.host(member.address.ip()))
            .bind(member.address)
            .insecure();
        let paused = watch::Sender::new(false);
        let engine = Engine::builder()
            .clock(Pausable { clock: self.clock, paused: paused.clone() })
            .keyspace(KeySpace::builder(PLAIN).max_bytes(4 << 20).replicas(self.replicas).build().unwrap())
            .keyspace(self.sourced())
            .without_breaker()
            .hot_copies(HotCopies::above(HOT))
            .faults(self.faults)
            .cluster(cluster)
            .read_timeout(DEADLINE)
            .write_timeout(DEADLINE)
            .shutdown_timeout(Duration::from_secs(4))
            .build()
            .unwrap();
        engine.start().await.unwrap();
        let member = member.with_state(MemberState::Active);
        let (dead, last_pause, apart) = (watch::Sender::new(false), Arc::default(), Arc::default());
        let node = Node { member, engine, list, apart, last_pause, dead, paused };
        self.nodes.lock().unwrap().push(node.clone());
        if self.splits {
            tokio::spawn(watch_apart(Arc::downgrade(self), node));
        }
    }

    /// Returns since when a node left out others that are there, if it did so since `began`.
    pub(crate) fn was_apart(&self, node: &Node, began: Duration) -> Option<Duration> {
        let apart = *node.apart.lock().unwrap();
        apart.since.or_else(|| apart.last.filter(|(_, until)| *until >= began).map(|(since, _)| since))
    }

    /// Looks whether a node leaves out others that are there. Who was told so, or hears late, is no excuse: only who found them silent.
    fn look_apart(&self, node: &Node) {
        let seen = node.list.members();
        let there = |other: &Member| {
            let is_it = |node: &Node| node.member.id == other.id && node.member.incarnation == other.incarnation;
            self.nodes.lock().unwrap().iter().any(is_it)
        };
        let leaves_out = node.list.watched().iter().any(|other| !seen.contains(other.id) && there(other));
        // Of three, two are the cluster, and see to it that nobody is misled: only the third is on its own.
        let leaves_out = leaves_out && (seen.len() == 1 || self.nodes().len() > usize::from(NODES));
        let mut apart = node.apart.lock().unwrap();
        match (leaves_out, apart.since) {
            (true, None) => apart.since = Some(self.now()),
            (false, Some(since)) => *apart = Apart { since: None, last: Some((since, self.now())) },
            _ => {}
        }
    }

    /// Writes down how a write or a removal ended. What is acknowledged within a split counts from its end on: see [`Self::heal`].
    pub(crate) fn write_down(&self, node: &Node, began: Duration, stamp: &Stamp, removes: bool, outcome: WriteOutcome) {
        let is_split = outcome == WriteOutcome::Acknowledged && self.was_apart(node, began).is_some();
        let outcome = if is_split { WriteOutcome::Unknown } else { outcome };
        if is_split {
            self.by_split.lock().unwrap().push((stamp.clone(), removes));
        }
        self.record(stamp, removes, outcome);
    }

    fn record(&self, stamp: &Stamp, removes: bool, outcome: WriteOutcome) {
        let (now, mut history) = (self.now(), self.history.lock().unwrap());
        if removes { history.removed(stamp, now, outcome) } else { history.stored(stamp, now, outcome) }
    }

    /// From now on nobody answers with what is older than what was acknowledged within splits; returns how much that is.
    pub(crate) fn heal(&self) -> usize {
        let by_split = std::mem::take(&mut *self.by_split.lock().unwrap());
        by_split.iter().for_each(|(stamp, removes)| self.record(stamp, *removes, WriteOutcome::Acknowledged));
        by_split.len()
    }

    /// Stops a node as SIGSTOP does: its time, its callers, and what it sends and would read. New callers do not come to it.
    pub(crate) fn pause(&self, id: NodeId) -> Option<Node> {
        let node = self.retire(id)?;
        *node.last_pause.lock().unwrap() = Some(Duration::MAX);
        node.paused.send_replace(true);
        self.network.isolate(node.ip());
        Some(node)
    }

    /// Lets it go on, with what waits in its sockets.
    pub(crate) fn resume(&self, node: Node) {
        for other in self.nodes() {
            self.network.heal(node.ip(), other.ip());
        }
        *node.last_pause.lock().unwrap() = Some(self.now());
        node.paused.send_replace(false);
        self.nodes.lock().unwrap().push(node);
    }

    fn sourced(&self) -> KeySpace {
        let builder = KeySpace::builder(SOURCED).max_bytes(4 << 20).source(self.truth.clone());
        builder.replicas(self.replicas).build().unwrap()
    }

    /// Takes a node from those that callers use.
    pub(crate) fn retire(&self, id: NodeId) -> Option<Node> {
        let mut nodes = self.nodes.lock().unwrap();
        let at = nodes.iter().position(|node| node.member.id == id)?;
        Some(nodes.remove(at))
    }

    /// Ends a node at once, and the calls through it.
    pub(crate) fn crash(&self, id: NodeId) {
        if let Some(node) = self.retire(id) {
            node.dead.send_replace(true);
            self.network.crash(node.ip());
        }
    }

    pub(crate) fn plain_key(&self, writer: usize, key: usize) -> String {
        format!("p{key}.{}", self.generations[writer][key].load(SeqCst))
    }

    /// Has a key be written under another name from now on.
    pub(crate) fn rename(&self, writer: usize, key: usize) {
        self.generations[writer][key].fetch_add(1, SeqCst);
    }
}

async fn watch_apart(world: Weak<World>, node: Node) {
    let mut members = node.list.watch();
    while let Some(world) = world.upgrade() {
        world.look_apart(&node);
        drop(world);
        if members.changed().await.is_err() {
            return;
        }
    }
}
