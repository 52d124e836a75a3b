//! A few connections, lent to threads that may block.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Connections of one kind; who finds none waits in line.
pub(crate) struct Pool {
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let turns = Arc::new(Semaphore::new(connections.len()));
        Self { idle: Arc::new(Mutex::new(connections)), turns }
    }

    /// Runs work on a connection.
    ///
    /// # Cancellation
    /// Work that has begun is done, also when the future is dropped; the connection comes back afterwards.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SourceError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| SourceError::closed())?;
        let idle = Arc::clone(&self.idle);
        let done = spawn_blocking(move || {
            // Dropped in reverse: the connection is back before the next one in line is let in.
            let _turn = turn;
            let mut lent = Lent::take(idle).ok_or_else(SourceError::closed)?;
            lent.connection
                .as_mut()
                .map_or_else(|| Err(SourceError::closed()), |it| work(it).map_err(SourceError::from))
        });
        done.await.unwrap_or_else(|_| Err(SourceError::closed()))
    }
}

/// A connection that goes back, even if the work on it panics.
struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Lent {
    fn take(idle: Arc<Mutex<Vec<Connection>>>) -> Option<Self> {
        let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Self { connection: Some(connection), idle })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("free", &self.turns.available_permits()).finish_non_exhaustive()
    }
}

/// The database did not answer. What SQLite said is for the operator only.
#[derive(Debug)]
pub(crate) struct SourceError(Option<rusqlite::Error>);

impl SourceError {
    pub(super) fn closed() -> Self {
        Self(None)
    }
}

impl From<rusqlite::Error> for SourceError {
    fn from(error: rusqlite::Error) -> Self {
        Self(Some(error))
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database did not answer")
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|error| error as _)
    }
}
