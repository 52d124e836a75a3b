//! What changes below: copies that are dropped, hidden or no longer verified.

use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};

use parking_lot::{RwLock, RwLockWriteGuard};

use super::{
    copies::{Copies, Copy, MAX_RECORDS},
    shard::Shard,
    stored_key::StoredKey,
};
use crate::{
    address::Address,
    coherence::Invalidation,
    memory::{Departure, Hashed, Key, RemovalCause, Sequences, SlotId},
    request::Target,
};

impl Copies {
    /// Drops everything: changes were missed.
    pub(super) fn flush(&self) {
        self.counters.flushes.fetch_add(1, Relaxed);
        let shard = || Shard::new((self.policy)(self.shard_bytes), self.shard_bytes);
        // All at once: nobody may put a copy in between that an invalidation hides which is forgotten here.
        let mut shards: Vec<_> = self.shards.iter().map(RwLock::write).collect();
        let empty = |held: &mut RwLockWriteGuard<'_, Shard>| std::mem::replace(&mut **held, shard());
        let held: Vec<_> = shards.iter_mut().map(empty).collect();
        self.blind.clear();
        // Nothing is held; a line that started over must not hide what comes.
        *self.sequences.write() = Sequences::new(MAX_RECORDS);
        // Last, and under the locks: what is asked for from now on knows of everything that was forgotten.
        self.tickets.changed_all();
        drop(shards);
        drop(held);
    }

    /// Drops what targets may hide of which nobody knows whether they were invalidated, and under which sequence.
    ///
    /// Other copies stay: what one tenant's invalidation cannot hide does not go because it failed. Looks at every copy.
    pub(super) fn drop_all_of(&self, targets: &[Target]) {
        // Counted before anything is removed: of what was asked for before, nothing is put in behind this.
        self.tickets.changed_all();
        for shard in self.shards.iter() {
            let mut dropped = Vec::new();
            let mut table = shard.write();
            let meant = |slot: Copy<'_>| targets.iter().any(|target| target.covers(slot.space_key()));
            let ids: Vec<_> = (0..table.end().0).map(SlotId).filter(|id| table.get(*id).is_some_and(meant)).collect();
            dropped.extend(ids.into_iter().filter_map(|id| self.take_out(&mut table, id, RemovalCause::Removed)));
            self.counters.invalidated.fetch_add(dropped.len() as u64, Relaxed);
            drop(table);
        }
    }

    /// Hides what an invalidation hides.
    pub(super) fn hide(&self, target: &Target, sequence: u64) {
        let mut sequences = self.sequences.write();
        sequences.note(target, sequence);
        // Raised under the lock and after the record: who sees the number finds the record.
        self.noted.fetch_add(1, SeqCst);
    }

    #[inline]
    pub(super) fn is_hidden(&self, slot: Copy<'_>) -> bool {
        let noted = self.noted.load(SeqCst);
        if noted == slot.extra().checked.load(Relaxed) {
            return false;
        }
        self.is_hidden_by(slot, noted)
    }

    #[inline(never)]
    fn is_hidden_by(&self, slot: Copy<'_>, noted: u64) -> bool {
        let hidden = self.sequences.read().hides(slot.space_key(), slot.tags(), slot.sequence());
        if !hidden {
            // Only ever higher: readers share the lock, and one may be late.
            slot.extra().checked.fetch_max(noted, Relaxed);
        }
        hidden
    }

    /// Applies one change that happened below.
    pub(super) fn apply(&self, change: Invalidation) {
        match change {
            Invalidation::Address(address) => self.drop_copy(&address),
            Invalidation::Stored(stored) => self.drop_stored(&stored),
            Invalidation::Tag(space, tag, sequence) => self.hide(&Target::Tag(space, tag), sequence.0),
            Invalidation::Space(space, sequence) => self.hide(&Target::Space(space), sequence.0),
            Invalidation::Tenant(tenant, sequence) => self.hide(&Target::Tenant(tenant), sequence.0),
            Invalidation::Gap => {
                self.flush();
                self.unverified.store(false, SeqCst);
            }
            Invalidation::Lost => self.lose(),
            Invalidation::Restored => self.unverified.store(false, SeqCst),
        }
    }

    /// Returns what kind of invalidation hides a copy.
    pub(super) fn hidden_by(&self, copy: Copy<'_>) -> Option<Departure> {
        self.sequences.read().hidden_by(copy.space_key(), copy.tags(), copy.sequence())
    }

    fn lose(&self) {
        if self.is_verified() {
            self.unverified_since.store(self.clock.now().as_millis(), SeqCst);
            self.unverified.store(true, SeqCst);
        }
    }

    /// Drops the copy of an entry, and every copy that is being fetched.
    pub(super) fn drop_copy(&self, address: &Address) {
        self.tickets.changed(address.stored());
        self.drop_held(address);
    }

    pub(super) fn drop_held(&self, key: &impl Key) {
        let hash = Hashed::new(&self.hasher, key);
        let mut dropped = None;
        let mut table = self.shard(hash).write();
        if let Some(id) = table.find(hash, key) {
            self.counters.invalidated.fetch_add(1, Relaxed);
            dropped = self.take_out(&mut table, id, RemovalCause::Removed);
        }
        drop(table);
        drop(dropped);
    }

    fn drop_stored(&self, stored: &[u8]) {
        self.tickets.changed(stored);
        if let Some(key) = StoredKey::parse(stored) {
            self.drop_held(&key);
        }
        let blind = self.blind.get(stored).map(|address| address.clone());
        if let Some(address) = blind {
            self.drop_held(&address);
        }
    }

    pub(super) fn drop_hidden(&self, hash: Hashed, key: &impl Key) {
        // Declared before the guard: dropping a value may be long, or somebody else's code.
        let mut dropped = None;
        let mut table = self.shard(hash).write();
        if let Some(id) = table.find(hash, key).filter(|id| table.get(*id).is_some_and(|slot| self.is_hidden(slot))) {
            self.counters.invalidated.fetch_add(1, Relaxed);
            dropped = self.take_out(&mut table, id, RemovalCause::Removed);
            if let Some(why) = dropped.as_ref().and_then(|taken| self.hidden_by(taken.copy.held())) {
                table.note(hash, why);
            }
        }
        drop(table);
        drop(dropped);
    }
}
