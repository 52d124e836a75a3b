//! The lines that a node holds, bounded in number, read without a lock.

use std::{
    array, fmt,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use memstache_core::{Clock, Coalesce, RecordKey, RecordPrefix, Result, Tick};
use parking_lot::Mutex;

use super::{
    owner::{KeyOwner, OwnerRef},
    settings::NEGATIVE,
    state::State,
};
use crate::key::KeyId;

const SHARDS: usize = 16;

/// How exactly it is known when a line was last used.
const USED_GRAIN: Duration = Duration::from_secs(1);

/// How many made-up ids a line remembers, and so how many it looks up in a second.
const UNKNOWN: usize = 16;

type Shard<K> = HashMap<KeyOwner, Arc<Held<K>>, RandomState>;

/// Why a line is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// To find a key that opens something.
    Open,
    /// To have a key that seals; made if there is none.
    Seal,
    /// To see it again, and do what has come due.
    Refresh,
}

/// A shard is copied to change it, which is rare, so that readers never wait.
pub(super) struct Table<K> {
    shards: [ArcSwap<Shard<K>>; SHARDS],
    hasher: RandomState,
    per_shard: usize,
    write: Mutex<()>,
    /// How often lines were let go of: what was read before may not be kept after.
    drops: AtomicU64,
    pub(super) flights: Coalesce<(KeyOwner, Reason), Result<Arc<Held<K>>>>,
}

/// One line.
pub(super) struct Held<K> {
    pub(super) owner: KeyOwner,
    pub(super) place: RecordKey,
    state: ArcSwap<State<K>>,
    used: AtomicU64,
    unknown: Mutex<Vec<(KeyId, Tick)>>,
}

impl<K: fmt::Debug + Send + Sync + 'static> Table<K> {
    pub(super) fn new(max: usize) -> Self {
        let hasher = RandomState::default();
        let shard = |_| ArcSwap::from_pointee(Shard::with_hasher(RandomState::default()));
        Self {
            shards: array::from_fn(shard),
            hasher,
            per_shard: max.div_ceil(SHARDS),
            write: Mutex::new(()),
            drops: AtomicU64::new(0),
            flights: Coalesce::new(),
        }
    }

    fn shard(&self, owner: OwnerRef<'_>) -> &ArcSwap<Shard<K>> {
        let hash = self.hasher.hash_one(owner);
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("one of 16")]
    }

    /// Looks a line up: one load, one lookup, nothing allocated.
    pub(super) fn with<T>(&self, owner: OwnerRef<'_>, use_it: impl FnOnce(&Arc<Held<K>>) -> T) -> Option<T> {
        self.shard(owner).load().get(&owner).map(use_it)
    }

    pub(super) fn get(&self, owner: OwnerRef<'_>) -> Option<Arc<Held<K>>> {
        self.with(owner, Arc::clone)
    }

    /// How often lines were let go of until now: to be asked before a record is read.
    pub(super) fn drops(&self) -> u64 {
        self.drops.load(Ordering::Acquire)
    }

    /// Keeps an image of a line, unless a newer one is held. Returns the line; `None` if lines were let go of since, and
    /// the record has to be read again.
    pub(super) fn keep(
        &self,
        owner: &KeyOwner,
        place: RecordKey,
        state: State<K>,
        now: Tick,
        drops: u64,
    ) -> Option<Arc<Held<K>>> {
        let _write = self.write.lock();
        if self.drops() != drops {
            return None;
        }
        let shard = self.shard(owner.borrowed());
        let current = shard.load();
        if let Some(held) = current.get(&owner.borrowed()) {
            if held.state().seq <= state.seq {
                held.state.store(Arc::new(state));
            }
            return Some(Arc::clone(held));
        }
        let mut next = Shard::clone(&current);
        if next.len() >= self.per_shard {
            let oldest = next.values().min_by_key(|held| held.used.load(Ordering::Relaxed));
            let oldest = oldest.map(|held| held.owner.clone());
            oldest.map(|owner| next.remove(&owner.borrowed()));
        }
        let held = Arc::new(Held::new(owner.clone(), place, state, now));
        next.insert(owner.clone(), Arc::clone(&held));
        shard.store(Arc::new(next));
        Some(held)
    }

    /// Lets go of the keys of all lines below a prefix, at once and for what is being read, too. Returns how many lines
    /// there were.
    pub(super) fn drop_below(&self, prefix: &RecordPrefix, clock: &dyn Clock) -> usize {
        let _write = self.write.lock();
        self.drops.fetch_add(1, Ordering::AcqRel);
        let all = self.all().into_iter();
        let below = all.filter(|held| prefix.covers(&held.place));
        below.map(|held| held.state.store(Arc::new(held.state().emptied(clock)))).count()
    }

    pub(super) fn all(&self) -> Vec<Arc<Held<K>>> {
        self.shards.iter().flat_map(|shard| shard.load().values().cloned().collect::<Vec<_>>()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.load().len()).sum()
    }

    /// Drops every line.
    pub(super) fn clear(&self) {
        let _write = self.write.lock();
        self.drops.fetch_add(1, Ordering::AcqRel);
        let empty = || Arc::new(Shard::with_hasher(RandomState::default()));
        self.shards.iter().for_each(|shard| shard.store(empty()));
    }
}

impl<K> fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("per_shard", &self.per_shard).finish_non_exhaustive()
    }
}

impl<K> Held<K> {
    fn new(owner: KeyOwner, place: RecordKey, state: State<K>, now: Tick) -> Self {
        let used = AtomicU64::new(now.as_millis());
        Self { owner, place, state: ArcSwap::from_pointee(state), used, unknown: Mutex::default() }
    }

    pub(super) fn state(&self) -> Guard<Arc<State<K>>> {
        self.state.load()
    }

    /// Puts the same line in place as it is now.
    pub(super) fn replace(&self, old: &Arc<State<K>>, new: State<K>) {
        // Of two that judge at once either may stay; a newer image must.
        self.state.compare_and_swap(old, Arc::new(new));
    }

    pub(super) fn touch(&self, now: Tick) {
        let used = self.used.load(Ordering::Relaxed);
        if now.since(Tick::from_millis(used)) >= USED_GRAIN {
            self.used.store(now.as_millis(), Ordering::Relaxed);
        }
    }

    /// Whether an id that the line does not have may be looked up again. Ids may be made up, so this is bounded.
    pub(super) fn may_ask(&self, id: KeyId, now: Tick) -> bool {
        let mut unknown = self.unknown.lock();
        unknown.retain(|(_, at)| now.since(*at) < NEGATIVE);
        unknown.len() < UNKNOWN && unknown.iter().all(|(other, _)| *other != id)
    }

    /// Remembers for a second that there is no such id.
    pub(super) fn not_found(&self, id: KeyId, now: Tick) {
        let mut unknown = self.unknown.lock();
        if unknown.len() < UNKNOWN {
            unknown.push((id, now));
        }
    }
}

impl<K> fmt::Debug for Held<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("owner", &self.owner).finish_non_exhaustive()
    }
}
