//! Small records that several writers agree on, in Redis.

mod log;
mod read;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use memstache_core::{
    BoxFuture, DEFAULT_MAX_RECORD_VALUE, Error, ErrorKind, Expected, MAX_RECORD_VALUE, Record, RecordEvent, RecordKey,
    RecordPrefix, RecordStore, RecordStream, Result, Tick,
};
use parking_lot::Mutex;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    task::AbortHandle,
};

use self::log::Change;
use crate::{
    client::{Command, Reply, slot_of},
    health,
    script::Args,
    store::{Manner, RedisStore, Shared, errors},
};

/// Changes that the log and each process keep for the slowest watcher; with values of the default limit, 4 MiB.
const HELD: usize = 64;
/// How often the log is looked at, when changes are told and when they are not.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(100));
/// Rounds after which a write is given up: only an unknown time makes for a second one.
const ROUNDS: usize = 4;

/// A [`RecordStore`] over the servers of a [`RedisStore`], for key records: compare-and-set and watch, for all processes.
///
/// All records lie in one slot, in one hash, and have no end. They are refused where the server may evict them
/// (`maxmemory-policy allkeys-*`). They are as durable as the server is: give it persistence, and replicas, for keys that
/// must not be lost.
///
/// ```no_run
/// use memstache_core::{Expected, RecordKey, RecordStore};
/// use memstache_redis::{RedisRecords, RedisStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379")?.build()?;
/// let records = RedisRecords::open(&store).await?;
/// let key = RecordKey::new("tenants/acme/keys")?;
/// records.put(&key, "sealed".into(), Expected::Absent).await?;
/// # Ok(()) }
/// ```
pub struct RedisRecords {
    inner: Arc<Inner>,
    /// Follows the log, from the first watcher on.
    pump: Mutex<Option<AbortHandle>>,
    max_value: usize,
}

struct Inner {
    store: RedisStore,
    keys: [Bytes; 3],
    slot: u16,
    events: broadcast::Sender<RecordEvent>,
    /// The last change that was told; `None` while nobody watches.
    told: tokio::sync::Mutex<Option<u64>>,
}

impl RedisRecords {
    /// Opens the records of a store, under its prefix.
    ///
    /// Errors: [`Unsupported`](ErrorKind::Unsupported) when a server may evict them or does not say whether it does;
    /// [`Unavailable`](ErrorKind::Unavailable) when it cannot be asked.
    pub async fn open(store: &RedisStore) -> Result<Self> {
        let shared = store.shared();
        let keys = [&b"d"[..], b"q", b"l"].map(|rest| shared.keys.record(rest));
        let slot = slot_of(&keys[0]);
        let within = shared.settings.read_timeout;
        let asked = shared.raw.send(slot, Command::plain("PING", &[]), within).await;
        asked.map_err(|failure| errors::of_read(&failure))?;
        check_policy(health::eviction(&*shared.raw, slot, within).await.as_deref())?;
        let (told, events) = (tokio::sync::Mutex::new(None), broadcast::Sender::new(HELD));
        let inner = Inner { store: store.clone(), keys, slot, events, told };
        Ok(Self { inner: Arc::new(inner), pump: Mutex::default(), max_value: DEFAULT_MAX_RECORD_VALUE })
    }

    /// Sets the longest value, 1 byte to 16 MiB. Default: 64 KiB.
    pub fn with_max_value(mut self, bytes: usize) -> Result<Self> {
        if bytes == 0 || bytes > MAX_RECORD_VALUE {
            let given = format_args!("{bytes} bytes");
            return Err(Error::invalid("max_value", format_args!("1 to {MAX_RECORD_VALUE} bytes"), given));
        }
        self.max_value = bytes;
        Ok(self)
    }
}

impl Inner {
    fn shared(&self) -> &Arc<Shared> {
        self.store.shared()
    }

    fn deadline(&self) -> Tick {
        let shared = self.shared();
        shared.clock.now().after(shared.settings.call_timeout)
    }

    /// Puts or removes; returns the sequence of the change, `None` if there was nothing to remove.
    async fn change(
        &self,
        what: &'static str,
        key: &RecordKey,
        value: Bytes,
        expected: Expected,
    ) -> Result<Option<u64>> {
        let deadline = self.deadline();
        for _ in 0..ROUNDS {
            let fence = self.shared().fences(self.slot, self.shared().clock.now()).until(deadline);
            let mut args = Args::default();
            args.number(fence.not_after).word(what).text(key.as_str());
            match expected {
                Expected::Any => args.word("*"),
                Expected::Absent => args.word("-"),
                Expected::Sequence(sequence) => args.number(sequence),
                _ => return Err(Error::new(ErrorKind::Unsupported, "this store does not know such an expectation")),
            };
            args.bytes(value.clone()).number(HELD as u64);
            let manner = Manner { deadline, writes: true };
            let shared = self.shared();
            let answer = shared.call(&shared.scripts.record, self.slot, &self.keys, args.as_slice(), manner).await?;
            let answer = answer.into_array().filter(|items| items.len() == 3).ok_or_else(errors::protocol)?;
            let sequence = answer[2].as_u64();
            match answer[1].as_u64() {
                Some(1) => return Ok(sequence),
                Some(2) => {
                    expected.admits(sequence)?;
                    return Err(errors::protocol());
                }
                // The server's time was unknown; now it is known.
                Some(3) => {}
                _ => return Err(errors::protocol()),
            }
        }
        Err(errors::too_late())
    }

    /// Tells watchers what the log has and they have not been told, in order.
    async fn catch_up(&self, told: &mut Option<u64>) -> Result<()> {
        let Some(last) = *told else { return Ok(()) };
        if self.events.receiver_count() == 0 {
            // The next watcher begins where the log then ends.
            *told = None;
            return Ok(());
        }
        let mut last = last;
        loop {
            let changes = self.log_after(last).await?;
            let Some(end) = changes.last().map(|change| change.sequence) else { return Ok(()) };
            for change in changes {
                if change.previous != last {
                    self.tell(RecordEvent::Gap);
                }
                last = change.sequence;
                self.tell(change.event);
            }
            *told = Some(end);
        }
    }

    fn tell(&self, event: RecordEvent) {
        // Fails only when nobody watches.
        let _ = self.events.send(event);
    }

    async fn log_after(&self, last: u64) -> Result<Vec<Change>> {
        let from = Bytes::from(format!("({last}-0"));
        let command = [self.keys[2].clone(), from, "+".into(), "COUNT".into(), "32".into()];
        let reply = self.read(Command::new("XRANGE", command)).await?;
        let items = reply.into_array().ok_or_else(errors::protocol)?;
        items.into_iter().map(|item| Change::parse(item).ok_or_else(errors::protocol)).collect()
    }

    /// Returns where the log ends.
    async fn end(&self) -> Result<u64> {
        match self.read(Command::new("GET", [self.keys[1].clone()])).await? {
            Reply::Nil => Ok(0),
            other => other.as_u64().ok_or_else(errors::protocol),
        }
    }
}

/// Follows the log until it is aborted.
async fn pump(inner: Arc<Inner>) {
    loop {
        let watch = inner.shared().listeners.watch_records();
        let caught_up = inner.catch_up(&mut *inner.told.lock().await).await;
        if let Err(error) = caught_up {
            tracing::debug!(kind = error.kind().as_str(), "changes of records could not be read");
        }
        let pause = if watch.is_told() { PAUSES.0 } else { PAUSES.1 };
        let clock = &inner.shared().clock;
        drop(futures_util::future::select(Box::pin(watch.told()), clock.sleep_until(clock.now().after(pause))).await);
    }
}

impl RecordStore for RedisRecords {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        Box::pin(self.inner.get(key))
    }

    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            if value.len() > self.max_value {
                let (limit, given) = (self.max_value, value.len());
                let detail = format!("record value must be at most {limit} bytes long, but {given} bytes was given");
                return Err(Error::new(ErrorKind::TooLarge, detail));
            }
            let sequence = self.inner.change("p", key, value, expected).await?.ok_or_else(errors::protocol)?;
            self.told().await;
            Ok(sequence)
        })
    }

    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let removed = self.inner.change("d", key, Bytes::new(), expected).await?.is_some();
            self.told().await;
            Ok(removed)
        })
    }

    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        Box::pin(self.inner.list(prefix))
    }

    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        Box::pin(async move {
            let mut told = self.inner.told.lock().await;
            self.inner.catch_up(&mut told).await?;
            if told.is_none() {
                *told = Some(self.inner.end().await?);
            }
            let events = self.inner.events.subscribe();
            drop(told);
            let runtime = tokio::runtime::Handle::current();
            self.pump.lock().get_or_insert_with(|| runtime.spawn(pump(Arc::clone(&self.inner))).abort_handle());
            let watcher = (events, prefix.clone());
            Ok(RecordStream::new(stream::unfold(watcher, |(mut events, prefix)| async move {
                loop {
                    let event = match events.recv().await {
                        Ok(event) => event,
                        Err(RecvError::Lagged(_)) => RecordEvent::Gap,
                        Err(RecvError::Closed) => return None,
                    };
                    if concerns(&event, &prefix) {
                        return Some((event, (events, prefix)));
                    }
                }
            })))
        })
    }
}

impl RedisRecords {
    /// Tells this process's watchers of a change before the call that made it returns.
    async fn told(&self) {
        if self.inner.events.receiver_count() > 0 {
            let caught_up = self.inner.catch_up(&mut *self.inner.told.lock().await).await;
            if let Err(error) = caught_up {
                tracing::debug!(kind = error.kind().as_str(), "changes of records are told later");
            }
        }
    }
}

/// Refuses a server that may evict what has no end.
fn check_policy(policy: Option<&str>) -> Result<()> {
    if policy.is_some_and(|policy| policy == "noeviction" || policy.starts_with("volatile-")) {
        return Ok(());
    }
    let given = policy.unwrap_or("not said");
    let detail = format!("maxmemory-policy must be noeviction or volatile-* for records, but {given} was given");
    Err(Error::new(ErrorKind::Unsupported, detail))
}

fn concerns(event: &RecordEvent, prefix: &RecordPrefix) -> bool {
    match event {
        RecordEvent::Put { key, .. } | RecordEvent::Removed { key, .. } => prefix.covers(key),
        _ => true,
    }
}

impl Drop for RedisRecords {
    fn drop(&mut self) {
        self.pump.get_mut().take().inspect(AbortHandle::abort);
    }
}

impl fmt::Debug for RedisRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRecords").field("max_value", &self.max_value).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_may_evict_records_is_refused() {
        for good in ["noeviction", "volatile-lru", "volatile-ttl"] {
            assert!(check_policy(Some(good)).is_ok(), "{good}");
        }
        for bad in [Some("allkeys-lru"), Some("allkeys-random"), Some("something new"), None] {
            assert_eq!(check_policy(bad).unwrap_err().kind(), ErrorKind::Unsupported, "{bad:?}");
        }
        let message = check_policy(Some("allkeys-lfu")).unwrap_err().to_string();
        assert_eq!(message, "maxmemory-policy must be noeviction or volatile-* for records, but allkeys-lfu was given");
    }
}
