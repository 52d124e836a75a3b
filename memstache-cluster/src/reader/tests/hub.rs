//! A hub between nodes: calls go to the handlers of others, unless it is told to break them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use memstache_core::{BoxFuture, Clock, Error, ErrorKind, Result, SystemClock, Tick};
use parking_lot::Mutex;

use super::kit::{Counting, KS, sourced};
use crate::{
    Engine, EngineBuilder, Incarnation, KeySpaceBuilder, Member, MemberState, Members, NodeId,
    engine::Node,
    owner::Served,
    reader::{Cluster, Timing, adopt, keep_in_touch},
    wire::{Answer, Call, CallContext, Calls, Handler, Out, PeerInfo, Writer, put_answer, put_call},
};

/// What is broken.
#[derive(Default)]
struct Broken {
    /// Nodes that are gone: they cannot be reached.
    dead: HashSet<NodeId>,
    /// From whom to whom nothing arrives, and nobody is told.
    holes: HashSet<(NodeId, NodeId)>,
    delay: Duration,
    /// What a call or an answer may take, if that is bounded.
    frame: Option<usize>,
}

/// Carries calls between nodes.
pub(super) struct Hub {
    nodes: Mutex<HashMap<NodeId, Weak<Node>>>,
    broken: Mutex<Broken>,
    clock: Arc<dyn Clock>,
    /// How many calls of a kind one has made to another.
    calls: Mutex<HashMap<(&'static str, NodeId, NodeId), usize>>,
}

struct Line {
    hub: Arc<Hub>,
    from: NodeId,
}

impl Hub {
    fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { nodes: Mutex::default(), broken: Mutex::default(), clock, calls: Mutex::default() })
    }

    pub(super) fn kill(&self, node: NodeId) {
        self.broken.lock().dead.insert(node);
    }

    pub(super) fn revive(&self, node: NodeId) {
        self.broken.lock().dead.remove(&node);
    }

    pub(super) fn cut(&self, from: NodeId, to: NodeId) {
        self.broken.lock().holes.insert((from, to));
    }

    pub(super) fn heal(&self) {
        self.broken.lock().holes.clear();
    }

    pub(super) fn delay(&self, delay: Duration) {
        self.broken.lock().delay = delay;
    }

    /// Bounds what a call and an answer may take, as frames do.
    pub(super) fn frames(&self, bytes: usize) {
        self.broken.lock().frame = Some(bytes);
    }

    /// How many calls of a kind were carried.
    pub(super) fn calls(&self, name: &str) -> usize {
        self.calls.lock().iter().filter(|((kind, ..), _)| *kind == name).map(|(_, count)| count).sum()
    }

    /// How many of these one has made to another.
    pub(super) fn calls_between(&self, name: &'static str, from: NodeId, to: NodeId) -> usize {
        self.calls.lock().get(&(name, from, to)).copied().unwrap_or(0)
    }
}

impl Calls for Line {
    fn call(&self, to: &Member, call: Call, context: CallContext) -> BoxFuture<'static, Result<Answer>> {
        let (hub, from, to) = (Arc::clone(&self.hub), self.from, to.id);
        Box::pin(async move {
            *hub.calls.lock().entry((call.name(), from, to)).or_default() += 1;
            let (dead, hole, delay, frame) = {
                let broken = hub.broken.lock();
                let dead = broken.dead.contains(&to) || broken.dead.contains(&from);
                let hole = broken.holes.contains(&(from, to)) || broken.holes.contains(&(to, from));
                (dead, hole, broken.delay, broken.frame)
            };
            let too_large = || Error::new(ErrorKind::TooLarge, "it does not fit a frame").without_effect();
            if frame.is_some_and(|max| written(|w| put_call(w, &call)) > max) {
                return Err(too_large());
            }
            let gone = || Error::new(ErrorKind::Unavailable, "the peer cannot be reached").without_effect();
            if dead {
                return Err(gone());
            }
            if hole {
                let effect = call.may_have_effect();
                hub.clock.sleep_until(context.deadline.expect("every call has a deadline")).await;
                let kind = if effect { ErrorKind::Unknown } else { ErrorKind::Timeout };
                return Err(Error::new(kind, "the peer did not answer in time"));
            }
            if !delay.is_zero() {
                hub.clock.sleep_until(hub.clock.now().after(delay)).await;
            }
            let node = hub.nodes.lock().get(&to).cloned().ok_or_else(gone)?;
            let peer = PeerInfo { id: from, incarnation: Incarnation(1), protocol: 1, remote: None };
            let answer = Served(node).handle(&Arc::new(peer), call, context).await;
            Ok(match frame.filter(|max| written(|w| put_answer(w, &answer)) > *max) {
                Some(max) => answer.within(max).unwrap_or_else(|| Answer::Failed(too_large())),
                None => answer,
            })
        })
    }
}

/// How many bytes something takes.
fn written<'c>(put: impl FnOnce(&mut Writer<'_, 'c>) -> Result<()>) -> usize {
    let mut out = Out::default();
    put(&mut Writer::new(&mut out, Tick::default())).expect("it can be written");
    out.len()
}

/// Nodes on one hub, each with a source of its own.
pub(super) struct Nodes {
    pub(super) hub: Arc<Hub>,
    pub(super) members: Vec<Member>,
    pub(super) engines: Vec<Engine>,
    pub(super) sources: Vec<Counting>,
}

/// The member of a number.
pub(super) fn member(number: usize) -> Member {
    let address = format!("10.0.0.{}:3320", number + 1).parse().expect("an address");
    let mut member = Member::at(address).with_incarnation(Incarnation(1));
    member.state = MemberState::Active;
    member
}

/// The members of these numbers.
pub(super) fn members(numbers: impl IntoIterator<Item = usize>) -> Members {
    numbers.into_iter().map(member).collect()
}

impl Nodes {
    /// Starts nodes that do not know of each other yet.
    pub(super) async fn apart(
        count: usize,
        clock: impl Clock + Clone,
        keyspace: impl Fn(&Counting) -> KeySpaceBuilder,
        change: impl Fn(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        Self::apart_by(Timing::default(), count, clock, keyspace, change).await
    }

    /// The same, with times of their own.
    pub(super) async fn apart_by(
        timing: Timing,
        count: usize,
        clock: impl Clock + Clone,
        keyspace: impl Fn(&Counting) -> KeySpaceBuilder,
        change: impl Fn(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let hub = Hub::new(Arc::new(clock.clone()));
        let members: Vec<_> = (0..count).map(member).collect();
        let (mut engines, mut sources) = (Vec::new(), Vec::new());
        for member in &members {
            let source = Counting::default();
            let line = Arc::new(Line { hub: Arc::clone(&hub), from: member.id });
            let cluster = Cluster::new(member.id, Arc::new(clock.clone()), timing);
            cluster.connect(line);
            let builder = Engine::builder().clock(clock.clone()).keyspace(keyspace(&source).build().expect("good"));
            let engine = change(builder).build_with(Some(Arc::new(cluster))).expect("good settings");
            hub.nodes.lock().insert(member.id, Arc::downgrade(&engine.node));
            engine.start().await.expect("it starts");
            engine.node.spawn(keep_in_touch(Arc::downgrade(&engine.node)));
            engines.push(engine);
            sources.push(source);
        }
        Self { hub, members, engines, sources }
    }

    /// Starts nodes over sources that know of each other.
    pub(super) async fn joined(count: usize) -> Self {
        let nodes = Self::apart(count, SystemClock::new(), sourced, |builder| builder).await;
        nodes.all_see(0..count).await;
        nodes
    }

    /// Lets a node see these members.
    pub(super) fn sees(&self, node: usize, numbers: impl IntoIterator<Item = usize>) {
        adopt(&self.engines[node].node, members(numbers));
    }

    /// Lets a node see these members, each by how often it came back.
    pub(super) fn sees_back(&self, node: usize, numbers: impl IntoIterator<Item = (usize, u32)>) {
        let back = |(number, times)| member(number).with_revision(times);
        adopt(&self.engines[node].node, numbers.into_iter().map(back).collect());
    }

    /// Lets all these see each other, and waits until they have taken over what is theirs.
    pub(super) async fn all_see(&self, numbers: impl IntoIterator<Item = usize> + Clone) {
        for node in numbers.clone() {
            self.sees(node, numbers.clone());
        }
        self.settle(numbers).await;
    }

    /// Waits until these have taken over what is theirs.
    pub(super) async fn settle(&self, numbers: impl IntoIterator<Item = usize>) {
        for node in numbers {
            let cluster = self.engines[node].node.cluster().expect("not alone");
            cluster.view().all_confirmed().await;
        }
    }

    /// Returns who owns a key, by what a node sees.
    pub(super) fn owner(&self, key: &str) -> usize {
        self.owner_seen_by(0, key)
    }

    pub(super) fn owner_seen_by(&self, node: usize, key: &str) -> usize {
        let view = self.engines[node].node.cluster().expect("not alone").view();
        let owner = view.table.owner_of(format!(":{KS}:{key}").as_bytes()).expect("somebody");
        self.members.iter().position(|member| member.id == owner).expect("a member")
    }

    /// Returns who is the home of the keyspace.
    pub(super) fn home(&self) -> usize {
        self.owner("")
    }

    /// Returns a key with this beginning that a node owns.
    pub(super) fn key_of(&self, node: usize, beginning: &str) -> String {
        (0..).map(|n| format!("{beginning}{n}")).find(|key| self.owner(key) == node).expect("one of many")
    }

    /// How often any source was asked.
    pub(super) fn loads(&self) -> u64 {
        self.sources.iter().map(Counting::total).sum()
    }
}
