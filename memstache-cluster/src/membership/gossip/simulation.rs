//! Many nodes in one thread, on a clock that is turned by hand and a network that loses what it is told to.
//!
//! For tests and benches; the same seed plays the same story.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use memstache_core::Tick;

use super::{
    GossipSecret, GossipStats,
    machine::{Machine, Phase, Start, Wish},
    seal::Keys,
};
use crate::member::{Incarnation, Member, MemberState, Members, NodeId, NodeName};

const BEGIN: Tick = Tick::from_millis(1_000_000);

/// What a story is told with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Decides over everything that is left to chance.
    pub seed: u64,
    /// Part of the datagrams that is lost.
    pub loss: f64,
    /// Whether nodes have streams for what no datagram holds.
    pub streams: bool,
    /// Whether datagrams are sealed.
    pub sealed: bool,
}

impl Settings {
    /// A story without losses, with streams, sealed.
    pub fn new(seed: u64) -> Self {
        Self { seed, loss: 0.0, streams: true, sealed: true }
    }

    /// Loses this part of the datagrams.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// Without streams.
    #[must_use]
    pub fn without_streams(mut self) -> Self {
        self.streams = false;
        self
    }
}

#[derive(Debug)]
struct Node {
    machine: Machine,
    members: Members,
    /// How often users were told of a change.
    told: u64,
    wake: Tick,
    paused: bool,
    /// What waits in the socket of a paused node.
    waiting: Vec<(SocketAddr, Bytes)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive { to: SocketAddr, from: SocketAddr, datagram: Bytes },
    Wake(usize),
    Exchange { from: usize, to: SocketAddr },
}

/// A cluster in one thread.
#[derive(Debug)]
pub struct Simulation {
    settings: Settings,
    nodes: Vec<Option<Node>>,
    places: HashMap<SocketAddr, usize>,
    events: BinaryHeap<Reverse<(Tick, u64, Event)>>,
    sides: Vec<u8>,
    seeds: Vec<SocketAddr>,
    now: Tick,
    count: u64,
    rng: fastrand::Rng,
}

impl Simulation {
    /// Prepares places for so many nodes, the first three of which are everybody's seeds.
    pub fn new(places: usize, settings: Settings) -> Self {
        Self {
            settings,
            nodes: (0..places).map(|_| None).collect(),
            places: HashMap::new(),
            events: BinaryHeap::new(),
            sides: vec![0; places],
            seeds: (0..places.min(3)).map(|node| address(node, 0)).collect(),
            now: BEGIN,
            count: 0,
            rng: fastrand::Rng::with_seed(settings.seed),
        }
    }

    /// Starts a node at its own address.
    pub fn start(&mut self, node: usize) {
        self.start_at(node, 0, 0);
    }

    /// Starts a node at its nth address, with its wall clock so many milliseconds ahead.
    pub fn start_at(&mut self, node: usize, nth: u8, ahead: i64) {
        let name: NodeName = format!("node-{node}").parse().expect("a name");
        let wall = 1_700_000_000_000_u64.saturating_add(self.now.as_millis()).saturating_add_signed(ahead);
        let at = address(node, nth);
        let me = Member::new(name, at).with_state(MemberState::Active).with_incarnation(Incarnation(wall));
        let secret = GossipSecret::new([7; 32]).expect("long enough");
        let secrets = if self.settings.sealed { vec![secret] } else { Vec::new() };
        let machine = Machine::new(Start {
            me,
            keys: Keys::new("simulation", &secrets),
            max_members: 10_000,
            has_stream: self.settings.streams,
            now: self.now,
            session: self.rng.u64(..),
            seed: self.rng.u64(..),
        });
        self.places.retain(|_, it| *it != node);
        self.places.insert(at, node);
        let members = Members::default();
        let running = Node { machine, members, told: 0, wake: Tick::NEVER, paused: false, waiting: Vec::new() };
        self.nodes[node] = Some(running);
        self.look(node);
    }

    /// Starts all nodes at once.
    pub fn start_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.start(node));
    }

    /// Makes all running nodes known to each other, as if they had been together for long. To be called right after they
    /// started: large clusters that start at once talk about nothing else for a minute.
    pub fn acquaint(&mut self) {
        let now = self.now;
        let all: Vec<u8> = self.nodes.iter().flatten().flat_map(|node| node.machine.state()).collect();
        for node in self.nodes.iter_mut().flatten() {
            node.machine.merge(&all, now).expect("what nodes write is read");
        }
        (0..self.nodes.len()).for_each(|node| self.look(node));
    }

    /// Ends a node without a word.
    pub fn crash(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// Lets a node say farewell.
    pub fn leave(&mut self, node: usize) {
        let now = self.now;
        self.running(node).machine.leave(now);
        self.look(node);
    }

    /// Lets a node say that it is in another state.
    pub fn set_state(&mut self, node: usize, state: MemberState) {
        let now = self.now;
        self.running(node).machine.set_state(state, now);
        self.look(node);
    }

    /// Stops a node as SIGSTOP does.
    pub fn pause(&mut self, node: usize) {
        self.running(node).paused = true;
    }

    /// Lets it go on, with what waited in its socket.
    pub fn resume(&mut self, node: usize) {
        let now = self.now;
        let running = self.running(node);
        running.paused = false;
        for (from, datagram) in std::mem::take(&mut running.waiting) {
            running.machine.on_datagram(from, &mut datagram.to_vec(), now);
        }
        self.look(node);
    }

    /// Puts a node on a side; datagrams and streams stay on their side.
    pub fn put_on_side(&mut self, node: usize, side: u8) {
        self.sides[node] = side;
    }

    /// Puts all nodes on one side.
    pub fn heal(&mut self) {
        self.sides.fill(0);
    }

    /// Sends a datagram from somewhere to a node.
    pub fn inject(&mut self, node: usize, from: SocketAddr, datagram: &[u8]) {
        let now = self.now;
        self.running(node).machine.on_datagram(from, &mut datagram.to_vec(), now);
        self.look(node);
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(Reverse((at, _, _))) = self.events.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = end;
    }

    /// Lets time pass until something holds, looking ten times a second, and says how long that took.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        while !holds(self) {
            if self.now.since(start) >= limit {
                return None;
            }
            self.run_for(Duration::from_millis(100));
        }
        Some(self.now.since(start))
    }

    /// How long the story has gone on.
    pub fn elapsed(&self) -> Duration {
        self.now.since(BEGIN)
    }

    /// Whether every running node knows all that run on its side, and nobody else.
    pub fn agree(&self) -> bool {
        let running = || self.nodes.iter().zip(&self.sides).filter_map(|(node, side)| Some((node.as_ref()?, *side)));
        let running = || running().filter(|(node, _)| node.machine.phase() == Phase::Running);
        let mut of_side: HashMap<u8, (usize, u64)> = HashMap::new();
        for (node, side) in running() {
            let (count, all) = of_side.entry(side).or_default();
            (*count, *all) = (*count + 1, *all ^ node.machine.me().id.0);
        }
        running().all(|(node, side)| {
            let me = node.machine.me().id.0;
            let (count, all) = node.machine.others().fold((1, me), |(count, all), id| (count + 1, all ^ id.0));
            of_side.get(&side) == Some(&(count, all))
        })
    }

    /// Whether every running node but itself has told its users that this one is gone, or that it is there.
    pub fn all_see(&self, node: usize, there: bool) -> bool {
        let id = id(node);
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != node);
        others.filter_map(|(_, other)| other.as_ref()).all(|other| other.members.contains(id) == there)
    }

    /// What a node told its users last.
    pub fn members(&self, node: usize) -> Members {
        self.nodes[node].as_ref().map(|node| node.members.clone()).unwrap_or_default()
    }

    /// How often a node told its users of a change.
    pub fn told(&self, node: usize) -> u64 {
        self.nodes[node].as_ref().map_or(0, |node| node.told)
    }

    /// Moves a node that runs to a new place, so that another may start in its old one, and returns that.
    pub fn fork(&mut self, node: usize) -> usize {
        let place = self.nodes.len();
        let moved = self.nodes[node].take();
        self.nodes.push(moved);
        self.sides.push(self.sides[node]);
        for at in self.places.values_mut().filter(|at| **at == node) {
            *at = place;
        }
        if let Some(node) = &mut self.nodes[place] {
            node.wake = Tick::NEVER;
        }
        self.look(place);
        place
    }

    /// What came and went at a node.
    pub fn stats(&self, node: usize) -> GossipStats {
        self.nodes[node].as_ref().map(|node| node.machine.stats()).unwrap_or_default()
    }

    /// The bytes that all nodes sent.
    pub fn bytes_sent(&self) -> u64 {
        self.nodes.iter().flatten().map(|node| node.machine.stats().sent_bytes).sum()
    }

    /// When a node was last in touch for certain, and how long ago that is.
    pub fn out_of_touch(&self, node: usize) -> Option<Duration> {
        let contact = self.nodes[node].as_ref()?.machine.contact()?;
        Some(self.now.since(contact))
    }

    /// Whether a node found that another process has its name.
    pub fn is_replaced(&self, node: usize) -> bool {
        self.nodes[node].as_ref().is_some_and(|node| node.machine.phase() == Phase::Replaced)
    }

    /// The datagrams that are under way, to be sent again or changed.
    pub fn under_way(&self) -> Vec<(SocketAddr, SocketAddr, Bytes)> {
        let arriving = self.events.iter().filter_map(|Reverse((_, _, event))| match event {
            Event::Arrive { to, from, datagram } => Some((*to, *from, datagram.clone())),
            Event::Wake(_) | Event::Exchange { .. } => None,
        });
        arriving.collect()
    }

    fn running(&mut self, node: usize) -> &mut Node {
        self.nodes[node].as_mut().expect("a node that runs")
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { to, from, datagram } => {
                let (now, Some(place)) = (self.now, self.places.get(&to).copied()) else { return };
                let Some(node) = &mut self.nodes[place] else { return };
                if node.paused {
                    // As much as a socket holds.
                    if node.waiting.len() < 500 {
                        node.waiting.push((from, datagram));
                    }
                    return;
                }
                node.machine.on_datagram(from, &mut datagram.to_vec(), now);
                self.look(place);
            }
            Event::Wake(place) => {
                let now = self.now;
                let Some(node) = self.nodes[place].as_mut().filter(|node| node.wake <= now) else { return };
                node.wake = Tick::NEVER;
                self.look(place);
            }
            Event::Exchange { from, to } => self.exchange(from, to),
        }
    }

    fn exchange(&mut self, from: usize, to: SocketAddr) {
        let (now, Some(to)) = (self.now, self.places.get(&to).copied()) else { return };
        let awake = |node: &Option<Node>| node.as_ref().is_some_and(|node| !node.paused);
        if self.sides[from] != self.sides[to] || !awake(&self.nodes[from]) || !awake(&self.nodes[to]) {
            return;
        }
        let state = self.running(from).machine.state();
        let merged = self.running(to).machine.merge(&state, now);
        let answer = self.running(to).machine.state();
        if merged.is_ok() {
            // A list that tells of a later life is refused, and comes again.
            let _ = self.running(from).machine.merge(&answer, now);
        }
        self.look(to);
        self.look(from);
    }

    /// Lets a node do what is due, and takes what it has to say.
    fn look(&mut self, place: usize) {
        let now = self.now;
        let Some(node) = self.nodes[place].as_mut().filter(|node| !node.paused) else { return };
        if node.machine.next_time() <= now {
            node.machine.on_time(now);
        }
        while let Some(wish) = node.machine.poll_wish() {
            match wish {
                Wish::Discover => node.machine.set_seeds(self.seeds.clone(), now),
                Wish::Exchange(with) => {
                    let event = Event::Exchange { from: place, to: with.gossip };
                    self.count += 1;
                    self.events.push(Reverse((now.after(Duration::from_millis(3)), self.count, event)));
                }
            }
        }
        if let Some(members) = node.machine.poll_members(now) {
            node.members = members;
            node.told += 1;
        }
        let from = node.machine.me().gossip;
        let out: Vec<_> = std::iter::from_fn(|| node.machine.poll_send()).collect();
        let next = node.machine.next_time().max(now.after(Duration::from_millis(1)));
        if next < node.wake {
            node.wake = next;
            self.count += 1;
            self.events.push(Reverse((next, self.count, Event::Wake(place))));
        }
        for (to, datagram) in out {
            self.carry(place, from, to, datagram);
        }
    }

    fn carry(&mut self, place: usize, from: SocketAddr, to: SocketAddr, datagram: Bytes) {
        let reachable = self.places.get(&to).is_some_and(|other| self.sides[*other] == self.sides[place]);
        if !reachable || self.rng.f64() < self.settings.loss {
            return;
        }
        let arrives = self.now.after(Duration::from_millis(self.rng.u64(1..=4)));
        self.count += 1;
        self.events.push(Reverse((arrives, self.count, Event::Arrive { to, from, datagram })));
    }
}

/// The nth address of a node.
fn address(node: usize, nth: u8) -> SocketAddr {
    ([10, nth, (node >> 8) as u8, node as u8], 3322).into()
}

/// The id of a node.
pub fn id(node: usize) -> NodeId {
    NodeId::of(&format!("node-{node}").parse().expect("a name"))
}
