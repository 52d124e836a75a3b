//! Records in the memory of the process.

use std::{collections::BTreeMap, fmt, future::ready};

use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;

use super::{
    DEFAULT_MAX_RECORD_VALUE, Expected, Record, RecordEvent, RecordKey, RecordPrefix, RecordStore, RecordStream, limit,
    watch::Hub,
};
use crate::{clock::BoxFuture, error::Result};

/// A [`RecordStore`] that forgets everything with the process: for tests, and for what one process needs alone.
///
/// ```
/// use futures_util::StreamExt;
/// use memstache_core::{Expected, MemoryRecords, RecordEvent, RecordKey, RecordPrefix, RecordStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let records = MemoryRecords::new();
/// let mut changes = records.watch(&RecordPrefix::ALL).await?;
/// records.put(&RecordKey::new("a/1")?, "tea".into(), Expected::Any).await?;
/// assert!(matches!(changes.next().await, Some(RecordEvent::Put { .. })));
/// # Ok(())
/// # }
/// ```
pub struct MemoryRecords {
    max_value: usize,
    hub: Hub,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sequence: u64,
    records: BTreeMap<RecordKey, Record>,
}

impl MemoryRecords {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self { max_value: DEFAULT_MAX_RECORD_VALUE, hub: Hub::new(), state: Mutex::default() }
    }

    /// Sets the longest value, 1 byte to 16 MiB. Default: 64 KiB.
    pub fn with_max_value(mut self, bytes: usize) -> Result<Self> {
        self.max_value = limit::checked(bytes)?;
        Ok(self)
    }

    fn put_now(&self, key: &RecordKey, value: Bytes, expected: Expected) -> Result<u64> {
        limit::check(&value, self.max_value)?;
        let mut state = self.state.lock();
        state.admit(key, expected)?;
        let record = Record { value, sequence: state.next() };
        state.records.insert(key.clone(), record.clone());
        let sequence = record.sequence;
        self.hub.publish(RecordEvent::Put { key: key.clone(), record });
        Ok(sequence)
    }

    fn remove_now(&self, key: &RecordKey, expected: Expected) -> Result<bool> {
        let mut state = self.state.lock();
        state.admit(key, expected)?;
        if state.records.remove(key).is_none() {
            return Ok(false);
        }
        let sequence = state.next();
        self.hub.publish(RecordEvent::Removed { key: key.clone(), sequence });
        Ok(true)
    }

    fn list_now(&self, prefix: &RecordPrefix) -> Vec<(RecordKey, Record)> {
        let state = self.state.lock();
        let covered = state.records.iter().filter(|(key, _)| prefix.covers(key));
        covered.map(|(key, record)| (key.clone(), record.clone())).collect()
    }
}

impl State {
    fn admit(&self, key: &RecordKey, expected: Expected) -> Result<()> {
        expected.admits(self.records.get(key).map(|record| record.sequence))
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

impl Default for MemoryRecords {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let mut out = f.debug_struct("MemoryRecords");
        out.field("records", &state.records.len()).field("sequence", &state.sequence).finish_non_exhaustive()
    }
}

impl RecordStore for MemoryRecords {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        Box::pin(async move { Ok(self.state.lock().records.get(key).cloned()) })
    }

    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { self.put_now(key, value, expected) })
    }

    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.remove_now(key, expected) })
    }

    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        Box::pin(async move { Ok(self.list_now(prefix)) })
    }

    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        let watcher = self.hub.subscribe(prefix);
        let events = stream::unfold(watcher, async |mut watcher| Some((watcher.next().await?, watcher)));
        Box::pin(ready(Ok(RecordStream::new(events))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::records;

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_rules() {
        records::conformance(async || Arc::new(MemoryRecords::new()) as Arc<dyn RecordStore>).await;
    }

    #[test]
    fn limits_are_checked_as_they_are_set() {
        let error = MemoryRecords::new().with_max_value(0).unwrap_err();
        assert_eq!(error.to_string(), "max_value must be 1 to 16777216 bytes, but 0 bytes was given");
    }
}
