//! The store's own line of invalidations: one sequence for every space.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};

use super::{departures::Departure, sequences::Sequences};
use crate::{entry::Tags, request::Target, version::Sequence};

/// The sequence and what was invalidated under it.
pub(crate) struct Lines {
    current: AtomicU64,
    /// The last clear of a space or tenant, of any.
    cleared: AtomicU64,
    table: RwLock<Sequences>,
    /// Keeps invalidations and what is told about them in one order.
    order: Mutex<()>,
}

impl Lines {
    pub(crate) fn new(max_records: usize) -> Self {
        Self {
            current: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            table: RwLock::new(Sequences::new(max_records)),
            order: Mutex::new(()),
        }
    }

    /// Returns the current sequence: everything up to it is in the table.
    #[inline]
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Returns the sequence of the last clear of whatever space or tenant.
    pub(crate) fn last_clear(&self) -> u64 {
        self.cleared.load(Ordering::Acquire)
    }

    /// Returns how many invalidations are remembered.
    pub(crate) fn len(&self) -> usize {
        self.table.read().len()
    }

    /// Invalidates a target; `tell` is called in the order of the sequences.
    pub(crate) fn invalidate(&self, target: &Target, tell: impl FnOnce(Sequence)) -> Sequence {
        let _order = self.order.lock();
        let sequence = self.current.load(Ordering::Relaxed) + 1;
        self.write(target, sequence);
        tell(Sequence(sequence));
        Sequence(sequence)
    }

    /// Invalidates a target under a number that somebody else gives; the error is the current one, which is not below it.
    pub(crate) fn invalidate_at(
        &self,
        target: &Target,
        at: Sequence,
        tell: impl FnOnce(Sequence),
    ) -> Result<(), Sequence> {
        let _order = self.order.lock();
        let current = self.current.load(Ordering::Relaxed);
        if at.0 <= current {
            return Err(Sequence(current));
        }
        self.write(target, at.0);
        tell(at);
        Ok(())
    }

    /// Hides everything from before a number that somebody else gives; the error is the current one, if that is not below it.
    pub(crate) fn clear_at(&self, at: Sequence, tell: impl FnOnce()) -> Result<(), Sequence> {
        let _order = self.order.lock();
        let mut table = self.table.write();
        table.note_all(at.0);
        let before = self.current.fetch_max(at.0, Ordering::Release);
        drop(table);
        self.cleared.fetch_max(at.0, Ordering::Release);
        tell();
        if at.0 > before { Ok(()) } else { Err(Sequence(before)) }
    }

    /// Goes on from a later number, under which nothing was invalidated here.
    pub(crate) fn raise(&self, to: u64) {
        let _order = self.order.lock();
        self.current.fetch_max(to, Ordering::Release);
    }

    /// Puts a record in; the caller keeps the order.
    fn write(&self, target: &Target, sequence: u64) {
        let mut table = self.table.write();
        table.note(target, sequence);
        // A reader that sees the new number waits for the table, and finds the record there.
        self.current.store(sequence, Ordering::Release);
        drop(table);
        if !matches!(target, Target::Tag(..)) {
            self.cleared.store(sequence, Ordering::Release);
        }
    }

    /// Returns whether an invalidation hides an entry.
    pub(crate) fn hides(&self, space_key: &[u8], tags: &Tags, sequence: u64) -> bool {
        self.table.read().hides(space_key, tags, sequence)
    }

    /// Returns what kind of invalidation hides an entry.
    pub(crate) fn hidden_by(&self, space_key: &[u8], tags: &Tags, sequence: u64) -> Option<Departure> {
        self.table.read().hidden_by(space_key, tags, sequence)
    }

    /// Returns whether the space or tenant was cleared after `sequence`.
    pub(crate) fn cleared_since(&self, space_key: &[u8], sequence: u64) -> bool {
        self.current() > sequence && self.table.read().cleared(space_key) > sequence
    }

    /// Returns whether the space or tenant was invalidated in whatever way after `sequence`.
    pub(crate) fn changed_since(&self, space_key: &[u8], sequence: u64) -> bool {
        self.current() > sequence && self.table.read().last(space_key) > sequence
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("current", &self.current()).finish_non_exhaustive()
    }
}
