//! A client that notices what is gone: a breaker for each server, and a watchdog for connections that hang.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use memstache_core::{
    BoxFuture, Clock, Tick,
    resilience::{Breaker, BreakerConfig, BreakerState, Permit, Transition, Verdict},
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{Client, Command, Failure, Reply, Topology, watchdog::Watchdog};

/// Failures within this time count once: a burst of commands that all end at once says no more than its first.
const BURST: Duration = Duration::from_millis(50);
/// How often servers are asked whether they are there, while there is something to do: a server that hangs is noticed
/// within a second, however patient the commands are.
const PULSE: Duration = Duration::from_millis(250);
/// How long a probe may take.
const PROBE: Duration = Duration::from_millis(250);
/// The least time from one probe to the next.
const REST: Duration = Duration::from_millis(250);
/// A command that waited for less says nothing about the server.
const PATIENCE: Duration = Duration::from_millis(100);
/// Servers that are remembered; more come only where servers keep changing their names.
const MOST: usize = 4096;

/// A client behind breakers.
pub(crate) struct Guarded(Arc<Inner>);

struct Inner {
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    /// On which servers are probed: callers' own may end before they are back.
    runtime: Handle,
    watchdog: Watchdog,
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
            let mut call = Call { inner: &inner, server, slot, since, permit: Some(permit) };
            let answer = inner.client.send(slot, command, within).await;
            call.note(answer.as_ref().err());
            answer
        })
    }

    /// Asks servers whether they are there, for as long as the client lives.
    pub(crate) fn keep_pulse(&self) {
        self.0.runtime.spawn(pulse(Arc::downgrade(&self.0)));
    }

    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.0.client.topology()
    }

    pub(crate) fn server_of(&self, slot: u16) -> Arc<str> {
        self.0.server_of(slot)
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
}

impl Call<'_> {
    fn note(&mut self, failure: Option<&Failure>) {
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
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
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
                self.runtime.spawn(probe(Prober { inner: Arc::downgrade(self), server: Arc::clone(server) }, slot));
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

/// Pings all servers at each beat, if there was something to do since the last.
async fn pulse(inner: Weak<Inner>) {
    let mut seen = 0;
    while let Some(guard) = inner.upgrade() {
        let wake = guard.clock.sleep_until(guard.clock.now().after(PULSE));
        drop(guard);
        wake.await;
        let Some(guard) = inner.upgrade() else { return };
        let before = std::mem::replace(&mut seen, guard.sent.load(Relaxed));
        if before == seen && guard.under_way.load(Relaxed) == 0 {
            continue;
        }
        for node in &guard.client.topology().nodes {
            let slot = node.slots.first().map_or(0, |(first, _)| *first);
            // Not waited for: the next beat comes in time.
            tokio::spawn(ping(Arc::clone(&guard), Arc::clone(&node.name), slot));
        }
    }
}

async fn ping(inner: Arc<Inner>, server: Arc<str>, slot: u16) {
    let since = inner.clock.now();
    let Some(permit) = inner.permit(&server, since) else { return };
    let mut call = Call { inner: &inner, server, slot, since, permit: Some(permit) };
    let answer = inner.client.send(slot, Command::plain("PING", &[]), PULSE).await;
    call.note(answer.as_ref().err());
}

/// Who asks whether a server is back. When it goes before that is so, with its runtime, the server is asked by requests
/// again: nobody else would.
struct Prober {
    inner: Weak<Inner>,
    server: Arc<str>,
}

impl Drop for Prober {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let mut servers = inner.servers.lock();
        if servers.get(&self.server).is_some_and(|server| server.breaker.state() != BreakerState::Closed) {
            servers.remove(&self.server);
        }
    }
}

/// Asks until a server, or the one that took over its slot, answers; off the path of any request.
async fn probe(prober: Prober, slot: u16) {
    let (inner, server) = (&prober.inner, &prober.server);
    let mut rests = Tick::default();
    while let Some(guard) = inner.upgrade() {
        let Some(at) = guard.probe_at(server, slot) else { return };
        // A probe that was not even sent says nothing, and the next is due at once.
        let wake = guard.clock.sleep_until(at.max(rests));
        drop(guard);
        wake.await;
        let Some(guard) = inner.upgrade() else { return };
        let since = guard.clock.now();
        rests = since.after(REST);
        let Some(permit) = guard.probe_permit(server) else { continue };
        let mut call = Call { inner: &guard, server: Arc::clone(server), slot, since, permit: Some(permit) };
        let answer = guard.client.send(slot, Command::plain("PING", &[]), PROBE).await;
        call.note(answer.as_ref().err());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use memstache_core::testing::ManualClock;

    use super::*;
    use crate::client::Node;

    /// Answers what it was told to.
    #[derive(Debug)]
    struct Scripted {
        answer: Mutex<Option<Failure>>,
        sent: AtomicUsize,
        reconnects: AtomicUsize,
        clock: ManualClock,
    }

    impl Client for Scripted {
        fn send(&self, _: u16, _: Command, within: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            self.sent.fetch_add(1, Relaxed);
            let answer = self.answer.lock().clone();
            if answer == Some(Failure::Timeout) {
                self.clock.advance(within);
            }
            Box::pin(async move { answer.map_or(Ok(Reply::Nil), Err) })
        }
        fn topology(&self) -> Arc<Topology> {
            Arc::new(Topology { cluster: false, nodes: vec![Node::new("h".into(), 1, None)] })
        }
        fn reconnect(&self, _: u16) {
            self.reconnects.fetch_add(1, Relaxed);
        }
        fn close(&self) {}
    }

    fn guarded(failure: Failure) -> (Arc<Scripted>, Guarded, ManualClock) {
        let clock = ManualClock::new();
        let client = Arc::new(Scripted {
            answer: Mutex::new(Some(failure)),
            sent: AtomicUsize::new(0),
            reconnects: AtomicUsize::new(0),
            clock: clock.clone(),
        });
        let runtime = Handle::current();
        let guarded = Guarded::new(Arc::clone(&client) as Arc<dyn Client>, Arc::new(clock.clone()), runtime);
        (client, guarded, clock)
    }

    async fn send(guarded: &Guarded, millis: u64) -> Result<Reply, Failure> {
        guarded.send(0, Command::plain("PING", &[]), Duration::from_millis(millis)).await
    }

    #[tokio::test]
    async fn opens_after_five_and_closes_by_a_probe() {
        let (client, guarded, clock) = guarded(Failure::Disconnected);
        for _ in 0..20 {
            assert_eq!(send(&guarded, 250).await, Err(Failure::Disconnected), "a burst says no more than its first");
        }
        for _ in 0..4 {
            clock.advance(BURST);
            assert_eq!(send(&guarded, 250).await, Err(Failure::Disconnected));
        }
        assert_eq!(send(&guarded, 250).await, Err(Failure::Open), "nothing is sent to who is gone");
        assert_eq!((client.sent.load(Relaxed), guarded.stats().open), (24, 1));
        tokio::task::yield_now().await;
        *client.answer.lock() = None;
        clock.advance(PROBE);
        while guarded.stats().open > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(send(&guarded, 250).await, Ok(Reply::Nil));
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_noticed_however_patient_its_callers_are() {
        let (client, guarded, clock) = guarded(Failure::Timeout);
        guarded.keep_pulse();
        for _ in 0..8 {
            // Each beat finds that something was sent since the last.
            guarded.0.sent.fetch_add(1, Relaxed);
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            clock.advance(PULSE);
        }
        assert!(client.reconnects.load(Relaxed) >= 1, "{:?}", guarded.stats());
        let sent = client.sent.load(Relaxed);
        for _ in 0..8 {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            if guarded.stats().open == 0 {
                clock.advance(PULSE);
            }
        }
        assert!(client.sent.load(Relaxed) <= sent + 1, "nothing is asked while there is nothing to do");
    }

    async fn open(guarded: &Guarded, clock: &ManualClock) {
        for _ in 0..5 {
            assert_eq!(send(guarded, 250).await, Err(Failure::Disconnected));
            clock.advance(BURST);
        }
        assert_eq!(send(guarded, 250).await, Err(Failure::Open));
    }

    #[tokio::test]
    async fn a_probe_that_cannot_be_sent_rests() {
        let (client, guarded, clock) = guarded(Failure::Disconnected);
        open(&guarded, &clock).await;
        *client.answer.lock() = Some(Failure::Full);
        let sent = client.sent.load(Relaxed);
        for probes in 1..4 {
            clock.advance(REST);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            assert_eq!(client.sent.load(Relaxed), sent + probes);
        }
        *client.answer.lock() = None;
        clock.advance(REST);
        while guarded.stats().open > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_breaker_does_not_outlive_who_probes() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let (client, guarded, clock) = first.block_on(async { guarded(Failure::Disconnected) });
        second.block_on(open(&guarded, &clock));
        drop(first);
        // Also those that open after that.
        for _ in 0..9 {
            assert_eq!(second.block_on(send(&guarded, 250)), Err(Failure::Disconnected));
            clock.advance(BURST);
        }
        *client.answer.lock() = None;
        assert_eq!(second.block_on(send(&guarded, 250)), Ok(Reply::Nil));
    }

    #[tokio::test]
    async fn three_timeouts_in_a_row_drop_the_connection() {
        let (client, guarded, _) = guarded(Failure::Timeout);
        for _ in 0..3 {
            assert_eq!(send(&guarded, 250).await, Err(Failure::Timeout));
        }
        assert_eq!(client.reconnects.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn impatience_and_refusals_are_no_outage() {
        let (client, guarded, _) = guarded(Failure::Timeout);
        for _ in 0..9 {
            assert_eq!(send(&guarded, 5).await, Err(Failure::Timeout));
        }
        *client.answer.lock() = Some(Failure::Server("NOPERM".into()));
        for _ in 0..9 {
            assert_eq!(send(&guarded, 250).await, Err(Failure::Server("NOPERM".into())));
        }
        assert_eq!((guarded.stats().open, client.reconnects.load(Relaxed)), (0, 0));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_late_counts_as_a_timeout() {
        /// Never answers.
        #[derive(Debug)]
        struct Silent;
        impl Client for Silent {
            fn send(&self, _: u16, _: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
                Box::pin(std::future::pending())
            }
            fn topology(&self) -> Arc<Topology> {
                Arc::default()
            }
            fn reconnect(&self, _: u16) {}
            fn close(&self) {}
        }
        let clock = ManualClock::new();
        let guarded = Guarded::new(Arc::new(Silent), Arc::new(clock.clone()), Handle::current());
        for _ in 0..5 {
            let mut call = guarded.send(0, Command::plain("PING", &[]), Duration::from_secs(1));
            assert!(futures_util::poll!(&mut call).is_pending());
            clock.advance(PATIENCE);
            drop(call);
        }
        assert_eq!(guarded.stats().open, 1);
        assert_eq!(guarded.stats().reconnects, 1);
    }
}
