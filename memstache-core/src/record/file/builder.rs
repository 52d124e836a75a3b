//! How a directory of records is opened.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{FileRecords, Inner, blocking, directory::Directory, told::Told};
use crate::{
    clock::{Clock, SystemClock},
    error::Result,
    lifetime::positive,
    record::{DEFAULT_MAX_RECORD_VALUE, limit, watch::Hub},
};

/// The settings of a [`FileRecords`].
///
/// ```
/// use std::time::Duration;
/// use memstache_core::FileRecords;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// # let directory = std::env::temp_dir().join(format!("memstache-doc-builder-{}", std::process::id()));
/// let records = FileRecords::builder(&directory)
///     .with_poll_every(Duration::from_millis(200))?
///     .with_max_value(16 * 1024)?
///     .open()
///     .await?;
/// # std::fs::remove_dir_all(directory).ok();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct FileRecordsBuilder {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    poll_every: Duration,
    lock_wait: Duration,
    max_value: usize,
}

impl FileRecordsBuilder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            clock: Arc::new(SystemClock::new()),
            poll_every: Duration::from_secs(1),
            lock_wait: Duration::from_secs(10),
            max_value: DEFAULT_MAX_RECORD_VALUE,
        }
    }

    /// Sets the clock by which watchers look at the directory. Default: the system's.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how often a watcher looks for changes of other processes, above zero. Default: 1 s.
    pub fn with_poll_every(mut self, interval: Duration) -> Result<Self> {
        self.poll_every = positive("poll_every", interval)?;
        Ok(self)
    }

    /// Sets how long a call waits while another process holds the lock, above zero. Default: 10 s.
    pub fn with_lock_wait(mut self, wait: Duration) -> Result<Self> {
        self.lock_wait = positive("lock_wait", wait)?;
        Ok(self)
    }

    /// Sets the longest value, 1 byte to 16 MiB. Default: 64 KiB.
    ///
    /// A longer one that another process has written is [`TooLarge`](crate::ErrorKind::TooLarge) to read as well.
    pub fn with_max_value(mut self, bytes: usize) -> Result<Self> {
        self.max_value = limit::checked(bytes)?;
        Ok(self)
    }

    /// Opens the directory, and creates it if it is not there.
    ///
    /// Errors: [`Invalid`](crate::ErrorKind::Invalid) for a directory that others may enter,
    /// [`Rejected`](crate::ErrorKind::Rejected) for one that has records but no sequence file, and those of
    /// [`FileRecords`].
    pub async fn open(self) -> Result<FileRecords> {
        let Self { path, clock, poll_every, lock_wait, max_value } = self;
        let directory = blocking(move || Directory::open(path, max_value, lock_wait)).await?;
        let told = Arc::new(Mutex::new(Told::default()));
        Ok(FileRecords(Arc::new(Inner { directory, hub: Hub::new(), told, clock, poll_every })))
    }
}
