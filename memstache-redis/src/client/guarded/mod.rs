//! A client that notices what is gone: a breaker for each server, and a watchdog for connections that hang.

mod probing;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use memstache_core::{
    BoxFuture, Clock, Tick,
    observe::DatabaseCalls,
    resilience::{Breaker, BreakerConfig, BreakerState, Permit, Transition, Verdict},
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use self::probing::{Prober, Told, probe, pulse};
use super::{
    Client, Command, Failure, Reply, Topology,
    calls::{Calls, Watched},
    watchdog::Watchdog,
};

/// Failures within this time count once: a burst of commands that all end at once says no more than its first.
const BURST: Duration = Duration::from_millis(50);
/// A command that waited for less says nothing about the server.
const PATIENCE: Duration = Duration::from_millis(100);
/// Servers that are remembered; more come only where servers keep changing their names.
const MOST: usize = 4096;

/// A client behind breakers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Guarded(Arc<Inner>);

struct Inner {
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    /// On which servers are probed: callers' own may end before they are back.
    runtime: Handle,
    watchdog: Watchdog,
    calls: Calls,
    servers: Mutex<HashMap<Arc<str>, Server>>,
    /// Commands that were sent, and those of them that are not answered.
    sent: AtomicU64,
    under_way: AtomicUsize,
    opened: AtomicU64,
    reconnects: AtomicU64,
}

struct Server {
    breaker: Breaker,
    /// When the last failure was counted.
    failed: Option<Tick>,
}

impl Server {
    fn new() -> Self {
        // Only failures in a row: half of the commands may fail because one of two slots has moved.
        let config = BreakerConfig::leaf().without_failure_rate();
        Self { breaker: Breaker::new(config).expect("settings of our own"), failed: None }
    }

    fn record(&mut self, permit: Permit, verdict: Verdict, now: Tick) -> Option<Transition> {
        let burst = verdict == Verdict::Failure && self.failed.is_some_and(|last| now.since(last) < BURST);
        if verdict == Verdict::Failure && !burst {
            self.failed = Some(now);
        }
        self.breaker.record(permit, if burst { Verdict::Ignored } else { verdict }, now)
    }
}

/// What the guard has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GuardedStats {
    pub(crate) open: usize,
    pub(crate) opened: u64,
    pub(crate) reconnects: u64,
}

impl Guarded {
    pub(crate) fn new(client: Arc<dyn Client>, clock: Arc<dyn Clock>, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            calls: Calls::new(Arc::clone(&clock), client.database()),
            client,
            clock,
            runtime,
            watchdog: Watchdog::default(),
            servers: Mutex::default(),
            sent: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }))
    }

    /// Sends a command, unless its server is known to be gone.
    ///
    /// # Cancellation
    /// A future that is dropped after it waited for long counts as a timeout.
    pub(crate) fn send(
        &self,
        slot: u16,
        command: Command,
        within: Duration,
    ) -> BoxFuture<'static, Result<Reply, Failure>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let _under_way = UnderWay::new(&inner);
            let (server, since) = (inner.server_of(slot), inner.clock.now());
            let Some(permit) = inner.permit(&server, since) else { return Err(Failure::Open) };
            let watched = Some(inner.calls.begin(&command, &server));
            let mut call = Call { inner: &inner, server, slot, since, permit: Some(permit), watched };
            let answer = inner.client.send(slot, command, within).await;
            call.note(answer.as_ref().err());
            answer
        })
    }

    /// Asks servers whether they are there, for as long as the client lives.
    ///
    /// Their times are told as they answer: to a server, in µs, with when it was asked and when it answered.
    pub(crate) fn keep_pulse(&self, told: Told) {
        self.0.runtime.spawn(pulse(Arc::downgrade(&self.0), told));
    }

    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.0.client.topology()
    }

    pub(crate) fn server_of(&self, slot: u16) -> Arc<str> {
        self.0.server_of(slot)
    }

    /// Returns how long commands took.
    pub(crate) fn times(&self) -> Arc<DatabaseCalls> {
        self.0.calls.times()
    }

    pub(crate) fn stats(&self) -> GuardedStats {
        let gone = |server: &&Server| server.breaker.state() != BreakerState::Closed;
        let open = self.0.servers.lock().values().filter(gone).count();
        GuardedStats { open, opened: self.0.opened.load(Relaxed), reconnects: self.0.reconnects.load(Relaxed) }
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.0.client).finish()
    }
}

/// Counts a command while it is not answered.
struct UnderWay<'a>(&'a Inner);

impl<'a> UnderWay<'a> {
    fn new(inner: &'a Inner) -> Self {
        inner.sent.fetch_add(1, Relaxed);
        inner.under_way.fetch_add(1, Relaxed);
        Self(inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// A command whose outcome is to be noted.
struct Call<'a> {
    inner: &'a Arc<Inner>,
    server: Arc<str>,
    slot: u16,
    since: Tick,
    /// Until its outcome is noted.
    permit: Option<Permit>,
    /// Who watches it; nobody those that are sent beside what the store is asked.
    watched: Option<Watched>,
}

impl Call<'_> {
    fn note(&mut self, failure: Option<&Failure>) {
        if let Some(watched) = self.watched.take() {
            self.inner.calls.end(&watched, failure);
        }
        let Some(permit) = self.permit.take() else { return };
        let patient = self.inner.clock.now().since(self.since) >= PATIENCE;
        let verdict = match failure {
            Some(Failure::Timeout) if !patient => Verdict::Ignored,
            Some(Failure::Full | Failure::Open) => Verdict::Ignored,
            Some(failure) if failure.is_outage() => Verdict::Failure,
            // It answered, if only to refuse.
            _ => Verdict::Success,
        };
        let timeout = failure == Some(&Failure::Timeout) && verdict == Verdict::Failure;
        self.inner.note(&self.server, self.slot, permit, verdict, timeout);
    }

    /// Ends it as one that says nothing about the server.
    fn ignore(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        self.inner.note(&self.server, self.slot, permit, Verdict::Ignored, false);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(watched) = self.watched.take() {
            self.inner.calls.left(&watched);
        }
        self.note(Some(&Failure::Timeout));
    }
}

impl Inner {
    fn server_of(&self, slot: u16) -> Arc<str> {
        let topology = self.client.topology();
        match topology.node_of(slot).map(|at| &topology.nodes[at]) {
            Some(node) => Arc::clone(&node.name),
            None => "?".into(),
        }
    }

    fn permit(&self, server: &Arc<str>, now: Tick) -> Option<Permit> {
        let mut servers = self.servers.lock();
        if let Some(known) = servers.get_mut(server) {
            return known.breaker.try_call(now).ok();
        }
        if servers.len() >= MOST {
            servers.clear();
        }
        servers.entry(Arc::clone(server)).or_insert_with(Server::new).breaker.try_call(now).ok()
    }

    /// Takes note of an outcome.
    fn note(self: &Arc<Self>, server: &Arc<str>, slot: u16, permit: Permit, verdict: Verdict, timeout: bool) {
        let now = self.clock.now();
        if verdict == Verdict::Success {
            self.watchdog.answered(server);
        } else if timeout && self.watchdog.timed_out(server, now) {
            self.reconnects.fetch_add(1, Relaxed);
            tracing::warn!(server = &**server, "a connection hangs and is made anew");
            self.client.reconnect(slot);
        }
        let mut servers = self.servers.lock();
        let change = servers.get_mut(server).and_then(|known| known.record(permit, verdict, now));
        // A task that cannot be started is dropped at once, and locks.
        drop(servers);
        match change.map(|change| (change.from, change.to)) {
            Some((BreakerState::Closed, BreakerState::Open)) => {
                self.opened.fetch_add(1, Relaxed);
                tracing::warn!(server = &**server, "a server is gone");
                self.runtime.spawn(probe(Prober::new(self, server), slot));
            }
            Some((_, BreakerState::Closed)) => tracing::info!(server = &**server, "a server is back"),
            _ => {}
        }
    }

    /// Returns when a server is to be asked; `None` once it is back, or another took over its slot.
    fn probe_at(&self, server: &Arc<str>, slot: u16) -> Option<Tick> {
        let mut servers = self.servers.lock();
        if self.server_of(slot) != *server {
            servers.remove(server);
            return None;
        }
        servers.get(server)?.breaker.probe_at()
    }

    fn probe_permit(&self, server: &Arc<str>) -> Option<Permit> {
        self.servers.lock().get_mut(server)?.breaker.try_probe(self.clock.now())
    }
}

#[cfg(test)]
mod tests;
