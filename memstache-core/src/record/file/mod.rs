//! Records in files of one directory, shared by processes.

mod builder;
mod crc;
mod directory;
pub(crate) mod layout;
#[cfg(test)]
mod tests;
mod told;

use std::{
    fmt,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    future::{Either, select},
    stream,
};
use tokio::sync::Mutex;

pub use self::builder::FileRecordsBuilder;
use self::{
    directory::{Directory, Exclusive},
    told::Told,
};
use super::{
    Expected, Record, RecordEvent, RecordKey, RecordPrefix, RecordStore, RecordStream, limit,
    watch::{Hub, Watcher},
};
use crate::{
    clock::{BoxFuture, Clock},
    error::{Error, ErrorKind, Result},
};

/// A [`RecordStore`] in a directory, which any number of processes of one machine may share.
///
/// Every record is a file of its own, replaced as a whole and flushed before a write returns: a crash leaves the old
/// record or the new one. Writers of all processes exclude each other by a lock on a file, so compare-and-set holds
/// between them; network file systems that ignore locks are no place for it. On Unix the directory is created with mode
/// 0700 and files with 0600, and a directory that is open to others is refused.
///
/// Changes of other processes are noticed by looking at the directory at an interval while somebody watches
/// ([`FileRecordsBuilder::with_poll_every`]). Nothing runs in the background: a watcher's stream does the looking
/// itself, and ends when the store is dropped. Needs a tokio runtime with its timer.
///
/// Errors beside those of the trait: [`Rejected`](ErrorKind::Rejected) for a damaged file (it says where, not what),
/// [`Unsupported`](ErrorKind::Unsupported) for one of a later version, [`Unavailable`](ErrorKind::Unavailable) when
/// another process holds the lock for too long, [`Unknown`](ErrorKind::Unknown) when a change was made but could not be
/// flushed, [`Io`](ErrorKind::Io). A damaged record is overwritten and removed under [`Expected::Any`] only.
///
/// ```
/// use memstache_core::{Expected, FileRecords, RecordKey, RecordStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// # let directory = std::env::temp_dir().join(format!("memstache-doc-{}", std::process::id()));
/// let key = RecordKey::new("registry/products")?;
/// let records = FileRecords::open(&directory).await?;
/// let sequence = records.put(&key, "tea".into(), Expected::Absent).await?;
/// drop(records);
///
/// let again = FileRecords::open(&directory).await?;
/// assert_eq!(again.get(&key).await?.map(|record| record.sequence), Some(sequence));
/// # std::fs::remove_dir_all(directory).ok();
/// # Ok(())
/// # }
/// ```
pub struct FileRecords(Arc<Inner>);

struct Inner {
    directory: Directory,
    hub: Hub,
    /// Held by whoever changes the directory or tells of changes; waited for without a thread.
    told: Arc<Mutex<Told>>,
    clock: Arc<dyn Clock>,
    poll_every: Duration,
}

impl FileRecords {
    /// Opens a directory with the defaults of [`builder`](Self::builder), and creates it if it is not there.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(directory).open().await
    }

    /// Starts to say how a directory is to be opened.
    pub fn builder(directory: impl Into<PathBuf>) -> FileRecordsBuilder {
        FileRecordsBuilder::new(directory.into())
    }
}

impl fmt::Debug for FileRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRecords").field("poll_every", &self.0.poll_every).finish_non_exhaustive()
    }
}

impl RecordStore for FileRecords {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        let (inner, key) = (self.0.clone(), key.clone());
        Box::pin(blocking(move || inner.directory.read(&key)))
    }

    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        let key = key.clone();
        Box::pin(async move {
            limit::check(&value, self.0.directory.max_value)?;
            self.0.in_turn(move |inner, told| inner.put(told, key, value, expected)).await
        })
    }

    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        let key = key.clone();
        Box::pin(self.0.in_turn(move |inner, told| inner.remove(told, key, expected)))
    }

    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        let (inner, prefix) = (self.0.clone(), prefix.clone());
        Box::pin(blocking(move || inner.directory.scan(&inner.directory.lock_shared()?, &prefix)))
    }

    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        let prefix = prefix.clone();
        Box::pin(async move {
            let watcher = self.0.in_turn(move |inner, told| inner.subscribe(told, &prefix)).await?;
            let watch = Watch { watcher, store: Arc::downgrade(&self.0), timer: self.0.timer() };
            Ok(RecordStream::new(stream::unfold(watch, async |mut watch| Some((watch.next().await?, watch)))))
        })
    }
}

impl Inner {
    /// Does blocking work that changes the directory or tells of changes, one at a time.
    ///
    /// Once begun it runs to its end, also when the future is dropped: a change is never made and not told.
    fn in_turn<T, F>(self: &Arc<Self>, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &mut Told) -> Result<T> + Send + 'static,
    {
        let inner = self.clone();
        async move {
            let mut told = inner.told.clone().lock_owned().await;
            blocking(move || work(&inner, &mut told)).await
        }
    }

    fn put(&self, told: &mut Told, key: RecordKey, value: Bytes, expected: Expected) -> Result<u64> {
        let (lock, current) = self.begin(told, &key, expected)?;
        let sequence = self.directory.advance(&lock, current)?;
        let record = Record { value, sequence };
        self.directory.write(&lock, &key, &record)?;
        told.put(&self.hub, key, record);
        Ok(sequence)
    }

    fn remove(&self, told: &mut Told, key: RecordKey, expected: Expected) -> Result<bool> {
        let (lock, current) = self.begin(told, &key, expected)?;
        if current.is_none() {
            return Ok(false);
        }
        let sequence = self.directory.advance(&lock, current)?;
        self.directory.remove(&lock, &key)?;
        told.removed(&self.hub, key, sequence);
        Ok(true)
    }

    /// Locks the directory for a change, tells what came before it, and returns the sequence of the record there is.
    fn begin(&self, told: &mut Told, key: &RecordKey, expected: Expected) -> Result<(Exclusive, Option<u64>)> {
        let lock = self.directory.lock()?;
        told.end_if_unwatched(&self.hub);
        told.catch_up(&self.directory, &lock, &self.hub);
        let current = match self.directory.read(key) {
            Ok(record) => record.map(|record| record.sequence),
            // Nobody knows its sequence, but it is there.
            Err(error) if expected == Expected::Any && error.kind() != ErrorKind::Io => Some(0),
            Err(error) => return Err(error),
        };
        expected.admits(current)?;
        Ok((lock, current))
    }

    fn subscribe(&self, told: &mut Told, prefix: &RecordPrefix) -> Result<Watcher> {
        let lock = self.directory.lock_shared()?;
        told.begin(&self.directory, &lock, &self.hub)?;
        Ok(self.hub.subscribe(prefix))
    }

    /// Looks for changes of other processes.
    fn poll(&self, told: &mut Told) -> Result<()> {
        if !told.is_current(&self.directory) {
            let lock = self.directory.lock_shared()?;
            told.catch_up(&self.directory, &lock, &self.hub);
        }
        Ok(())
    }

    fn timer(&self) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(self.clock.now().after(self.poll_every))
    }
}

/// A watcher's stream: its events, and from time to time a look at the directory.
struct Watch {
    watcher: Watcher,
    store: Weak<Inner>,
    timer: BoxFuture<'static, ()>,
}

impl Watch {
    async fn next(&mut self) -> Option<RecordEvent> {
        loop {
            // The watcher is asked first: what was changed here is told at once.
            if let Either::Left((event, _)) = select(pin!(self.watcher.next()), &mut self.timer).await {
                return event;
            }
            let store = self.store.upgrade()?;
            // A directory that is locked for long is looked at the next time.
            let _ = store.in_turn(Inner::poll).await;
            self.timer = store.timer();
        }
    }
}

/// Runs work on tokio's blocking threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(ErrorKind::Unavailable, "the work on a file was torn down").with_source(error)),
    }
}
