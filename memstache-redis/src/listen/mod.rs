//! Listening to what changes on every primary: one connection each, outside of the driver.
//!
//! The driver's own tracking reaches one node of a Cluster, forgets itself at a reconnect, and does not tell of a flush.
//! Here each primary is asked to broadcast the names of changed keys (RESP3 client tracking, BCAST), and a canary shows
//! that it does.

mod canary;
mod dial;
mod follow;
mod hub;
mod lag;
mod lines;
mod supervise;
mod waiters;
mod wire;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use memstache_core::{Clock, InvalidationStream};
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::AbortHandle};

pub use self::lag::LagHistogram;
pub(crate) use self::{dial::Dialer, waiters::Watch};
use self::{hub::Hub, lag::Lag, supervise::Duty, waiters::Waiters};
use crate::{builder::Settings, client::Client, layout::Keys};

/// The listeners of a store, started when somebody wants to know.
pub(crate) struct Listeners {
    context: Arc<Context>,
    runtime: Handle,
    changes: Mutex<Option<AbortHandle>>,
    wakes: Mutex<Option<AbortHandle>>,
    records: Mutex<Option<AbortHandle>>,
}

/// Under what those wait who wait for records; no entry has an empty key.
const RECORDS: &[u8] = b"";

/// What the tasks work with.
struct Context {
    client: Arc<dyn Client>,
    dialer: Dialer,
    keys: Keys,
    clock: Arc<dyn Clock>,
    canary_interval: std::time::Duration,
    hub: Hub,
    waiters: Arc<Waiters>,
    changes: Purpose,
    wakes: Purpose,
    records: Purpose,
    lag: Lag,
}

/// A set of listeners, one for each primary.
struct Purpose {
    /// Whether what changes is wanted, or only the ends of leases.
    changes: bool,
    kinds: &'static [u8],
    /// Whether all of them hear.
    up: AtomicBool,
}

impl Purpose {
    const fn new(changes: bool, kinds: &'static [u8]) -> Self {
        Self { changes, kinds, up: AtomicBool::new(false) }
    }
}

impl Listeners {
    pub(crate) fn new(
        client: Arc<dyn Client>,
        dialer: Dialer,
        keys: Keys,
        settings: &Settings,
        runtime: Handle,
    ) -> Self {
        let context = Context {
            client,
            dialer,
            keys,
            clock: Arc::clone(&settings.clock),
            canary_interval: settings.canary_interval,
            hub: Hub::new(settings.event_capacity),
            waiters: Arc::default(),
            changes: Purpose::new(true, b"vwic"),
            wakes: Purpose::new(false, b"wc"),
            records: Purpose::new(false, b"rc"),
            lag: Lag::default(),
        };
        let task = Mutex::default;
        Self { context: Arc::new(context), runtime, changes: task(), wakes: task(), records: task() }
    }

    /// Subscribes to changes; whoever subscribes before all primaries are listened to is told that the line is cut.
    pub(crate) fn subscribe(&self) -> InvalidationStream {
        let stream = self.context.hub.subscribe();
        self.start(&self.changes, |context| &context.changes);
        stream
    }

    /// Registers somebody who waits for the ends of leases on these stored keys.
    pub(crate) fn watch<'a>(&self, stored: impl Iterator<Item = &'a Arc<[u8]>>) -> Watch {
        let mut watch = self.context.waiters.watch(stored);
        if !is_running(&self.changes.lock()) {
            self.start(&self.wakes, |context| &context.wakes);
        }
        watch.told = self.context.changes.up.load(Relaxed) || self.context.wakes.up.load(Relaxed);
        watch
    }

    /// Registers somebody who waits for changes of records.
    pub(crate) fn watch_records(&self) -> Watch {
        let mut watch = self.context.waiters.watch([&Arc::from(RECORDS)].into_iter());
        self.start(&self.records, |context| &context.records);
        watch.told = self.context.records.up.load(Relaxed);
        watch
    }

    fn start(&self, task: &Mutex<Option<AbortHandle>>, purpose: fn(&Context) -> &Purpose) {
        let mut task = task.lock();
        if is_running(&task) {
            return;
        }
        // One that has ended went with its runtime.
        let other = task.as_ref().and_then(|_| Handle::try_current().ok());
        let supervisor = supervise::supervise(Duty { context: Arc::clone(&self.context), purpose });
        *task = Some(other.as_ref().unwrap_or(&self.runtime).spawn(supervisor).abort_handle());
    }

    /// Returns whether everything that was started hears.
    pub(crate) fn is_ready(&self) -> bool {
        let ready =
            |task: &Mutex<Option<AbortHandle>>, purpose: &Purpose| task.lock().is_none() || purpose.up.load(Relaxed);
        ready(&self.changes, &self.context.changes)
            && ready(&self.wakes, &self.context.wakes)
            && ready(&self.records, &self.context.records)
    }

    /// Returns whether changes are told; `None` if nobody asked for them.
    pub(crate) fn is_coherent(&self) -> Option<bool> {
        self.changes.lock().is_some().then(|| self.context.changes.up.load(Relaxed))
    }

    /// Returns how long changes took to be told.
    pub(crate) fn lag(&self) -> LagHistogram {
        self.context.lag.snapshot()
    }

    /// Ends all tasks.
    pub(crate) fn stop(&self) {
        // First: nobody is to be told that the tasks are gone.
        self.context.hub.close();
        for task in [&self.changes, &self.wakes, &self.records] {
            task.lock().take().inspect(AbortHandle::abort);
        }
    }
}

fn is_running(task: &Option<AbortHandle>) -> bool {
    task.as_ref().is_some_and(|task| !task.is_finished())
}

/// The kinds of keys that a purpose asks for.
fn prefixes(keys: &Keys, purpose: &Purpose) -> Vec<Bytes> {
    purpose.kinds.iter().map(|kind| keys.of_kind(*kind)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::StreamExt;
    use memstache_core::{BoxFuture, Invalidation};
    use tokio::runtime::Builder;

    use super::*;
    use crate::client::{Command, Failure, Reply, Topology};

    /// Knows no server.
    #[derive(Debug)]
    struct Nowhere;

    impl Client for Nowhere {
        fn send(&self, _: u16, _: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            Box::pin(async { Err(Failure::Disconnected) })
        }
        fn topology(&self) -> Arc<Topology> {
            Arc::default()
        }
        fn reconnect(&self, _: u16) {}
        fn close(&self) {}
    }

    #[test]
    fn the_end_of_a_runtime_is_told_and_another_takes_over() {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let dialer = Dialer::new(&fred::types::config::Config::default(), None, Duration::from_secs(1));
        let keys = Keys::new("ms:").unwrap();
        let listeners = Listeners::new(Arc::new(Nowhere), dialer, keys, &Settings::default(), first.handle().clone());
        let mut changes = listeners.subscribe();
        assert_eq!(second.block_on(changes.next()), Some(Invalidation::Lost));
        // As its followers would once they hear.
        listeners.context.hub.tell(Invalidation::Gap);
        listeners.context.changes.up.store(true, Relaxed);
        assert_eq!(second.block_on(changes.next()), Some(Invalidation::Gap));
        drop(first);
        assert_eq!(second.block_on(changes.next()), Some(Invalidation::Lost));
        assert_eq!(listeners.is_coherent(), Some(false));
        assert!(!is_running(&listeners.changes.lock()));
        second.block_on(async {
            let _late = listeners.subscribe();
            tokio::task::yield_now().await;
            assert!(is_running(&listeners.changes.lock()), "on the runtime that is there");
        });
        listeners.stop();
        assert_eq!(second.block_on(changes.next()), None);
    }
}
