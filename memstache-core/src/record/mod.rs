//! Small records that several writers agree on: key records, the registry of keyspaces.

mod file;
mod key;
mod limit;
mod memory;
mod watch;

use std::fmt;

use bytes::Bytes;

#[cfg(any(test, fuzzing, feature = "test-util"))]
pub(crate) use self::file::layout;
pub use self::{
    file::{FileRecords, FileRecordsBuilder},
    key::{MAX_RECORD_KEY, RecordKey, RecordPrefix},
    limit::{DEFAULT_MAX_RECORD_VALUE, MAX_RECORD_VALUE},
    memory::MemoryRecords,
    watch::{RecordEvent, RecordStream},
};
use crate::{
    clock::BoxFuture,
    error::{Error, ErrorKind, Result},
};

/// A place for small records with compare-and-set, a sequence and a watch.
///
/// The rules, which the suite `testing::records` (feature `test-util`) holds every store to:
///
/// - Every change takes the next number of the store's one sequence. Numbers only rise, also over removals and
///   restarts, so a record that was removed and made again is never taken for what it was (no ABA).
/// - Of several writers that expect the same, exactly one succeeds; the others get [`ErrorKind::Conflict`].
/// - What a call that returned has written is read by every later call, in this process and in others.
/// - A watcher is told every change made after [`watch`](Self::watch) returned, in order of the sequence; of several
///   changes of one record that were made elsewhere, maybe only the last. A watcher that falls behind gets
///   [`RecordEvent::Gap`] instead of what it missed.
///
/// So a copy is kept true by watching first, then listing, then applying every event with a greater sequence than what
/// the copy has, and listing again at a gap.
///
/// ```
/// use memstache_core::{Expected, MemoryRecords, RecordKey, RecordStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let records = MemoryRecords::new();
/// let key = RecordKey::new("registry/products")?;
///
/// let first = records.put(&key, "v1".into(), Expected::Absent).await?;
/// let second = records.put(&key, "v2".into(), Expected::Sequence(first)).await?;
/// assert!(second > first);
/// assert!(records.put(&key, "v3".into(), Expected::Sequence(first)).await.is_err());
/// # Ok(())
/// # }
/// ```
pub trait RecordStore: fmt::Debug + Send + Sync + 'static {
    /// Reads a record.
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>>;

    /// Writes a record if the one that is there is as expected, and returns its new sequence.
    ///
    /// Errors: [`Conflict`](ErrorKind::Conflict) when it is not, [`TooLarge`](ErrorKind::TooLarge) for a value over the
    /// store's limit.
    ///
    /// # Cancellation
    /// Dropping the future leaves the record written or not, never half.
    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>>;

    /// Removes a record if it is as expected, and returns whether there was one.
    ///
    /// Error: [`Conflict`](ErrorKind::Conflict) when it is not as expected.
    ///
    /// # Cancellation
    /// Dropping the future leaves the record removed or not.
    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>>;

    /// Reads all records of a prefix as they are at one moment, in order of their keys.
    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>>;

    /// Subscribes to the changes below a prefix. The stream ends when the store is dropped.
    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>>;
}

/// A stored record. `Debug` shows the value's length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What was put.
    pub value: Bytes,
    /// The number of the change that put it; never used again.
    pub sequence: u64,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("len", &self.value.len()).field("sequence", &self.sequence).finish()
    }
}

/// What a writer takes to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expected {
    /// Whatever is there, also nothing, also something damaged.
    Any,
    /// Nothing.
    Absent,
    /// The record with this sequence.
    Sequence(u64),
}

impl Expected {
    /// Compares with the sequence of the record that is there; [`Conflict`](ErrorKind::Conflict) if it is another.
    ///
    /// ```
    /// use memstache_core::Expected;
    ///
    /// assert!(Expected::Sequence(4).admits(Some(4)).is_ok());
    /// let error = Expected::Absent.admits(Some(4)).unwrap_err();
    /// assert_eq!(error.to_string(), "the record must be absent, but sequence 4 is there");
    /// ```
    pub fn admits(self, current: Option<u64>) -> Result<()> {
        let wanted = match (self, current) {
            (Self::Any, _) | (Self::Absent, None) => return Ok(()),
            (Self::Sequence(wanted), Some(current)) if wanted == current => return Ok(()),
            (Self::Absent, Some(_)) => "absent".to_owned(),
            (Self::Sequence(wanted), _) => format!("at sequence {wanted}"),
        };
        let found = current.map_or_else(|| "nothing".to_owned(), |current| format!("sequence {current}"));
        Err(Error::new(ErrorKind::Conflict, format!("the record must be {wanted}, but {found} is there")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations() {
        for (expected, current, fits) in [
            (Expected::Any, None, true),
            (Expected::Any, Some(3), true),
            (Expected::Absent, None, true),
            (Expected::Absent, Some(3), false),
            (Expected::Sequence(3), Some(3), true),
            (Expected::Sequence(3), Some(4), false),
            (Expected::Sequence(3), None, false),
        ] {
            let kind = expected.admits(current).err().map(|error| error.kind());
            assert_eq!(kind, (!fits).then_some(ErrorKind::Conflict), "{expected:?} {current:?}");
        }
    }

    #[test]
    fn debug_shows_neither_key_nor_value() {
        let key = RecordKey::new("secret/1").unwrap();
        let event = RecordEvent::Put { key, record: Record { value: "secret".into(), sequence: 1 } };
        assert!(!format!("{event:?}").contains("secret"));
    }
}
