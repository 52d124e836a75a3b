//! The protocol without sockets, tasks or clocks: datagrams and times in, datagrams and members out.

mod clockwork;
mod effects;
mod life;
mod receive;
mod seeds;
mod timers;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    num::{NonZeroU8, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use foca::{Config, Foca, NoCustomBroadcast, PeriodicParams};
use memstache_core::{Result, Tick};
use rand::{SeedableRng as _, rngs::SmallRng};

use self::{effects::Effects, seeds::Seeds, timers::Timers};
use super::{
    GossipStats,
    parameters::{
        ANNOUNCE_PERIOD, DEAD_FANOUT, DEAD_PERIOD, DEBOUNCE, FIRST_SYNC, FORGET_DEAD, GOSSIP_FANOUT, GOSSIP_PERIOD,
        HEARTBEAT, INDIRECT_PROBES, JITTER, MAX_BODY, PROBE_PERIOD, PROBE_TIMEOUT, SUSPICION, TRANSMISSIONS,
    },
    seal::{Envelope, Keys},
    wire::{Card, CardCodec, Kind, Own, PREFIX, decode_state, encode_member},
};
use crate::member::{Member, Members};

type Swim = Foca<Card, CardCodec, SmallRng, NoCustomBroadcast>;

/// What a machine starts with.
#[derive(Debug)]
pub(super) struct Start {
    /// This node; its incarnation is set.
    pub(super) me: Member,
    pub(super) keys: Keys,
    pub(super) max_members: usize,
    /// Whether there is a stream for lists that no datagram holds.
    pub(super) has_stream: bool,
    pub(super) now: Tick,
    /// Drawn for this start: no two starts of a node may have the same.
    pub(super) session: u64,
    /// For choices that need not be secret.
    pub(super) seed: u64,
}

/// What a machine cannot do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Ask discovery, and give what it says to [`Machine::set_seeds`].
    Discover,
    /// Send [`Machine::state`] to this member, and what it answers to [`Machine::merge`].
    Exchange(Member),
}

/// How far a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Says farewell: so many times more, the next time then.
    Leaving(u8, Tick),
    Left,
    /// Another process has the name now.
    Replaced,
}

/// One node's part of the protocol.
pub(super) struct Machine {
    me: Member,
    own: Arc<Own>,
    swim: Swim,
    effects: Effects,
    timers: Timers,
    envelope: Envelope,
    out: VecDeque<(SocketAddr, Bytes)>,
    wishes: VecDeque<Wish>,
    seeds: Seeds,
    max_members: usize,
    has_stream: bool,
    rng: fastrand::Rng,
    started: Tick,
    looked: Tick,
    next_knock: Tick,
    next_discovery: Tick,
    next_sync: Tick,
    /// Lists were compared once since this node was alone.
    synced: bool,
    /// When members are told of a change, if there is one.
    settles: Option<Tick>,
    contact: Option<Tick>,
    phase: Phase,
    stats: GossipStats,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let others = self.swim.num_members();
        f.debug_struct("Machine").field("me", &self.me).field("others", &others).field("phase", &self.phase).finish()
    }
}

impl Machine {
    pub(super) fn new(start: Start) -> Self {
        let Start { me, keys, max_members, has_stream, now, session, seed } = start;
        let incarnation = me.incarnation.0.into();
        let own = Arc::new(Own { id: me.id, incarnation, revision: 0.into(), rival: parking_lot::Mutex::default() });
        let codec = CardCodec(Arc::clone(&own));
        let swim = Foca::new(Card::of(&me, 0), config(), SmallRng::seed_from_u64(seed), codec);
        Self {
            envelope: Envelope::new(keys, me.id, me.incarnation, session, max_members),
            me,
            own,
            swim,
            effects: Effects::default(),
            timers: Timers::default(),
            out: VecDeque::new(),
            wishes: VecDeque::new(),
            seeds: Seeds::default(),
            max_members,
            has_stream,
            rng: fastrand::Rng::with_seed(!seed),
            started: now,
            looked: now,
            next_knock: Tick::NEVER,
            next_discovery: now,
            next_sync: Tick::NEVER,
            synced: false,
            settles: Some(now),
            contact: None,
            phase: Phase::Running,
            stats: GossipStats::default(),
        }
    }

    /// This node, as it describes itself.
    pub(super) fn me(&self) -> &Member {
        &self.me
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn stats(&self) -> GossipStats {
        self.stats
    }

    /// The latest time at which this node sent what another is known to have heard.
    pub(super) fn contact(&self) -> Option<Tick> {
        self.contact
    }

    /// Whether somebody else is there, or discovery knows of nobody else.
    pub(super) fn has_joined(&self) -> bool {
        self.seeds.says_alone() || self.swim.num_members() > 0
    }

    /// Whether there is a secret.
    pub(super) fn is_sealed(&self) -> bool {
        self.envelope.is_sealed()
    }

    /// The next datagram to send.
    pub(super) fn poll_send(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.out.pop_front()
    }

    /// The next thing to be done for this machine.
    pub(super) fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// The members, if they changed a while ago.
    pub(super) fn poll_members(&mut self, now: Tick) -> Option<Members> {
        self.settles.take_if(|at| *at <= now)?;
        Some(self.members())
    }

    /// When [`on_time`](Self::on_time) is to be called, at the latest.
    pub(super) fn next_time(&self) -> Tick {
        let own = match self.phase {
            Phase::Running => self.next_knock.min(self.next_discovery).min(self.next_sync),
            Phase::Leaving(_, next) => next,
            Phase::Left | Phase::Replaced => return Tick::NEVER,
        };
        let swim = self.timers.next().unwrap_or(Tick::NEVER);
        own.min(swim).min(self.settles.unwrap_or(Tick::NEVER)).min(self.looked.after(HEARTBEAT))
    }

    /// Says where to ask who is there.
    pub(super) fn set_seeds(&mut self, seeds: Vec<SocketAddr>, now: Tick) {
        self.stats.discoveries += 1;
        if self.seeds.take(seeds, self.me.gossip, now, &mut self.rng) {
            self.next_knock = now;
        }
    }

    /// Takes note that discovery could not say.
    pub(super) fn discovery_failed(&mut self) {
        self.stats.discovery_failures += 1;
    }

    /// Knocks and asks discovery at once.
    pub(super) fn hurry(&mut self, now: Tick) {
        self.seeds.ask_anew();
        (self.next_knock, self.next_discovery) = (now, now);
    }

    /// Takes other secrets: the first to send by, all to open.
    pub(super) fn set_keys(&mut self, keys: Keys) {
        self.envelope.set_keys(keys);
    }

    /// The members that live, as bytes for another node.
    pub(super) fn state(&self) -> Bytes {
        let mut out = Vec::new();
        if self.phase == Phase::Running {
            encode_member(&foca::Member::alive(self.swim.identity().clone()), &mut out);
            for member in self.swim.iter_members() {
                encode_member(member, &mut out);
            }
        }
        out.into()
    }

    /// Takes the members that another node knows. Errors: what comes is no list of members.
    pub(super) fn merge(&mut self, state: &[u8], now: Tick) -> Result<()> {
        if self.phase != Phase::Running {
            return Ok(());
        }
        let mut codec = CardCodec(Arc::clone(&self.own));
        // As many as another may know, and itself.
        let members = decode_state(&mut codec, state, self.max_members + 1);
        self.meet_rival(now);
        let members = members.map_err(|why| {
            self.stats.malformed += 1;
            memstache_core::Error::new(
                memstache_core::ErrorKind::Protocol,
                format!("a list of members is wrong: {why}"),
            )
        })?;
        let room = self.max_members.saturating_sub(self.swim.iter_membership_state().len());
        // Who is new to the cluster is told of; who joins tells nobody what all know.
        let spread = self.swim.num_members() > 0;
        self.stats.lists += 1;
        let applied = self.swim.apply_many(members.into_iter().take(room), spread, &mut self.effects);
        self.note(&applied);
        self.settle(now);
        Ok(())
    }

    /// Who else is there.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn others(&self) -> impl Iterator<Item = crate::member::NodeId> {
        self.swim.iter_members().map(|member| member.id().key.id)
    }

    /// Of how many senders something is known.
    #[cfg(test)]
    pub(super) fn known_senders(&self) -> usize {
        self.envelope.known_senders()
    }

    /// How many timers are pending.
    #[cfg(test)]
    pub(super) fn pending_timers(&self) -> usize {
        self.timers.len()
    }

    fn members(&self) -> Members {
        let me = || self.me.clone().with_revision(self.swim.identity().key.revision);
        let me = (self.phase != Phase::Replaced).then(me);
        me.into_iter().chain(self.swim.iter_members().filter_map(|member| member.id().to_member())).collect()
    }

    /// Does what foca asked for.
    fn settle(&mut self, now: Tick) {
        if self.effects.rejoined > 0 {
            self.go_on();
        }
        let mut effects = std::mem::take(&mut self.effects);
        for (to, body) in effects.sends.drain(..) {
            self.send(Kind::Swim, to.key.gossip, Some(to.key.id), &body, now);
        }
        for (timer, after) in effects.timers.drain(..) {
            let after = match &timer {
                foca::Timer::PeriodicAnnounce(_) | foca::Timer::PeriodicAnnounceDown(_) => self.jittered(after),
                _ => after,
            };
            self.timers.add(now.after(after), timer);
        }
        self.stats.rejoined += std::mem::take(&mut effects.rejoined);
        self.stats.lost += std::mem::take(&mut effects.lost);
        if std::mem::take(&mut effects.changed) && self.settles.is_none() {
            self.settles = Some(now.after(DEBOUNCE));
        }
        self.begin_to_sync(now);
        if std::mem::take(&mut effects.lonely) && self.phase == Phase::Running {
            (self.next_sync, self.synced) = (Tick::NEVER, false);
            (self.next_knock, self.next_discovery) = (now, now);
        }
        // With its room for the next time.
        self.effects = effects;
    }

    /// There is a stream for lists from now on.
    pub(super) fn has_stream(&mut self, now: Tick) {
        self.has_stream = true;
        self.begin_to_sync(now);
    }

    fn begin_to_sync(&mut self, now: Tick) {
        if self.has_stream && !self.synced && self.next_sync == Tick::NEVER && self.swim.num_members() > 0 {
            self.next_sync = now.after(FIRST_SYNC);
        }
    }

    fn send(&mut self, kind: Kind, to: SocketAddr, id: Option<crate::member::NodeId>, body: &[u8], now: Tick) {
        let datagram = self.envelope.seal(kind, id, now, body);
        self.push(to, datagram);
    }

    fn push(&mut self, to: SocketAddr, datagram: Bytes) {
        self.stats.sent += 1;
        self.stats.sent_bytes += datagram.len() as u64;
        self.out.push_back((to, datagram));
    }

    fn note(&mut self, done: &std::result::Result<(), foca::Error>) {
        if done.is_err() {
            self.stats.malformed += 1;
        }
    }

    fn jittered(&mut self, period: Duration) -> Duration {
        period.mul_f64(1.0 - JITTER + 2.0 * JITTER * self.rng.f64())
    }
}

fn config() -> Config {
    let some = |count: usize| NonZeroUsize::new(count).expect("not zero");
    let every = |frequency, members| Some(PeriodicParams { frequency, num_members: some(members) });
    Config {
        probe_period: PROBE_PERIOD,
        probe_rtt: PROBE_TIMEOUT,
        num_indirect_probes: some(INDIRECT_PROBES),
        max_transmissions: NonZeroU8::new(TRANSMISSIONS).expect("not zero"),
        suspect_to_down_after: SUSPICION,
        remove_down_after: Some(FORGET_DEAD),
        max_packet_size: some(MAX_BODY - PREFIX),
        notify_down_members: true,
        periodic_announce: every(ANNOUNCE_PERIOD, 1),
        periodic_announce_to_down_members: every(DEAD_PERIOD, DEAD_FANOUT),
        periodic_gossip: every(GOSSIP_PERIOD, GOSSIP_FANOUT),
    }
}
