//! A client that notices what is gone: a breaker for each server, and a watchdog for connections that hang.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use memstache_core::{BoxFuture, Clock, Tick};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{Client, Command, Failure, Reply, Topology, watchdog::Watchdog};

/// Failures in a row that open the breaker of a server,
const FAILURES: u32 = 5;
/// if there was no answer for this long: a burst of commands that all end at once says no more than its first.
const SPAN: Duration = Duration::from_millis(200);
/// How often a server that is gone is asked whether it is back; off the path of any request.
const PROBE: Duration = Duration::from_millis(250);
/// A command that waited for less says nothing about the server.
const PATIENCE: Duration = Duration::from_millis(100);

/// A client behind breakers.
pub(crate) struct Guarded(Arc<Inner>);

struct Inner {
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    watchdog: Watchdog,
    breakers: Mutex<HashMap<Arc<str>, Breaker>>,
    opened: AtomicU64,
    reconnects: AtomicU64,
}

#[derive(Default)]
struct Breaker {
    failures: u32,
    /// When the first of them was seen.
    first: Tick,
    open: bool,
}

/// What the guard has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GuardedStats {
    pub(crate) open: usize,
    pub(crate) opened: u64,
    pub(crate) reconnects: u64,
}

impl Guarded {
    pub(crate) fn new(client: Arc<dyn Client>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            client,
            clock,
            watchdog: Watchdog::default(),
            breakers: Mutex::default(),
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
            let server = inner.server_of(slot);
            if inner.breakers.lock().get(&server).is_some_and(|breaker| breaker.open) {
                return Err(Failure::Open);
            }
            let mut call = Call { inner: &inner, server, slot, since: inner.clock.now(), noted: false };
            let answer = inner.client.send(slot, command, within).await;
            call.note(answer.as_ref().err());
            answer
        })
    }

    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.0.client.topology()
    }

    pub(crate) fn server_of(&self, slot: u16) -> Arc<str> {
        self.0.server_of(slot)
    }

    pub(crate) fn stats(&self) -> GuardedStats {
        let open = self.0.breakers.lock().values().filter(|breaker| breaker.open).count();
        GuardedStats { open, opened: self.0.opened.load(Relaxed), reconnects: self.0.reconnects.load(Relaxed) }
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.0.client).finish()
    }
}

/// A command under way.
struct Call<'a> {
    inner: &'a Arc<Inner>,
    server: Arc<str>,
    slot: u16,
    since: Tick,
    noted: bool,
}

impl Call<'_> {
    fn note(&mut self, failure: Option<&Failure>) {
        self.noted = true;
        let patient = self.inner.clock.now().since(self.since) >= PATIENCE;
        match failure {
            Some(Failure::Timeout) if !patient => {}
            Some(failure) if failure.is_outage() => {
                self.inner.failed(&self.server, self.slot, *failure == Failure::Timeout);
            }
            Some(Failure::Full | Failure::Open) => {}
            _ => self.inner.answered(&self.server),
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.noted {
            self.note(Some(&Failure::Timeout));
        }
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

    fn answered(&self, server: &str) {
        self.watchdog.answered(server);
        let mut breakers = self.breakers.lock();
        if let Some(breaker) = breakers.get_mut(server) {
            breaker.failures = 0;
        }
    }

    fn failed(self: &Arc<Self>, server: &Arc<str>, slot: u16, timeout: bool) {
        let now = self.clock.now();
        if timeout && self.watchdog.timed_out(server, now) {
            self.reconnects.fetch_add(1, Relaxed);
            tracing::warn!(server = &**server, "a connection hangs and is made anew");
            self.client.reconnect(slot);
        }
        let mut breakers = self.breakers.lock();
        let breaker = breakers.entry(Arc::clone(server)).or_default();
        if breaker.failures == 0 {
            breaker.first = now;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        let gone = breaker.failures >= FAILURES && now.since(breaker.first) >= SPAN;
        let Some(runtime) = (gone && !breaker.open).then(Handle::try_current) else { return };
        // Without a runtime nobody could close it again.
        let Ok(runtime) = runtime else { return };
        breaker.open = true;
        drop(breakers);
        self.opened.fetch_add(1, Relaxed);
        tracing::warn!(server = &**server, "a server is gone");
        runtime.spawn(probe(Arc::downgrade(self), Arc::clone(server), slot));
    }

    fn close(&self, server: &str) {
        // Forgotten altogether: servers come and go.
        self.breakers.lock().remove(server);
        self.watchdog.answered(server);
        tracing::info!(server, "a server is back");
    }
}

/// Asks until a server, or the one that took over its slot, answers.
async fn probe(inner: Weak<Inner>, server: Arc<str>, slot: u16) {
    loop {
        let Some(guard) = inner.upgrade() else { return };
        let wake = guard.clock.sleep_until(guard.clock.now().after(PROBE));
        drop(guard);
        wake.await;
        let Some(guard) = inner.upgrade() else { return };
        let moved = guard.server_of(slot) != server;
        let asked = guard.client.send(slot, Command::plain("PING", &[]), PROBE);
        drop(guard);
        let answer = if moved { None } else { Some(asked.await) };
        let Some(guard) = inner.upgrade() else { return };
        match answer {
            None | Some(Ok(_)) => return guard.close(&server),
            Some(Err(Failure::Timeout)) if guard.watchdog.timed_out(&server, guard.clock.now()) => {
                guard.reconnects.fetch_add(1, Relaxed);
                guard.client.reconnect(slot);
            }
            Some(Err(Failure::Server(code))) if !Failure::Server(code.clone()).is_outage() => {
                return guard.close(&server);
            }
            Some(Err(_)) => {}
        }
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
        let guarded = Guarded::new(Arc::clone(&client) as Arc<dyn Client>, Arc::new(clock.clone()));
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
        clock.advance(SPAN);
        assert_eq!(send(&guarded, 250).await, Err(Failure::Disconnected));
        assert_eq!(send(&guarded, 250).await, Err(Failure::Open), "nothing is sent to who is gone");
        assert_eq!((client.sent.load(Relaxed), guarded.stats().open), (21, 1));
        tokio::task::yield_now().await;
        *client.answer.lock() = None;
        clock.advance(PROBE);
        while guarded.stats().open > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(send(&guarded, 250).await, Ok(Reply::Nil));
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
        let guarded = Guarded::new(Arc::new(Silent), Arc::new(clock.clone()));
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
