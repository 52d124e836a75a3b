//! What happened to a cache under load and faults, and whether it was allowed.

mod check;
mod stamp;

use std::{collections::BTreeMap, time::Duration};

pub use self::{
    check::{Breach, Violation},
    stamp::Stamp,
};

/// How a write or a removal ended, as its caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteOutcome {
    /// It is done: from now on the versions before it are old.
    Acknowledged,
    /// It was not done, and never will be.
    Failed,
    /// It may be done, now or later.
    Unknown,
}

/// A record of writes, removals and reads, to be judged when the faults are over.
///
/// Every key is written by one task, which numbers its writes and removals. A read of version v is wrong if a later version
/// was acknowledged before the read began, minus the bound of the read's mode; that takes one look-up a read, however long
/// the history is. A read that finds nothing is never wrong: a cache may forget.
///
/// Times are offsets from any one instant.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::testing::{Breach, History, Stamp, WriteOutcome};
///
/// let ms = Duration::from_millis;
/// let mut history = History::new();
/// let old = Stamp::new("a", "tea", 1, 0);
/// history.stored(&old, ms(1), WriteOutcome::Acknowledged);
/// history.removed(&Stamp::new("a", "tea", 2, 0), ms(5), WriteOutcome::Acknowledged);
/// history.read("a", "tea", ms(4), Duration::ZERO, Some(&old.to_string())); // before the removal was acknowledged
/// history.read("a", "tea", ms(9), ms(5), Some(&old.to_string())); // by a mode that may be 5 ms behind
/// assert!(history.violations().is_empty());
///
/// history.read("a", "tea", ms(9), Duration::ZERO, Some(&old.to_string()));
/// assert_eq!(history.violations()[0].breach, Breach::Old { newest: 2, since: ms(4) });
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By tenant and key.
    writes: BTreeMap<(String, String), BTreeMap<u64, Write>>,
    reads: Vec<Read>,
}

/// A write or a removal.
#[derive(Clone, Debug)]
struct Write {
    writer: u32,
    ended: Duration,
    outcome: WriteOutcome,
    removal: bool,
}

/// A read that found something.
#[derive(Clone, Debug)]
struct Read {
    tenant: String,
    key: String,
    began: Duration,
    bound: Duration,
    seen: String,
}

impl History {
    /// Creates an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that a value was written, when the call ended.
    pub fn stored(&mut self, stamp: &Stamp, ended: Duration, outcome: WriteOutcome) {
        self.write(stamp, ended, outcome, false);
    }

    /// Records that a key was removed, when the call ended. The stamp's version is the removal's own.
    pub fn removed(&mut self, stamp: &Stamp, ended: Duration, outcome: WriteOutcome) {
        self.write(stamp, ended, outcome, true);
    }

    /// Records a read that was answered: when it was begun, by how much its mode may lag behind, and the text that it found.
    pub fn read(&mut self, tenant: &str, key: &str, began: Duration, bound: Duration, seen: Option<&str>) {
        let Some(seen) = seen else { return };
        let (tenant, key, seen) = (tenant.to_owned(), key.to_owned(), seen.to_owned());
        self.reads.push(Read { tenant, key, began, bound, seen });
    }

    /// Adds what another task recorded, over other keys or as another reader.
    pub fn merge(&mut self, other: Self) {
        for (key, writes) in other.writes {
            self.writes.entry(key).or_default().extend(writes);
        }
        self.reads.extend(other.reads);
    }

    /// Writes and removals.
    pub fn writes(&self) -> usize {
        self.writes.values().map(BTreeMap::len).sum()
    }

    /// Reads that found something.
    pub fn reads(&self) -> usize {
        self.reads.len()
    }

    /// Judges every read, in the order in which they were recorded.
    pub fn violations(&self) -> Vec<Violation> {
        check::violations(self)
    }

    fn write(&mut self, stamp: &Stamp, ended: Duration, outcome: WriteOutcome, removal: bool) {
        let key = (stamp.tenant.clone(), stamp.key.clone());
        let write = Write { writer: stamp.writer, ended, outcome, removal };
        self.writes.entry(key).or_default().insert(stamp.version, write);
    }
}
