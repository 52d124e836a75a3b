//! The record store, behind a deadline: who waits for a read waits with everybody else, so none may last for ever.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use memstache_core::{
    BoxFuture, Clock, Error, ErrorKind, Expected, Record, RecordKey, RecordPrefix, RecordStore, RecordStream, Result,
};

/// How long a call may take, as one to the provider.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives calls up that take too long.
pub(super) struct Patient {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

impl Patient {
    pub(super) fn new(records: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Waits for a call; of what it would have changed it is not known whether it did.
    async fn wait<T>(&self, kind: ErrorKind, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        let deadline = self.clock.sleep_until(self.clock.now().after(PATIENCE));
        match select(call, pin!(deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(Error::new(kind, "the record store did not answer in 20 seconds")),
        }
    }
}

impl RecordStore for Patient {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        Box::pin(self.wait(ErrorKind::Unavailable, self.records.get(key)))
    }

    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.wait(ErrorKind::Unknown, self.records.put(key, value, expected)))
    }

    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.wait(ErrorKind::Unknown, self.records.remove(key, expected)))
    }

    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        Box::pin(self.wait(ErrorKind::Unavailable, self.records.list(prefix)))
    }

    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        Box::pin(self.wait(ErrorKind::Unavailable, self.records.watch(prefix)))
    }
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient").finish_non_exhaustive()
    }
}
