//! All that a network in memory is, under one lock: which is slow, and the same each time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use memstache_core::Tick;

use super::pipe::Pipe;

/// What a host has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// How many datagrams, lost ones included.
    pub datagrams: u64,
    /// Their bytes.
    pub datagram_bytes: u64,
    /// Bytes written to streams.
    pub stream_bytes: u64,
}

/// Most connections that wait to be taken by one listener.
const BACKLOG: usize = 1024;

/// Most datagrams that wait at one socket; more are lost, as in a full buffer.
const INBOX: usize = 4096;

pub(super) struct State {
    rng: fastrand::Rng,
    pub(super) delay: RangeInclusive<Duration>,
    pub(super) loss: f64,
    pub(super) doubled: f64,
    pub(super) cuts: BTreeSet<(IpAddr, IpAddr)>,
    pub(super) listeners: BTreeMap<SocketAddr, Listening>,
    pub(super) inboxes: BTreeMap<SocketAddr, Inbox>,
    pub(super) pipes: BTreeMap<u64, Pipe>,
    pub(super) sent: BTreeMap<IpAddr, Traffic>,
    connecting: Vec<Waker>,
    /// How often each host has crashed.
    hosts: BTreeMap<IpAddr, u64>,
    last_id: u64,
}

/// Connections that wait to be taken.
#[derive(Default)]
pub(super) struct Listening {
    pub(super) waiting: VecDeque<Taken>,
    pub(super) waker: Option<Waker>,
}

/// The far end of a connection: where it comes from, and what it reads and writes.
pub(super) struct Taken {
    pub(super) remote: SocketAddr,
    pub(super) reads: u64,
    pub(super) writes: u64,
}

/// Datagrams on their way, by when they arrive.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) queue: BTreeMap<(Tick, u64), (SocketAddr, Bytes)>,
    pub(super) waker: Option<Waker>,
}

/// Whom to wake once the lock is given back.
#[derive(Default)]
pub(super) struct Effects(Vec<Waker>);

impl Effects {
    pub(super) fn add(&mut self, waker: &mut Option<Waker>) {
        self.0.extend(waker.take());
    }

    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// What came of an attempt to connect.
pub(super) enum Dialled {
    /// What the near end reads and writes, and when it may begin.
    Connected { reads: u64, writes: u64, at: Tick },
    /// Nobody listens there.
    Refused,
    /// No answer: the waker is called when that may have changed.
    Silence,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            delay: Duration::ZERO..=Duration::ZERO,
            loss: 0.0,
            doubled: 0.0,
            cuts: BTreeSet::new(),
            listeners: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            pipes: BTreeMap::new(),
            sent: BTreeMap::new(),
            connecting: Vec::new(),
            hosts: BTreeMap::new(),
            last_id: 0,
        }
    }

    pub(super) fn is_cut(&self, from: IpAddr, to: IpAddr) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// Returns which life of the host this is.
    pub(super) fn add_host(&mut self, host: IpAddr) -> u64 {
        *self.hosts.entry(host).or_default()
    }

    /// Returns whether a host has not crashed since that life of it began.
    pub(super) fn lives(&self, host: IpAddr, life: u64) -> bool {
        self.hosts.get(&host) == Some(&life)
    }

    pub(super) fn draw_delay(&mut self) -> Duration {
        let whole = |span: &Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let (least, most) = (whole(self.delay.start()), whole(self.delay.end()));
        Duration::from_millis(self.rng.u64(least..=most.max(least)))
    }

    pub(super) fn draw(&mut self, part: f64) -> bool {
        part > 0.0 && self.rng.f64() < part
    }

    /// A port that nothing of the host has.
    pub(super) fn free_port(&mut self, host: IpAddr) -> u16 {
        loop {
            let port = self.rng.u16(32_768..);
            let at = SocketAddr::new(host, port);
            if !self.listeners.contains_key(&at) && !self.inboxes.contains_key(&at) {
                return port;
            }
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn traffic(&mut self, host: IpAddr) -> &mut Traffic {
        self.sent.entry(host).or_default()
    }

    pub(super) fn dial(
        &mut self,
        from: IpAddr,
        to: SocketAddr,
        now: Tick,
        waker: &Waker,
        effects: &mut Effects,
    ) -> Dialled {
        if self.is_cut(from, to.ip()) || self.is_cut(to.ip(), from) {
            self.connecting.push(waker.clone());
            return Dialled::Silence;
        }
        let at = now.after(self.draw_delay() + self.draw_delay());
        let remote = SocketAddr::new(from, self.free_port(from));
        let (there, back) = (self.next_id(), self.next_id());
        let Some(listening) = self.listeners.get_mut(&to) else { return Dialled::Refused };
        if listening.waiting.len() >= BACKLOG {
            return Dialled::Refused;
        }
        listening.waiting.push_back(Taken { remote, reads: there, writes: back });
        effects.add(&mut listening.waker);
        self.pipes.insert(there, Pipe::new(from, to.ip()));
        self.pipes.insert(back, Pipe::new(to.ip(), from));
        Dialled::Connected { reads: back, writes: there, at }
    }

    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8], now: Tick, effects: &mut Effects) {
        let traffic = self.traffic(from.ip());
        traffic.datagrams += 1;
        traffic.datagram_bytes += datagram.len() as u64;
        let copies = if self.draw(self.loss) { 0 } else { 1 + usize::from(self.draw(self.doubled)) };
        if self.is_cut(from.ip(), to.ip()) {
            return;
        }
        for _ in 0..copies {
            let key = (now.after(self.draw_delay()), self.next_id());
            let Some(inbox) = self.inboxes.get_mut(&to).filter(|inbox| inbox.queue.len() < INBOX) else { return };
            inbox.queue.insert(key, (from, Bytes::copy_from_slice(datagram)));
            effects.add(&mut inbox.waker);
        }
    }

    pub(super) fn isolate(&mut self, host: IpAddr) {
        for other in self.hosts.keys().filter(|other| **other != host) {
            self.cuts.insert((host, *other));
            self.cuts.insert((*other, host));
        }
    }

    pub(super) fn black_hole(&mut self, a: IpAddr, b: IpAddr) {
        for pipe in self.pipes.values_mut().filter(|pipe| pipe.is_between(a, b)) {
            pipe.swallow();
        }
    }

    pub(super) fn reset(&mut self, concerned: impl Fn(IpAddr, IpAddr) -> bool, effects: &mut Effects) {
        for pipe in self.pipes.values_mut().filter(|pipe| concerned(pipe.from, pipe.to)) {
            pipe.reset(effects);
        }
    }

    pub(super) fn crash(&mut self, host: IpAddr, effects: &mut Effects) {
        *self.hosts.entry(host).or_default() += 1;
        self.reset(|from, to| from == host || to == host, effects);
        let listening: Vec<_> = self.listeners.keys().filter(|at| at.ip() == host).copied().collect();
        for at in listening {
            self.unlisten(&at, effects);
        }
        for (at, inbox) in &mut self.inboxes {
            if at.ip() == host {
                effects.add(&mut inbox.waker);
            }
        }
        self.inboxes.retain(|at, _| at.ip() != host);
    }

    /// One end of a connection is gone.
    pub(super) fn drop_end(&mut self, reads: u64, writes: u64, effects: &mut Effects) {
        if let Some(pipe) = self.pipes.get_mut(&writes) {
            pipe.close(effects);
        }
        // What the other end writes from now on reaches nobody; over a black hole, it does not learn that.
        if let Some(pipe) = self.pipes.get_mut(&reads).filter(|pipe| !pipe.swallows()) {
            pipe.reset(effects);
        }
        for id in [reads, writes] {
            if self.pipes.get_mut(&id).is_some_and(Pipe::drop_end) {
                self.pipes.remove(&id);
            }
        }
    }

    /// Nobody listens there any more; who was not taken yet is reset.
    pub(super) fn unlisten(&mut self, at: &SocketAddr, effects: &mut Effects) {
        let Some(mut listening) = self.listeners.remove(at) else { return };
        effects.add(&mut listening.waker);
        for taken in listening.waiting {
            if let Some(pipe) = self.pipes.get_mut(&taken.writes) {
                pipe.reset(effects);
            }
            self.drop_end(taken.reads, taken.writes, effects);
        }
    }

    pub(super) fn wake_all(&mut self, effects: &mut Effects) {
        for pipe in self.pipes.values_mut() {
            effects.add(&mut pipe.reader);
            effects.add(&mut pipe.writer);
        }
        effects.0.append(&mut self.connecting);
    }
}
