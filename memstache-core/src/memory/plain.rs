//! What most writes are: no condition, no tags, no lease that ends, and room or one victim to make it.
//!
//! All of it is what a write of whatever kind comes to as well, without the bookkeeping that only the others need. In
//! doubt it leaves everything as it is.

use super::{
    draft::Draft,
    key::Place,
    policy::{EvictionPolicy, SlotId},
    shared::{Shard, Shared},
    slot::{Held, Whole},
    table::Table,
};
use crate::{
    clock::Tick,
    version::{Sequence, Version},
};

impl<P: EvictionPolicy> Shared<P> {
    /// Stores an entry of lawful size under no condition; there is no accountant to ask.
    ///
    /// If it was not so plain, returns what it took from the budget for the entry meanwhile. What was replaced is left in
    /// the draft: its end is not the lock's business.
    #[inline]
    pub(super) fn set_plain<K: Place>(&self, draft: &mut Draft<K>, now: Tick) -> Result<Version, usize> {
        // Declared before the guard, so that it is dropped after it.
        let mut evicted = None;
        let mut guard = self.shard(draft.hash).write();
        let shard = &mut *guard;
        if shard.leases.len() > 0 || !shard.table.is_idle(now) {
            return Err(0);
        }
        let version = Version(shard.version + 1);
        draft.stamp(version, Sequence(self.lines.current()));
        let stored = match shard.table.find(draft.hash, &draft.place) {
            Some(id) => self.replace(shard, draft, id, now)?,
            None => self.place(shard, draft, &mut evicted)?,
        };
        shard.counters.inserts += u64::from(stored);
        shard.version = version.0;
        Ok(version)
    }

    /// Stores another entry of a key in the place of one that lives.
    #[inline]
    fn replace<K: Place>(
        &self,
        shard: &mut Shard<P>,
        draft: &mut Draft<K>,
        id: SlotId,
        now: Tick,
    ) -> Result<bool, usize> {
        let bytes = draft.bytes;
        let allows = |old: Held<'_>, dead_at| now < dead_at && !self.is_hidden(&old) && self.grows(old.bytes(), bytes);
        let before = shard.table.refill(id, draft, &mut (), allows).ok_or(0_usize)?;
        self.budget.give(before.saturating_sub(bytes));
        Ok(true)
    }

    /// Stores an entry of a new key; returns whether the policy let it in.
    #[inline]
    fn place<K: Place>(
        &self,
        shard: &mut Shard<P>,
        draft: &mut Draft<K>,
        evicted: &mut Option<Whole>,
    ) -> Result<bool, usize> {
        let bytes = draft.bytes;
        if self.budget.free() >= Table::<P>::least_growth(draft) {
            let want = shard.table.growth(draft, None);
            if self.budget.take(want) {
                shard.table.insert(draft, (), None);
                return Ok(true);
            }
        }
        let victim = shard.table.victim().ok_or(0_usize)?;
        if !shard.table.admits(draft.hash, bytes, victim) {
            shard.counters.evicted += 1;
            return Ok(false);
        }
        if let Some(before) = shard.table.exchange(victim, draft, &mut (), |old| self.grows(old.bytes(), bytes)) {
            shard.counters.evicted += 1;
            self.budget.give(before.saturating_sub(bytes));
            return Ok(true);
        }
        let (entry, freed) = self.evict(shard, victim).ok_or(0_usize)?;
        *evicted = Some(entry);
        Err(freed)
    }

    /// Takes what one entry takes more than another, if it is more.
    #[inline]
    fn grows(&self, before: usize, after: usize) -> bool {
        after <= before || self.budget.take(after - before)
    }
}
