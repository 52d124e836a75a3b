//! Making room within the bound of the store.

use std::sync::atomic::Ordering;

use super::{
    fair::Whom,
    key::Place,
    policy::{EvictionPolicy, RemovalCause, SlotId},
    shared::{Afterwards, Shard, Shared},
    slot::Whole,
    write::{Turn, VICTIMS_PER_LOCK, Write},
};

/// Whether there is room for a write.
pub(super) enum Room {
    Made,
    NotAdmitted,
    Missing(Turn),
}

impl<P: EvictionPolicy> Shared<P> {
    /// Takes room from the budget, else from entries of this shard.
    #[inline]
    pub(super) fn make_room<K: Place>(
        &self,
        shard: &mut Shard<P>,
        write: &mut Write<'_, K>,
        old: &mut Option<SlotId>,
        after: &mut Afterwards,
    ) -> Room {
        let want = shard.table.growth(write.draft, *old);
        if write.takes(&self.budget, want) { Room::Made } else { self.evict_for(shard, write, want, old, after) }
    }

    #[inline(never)]
    fn evict_for<K: Place>(
        &self,
        shard: &mut Shard<P>,
        write: &mut Write<'_, K>,
        mut want: usize,
        old: &mut Option<SlotId>,
        after: &mut Afterwards,
    ) -> Room {
        for _ in 0..VICTIMS_PER_LOCK {
            let victim = self.victim_for(shard, write.draft.place.tenant(), Whom::Fair, None);
            let Some(victim) = victim else { return Room::Missing(Turn::Elsewhere(want)) };
            if Some(victim.id) == *old {
                *old = None;
            } else if victim.contested && !shard.table.admits(write.draft.hash, write.draft.bytes, victim.id) {
                return Room::NotAdmitted;
            }
            let Some((slot, freed)) = self.evict(shard, victim.id) else { return Room::Missing(Turn::Elsewhere(want)) };
            write.held += freed;
            after.keep(slot);
            want = shard.table.growth(write.draft, *old);
            if write.takes(&self.budget, want) {
                return Room::Made;
            }
        }
        Room::Missing(Turn::Again)
    }

    /// Takes a victim out; what it took stays taken from the budget, for the one who evicts.
    ///
    /// `None` if a policy names a slot that is not in use.
    pub(super) fn evict(&self, shard: &mut Shard<P>, victim: SlotId) -> Option<(Whole, usize)> {
        let before = shard.table.bytes();
        let slot = shard.table.remove(victim, RemovalCause::Evicted)?;
        self.release(&slot);
        shard.counters.evicted += 1;
        Some((slot, before - shard.table.bytes()))
    }

    /// Evicts from the other shards, one lock at a time, until there is room; `false` if there was nothing to evict.
    pub(super) fn evict_elsewhere<K: Place>(&self, write: &mut Write<'_, K>, want: usize) -> bool {
        // Anyone only where fairness names nobody: an entry so large that it alone makes its tenant the most loaded.
        self.evict_round(write, want, Whom::Fair)
            || (self.accountant.is_some() && self.evict_round(write, want, Whom::Anyone))
    }

    fn evict_round<K: Place>(&self, write: &mut Write<'_, K>, want: usize, whom: Whom) -> bool {
        let mut found = false;
        for _ in 0..self.shards.len() {
            let at = self.next_victims.fetch_add(1, Ordering::Relaxed) % self.shards.len();
            for _ in 0..VICTIMS_PER_LOCK {
                if write.takes(&self.budget, want) {
                    return true;
                }
                let mut shard = self.shards[at].write();
                let victim = self.victim_for(&mut shard, write.draft.place.tenant(), whom, None);
                let Some((slot, freed)) = victim.and_then(|victim| self.evict(&mut shard, victim.id)) else { break };
                drop(shard);
                drop(slot);
                write.held += freed;
                found = true;
            }
        }
        found
    }
}
