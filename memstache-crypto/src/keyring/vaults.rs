//! Which keyring keeps a tenant's keys: what was answered, bounded in number, read without a lock.

use std::{
    array, fmt,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use memstache_core::{Coalesce, Result, TenantId, Tick};
use parking_lot::Mutex;

use super::{Keyring, KeyringTask, custody::TenantVaults};

const SHARDS: usize = 16;

/// How exactly it is known when a tenant was last met.
const USED_GRAIN: Duration = Duration::from_secs(1);

/// The pause after the first answer that failed, and the longest that pauses grow to.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

type Shard = HashMap<Box<str>, Arc<Slot>, RandomState>;

/// The vaults of tenants.
pub(super) struct Vaults {
    pub(super) source: Arc<dyn TenantVaults>,
    pub(super) flights: Coalesce<TenantId, Result<()>>,
    shards: [ArcSwap<Shard>; SHARDS],
    hasher: RandomState,
    write: Mutex<()>,
    /// How many tenants with a vault of their own, and how many others, a shard holds at most.
    most: (usize, usize),
    /// How many tasks refresh the keyring: with one, those of the vaults refresh, too.
    running: AtomicUsize,
}

/// What is known of one tenant.
pub(super) struct Slot {
    pub(super) tenant: TenantId,
    pub(super) keeper: Keeper,
    /// When it was answered so.
    asked: AtomicU64,
    used: AtomicU64,
}

/// Who keeps a tenant's keys.
pub(super) enum Keeper {
    House,
    Own {
        keyring: Keyring,
        /// Refreshes it.
        task: Mutex<Option<KeyringTask>>,
    },
    /// Nobody could say so; it is not asked again before a moment.
    Unknown {
        until: Tick,
        failed: u32,
    },
}

impl Keeper {
    pub(super) fn own(keyring: Keyring) -> Self {
        Self::Own { keyring, task: Mutex::default() }
    }

    fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }

    /// The next pause of those who could not be told.
    pub(super) fn unknown(now: Tick, failed: u32) -> Self {
        let pause = FIRST_PAUSE.saturating_mul(1 << failed.min(6)).min(LONGEST_PAUSE);
        Self::Unknown { until: now.after(pause), failed: failed.saturating_add(1) }
    }
}

impl Vaults {
    pub(super) fn new(source: Arc<dyn TenantVaults>, own: usize, others: usize) -> Self {
        Self {
            source,
            flights: Coalesce::new(),
            shards: array::from_fn(|_| ArcSwap::from_pointee(Shard::with_hasher(RandomState::default()))),
            hasher: RandomState::default(),
            write: Mutex::new(()),
            most: (own.div_ceil(SHARDS), others.div_ceil(SHARDS)),
            running: AtomicUsize::new(0),
        }
    }

    fn shard(&self, tenant: &str) -> &ArcSwap<Shard> {
        let hash = self.hasher.hash_one(tenant);
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("one of 16")]
    }

    /// Looks up what is known of a tenant: one load, one lookup, nothing allocated.
    pub(super) fn with<T>(&self, tenant: &str, now: Tick, use_it: impl FnOnce(&Slot) -> T) -> Option<T> {
        let shard = self.shard(tenant).load();
        let slot = shard.get(tenant)?;
        slot.touch(now);
        Some(use_it(slot))
    }

    pub(super) fn get(&self, tenant: &str) -> Option<Arc<Slot>> {
        self.shard(tenant).load().get(tenant).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.shards.iter().flat_map(|shard| shard.load().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// The keyrings of all vaults that tenants brought.
    pub(super) fn own(&self) -> impl Iterator<Item = Keyring> {
        self.all().into_iter().filter_map(|slot| match &slot.keeper {
            Keeper::Own { keyring, .. } => Some(keyring.clone()),
            _ => None,
        })
    }

    /// Keeps an answer in place of what was known; of its kind, the tenant that was not met for longest goes for it.
    pub(super) fn keep(&self, tenant: &TenantId, keeper: Keeper, now: Tick) {
        let is_own = keeper.is_own();
        let ticks = || AtomicU64::new(now.as_millis());
        let slot = Arc::new(Slot { tenant: tenant.clone(), keeper, asked: ticks(), used: ticks() });
        let _write = self.write.lock();
        let shard = self.shard(tenant.as_str());
        let mut next = Shard::clone(&shard.load());
        next.remove(tenant.as_str());
        let most = if is_own { self.most.0 } else { self.most.1 };
        let alike = || next.values().filter(|slot| slot.keeper.is_own() == is_own);
        if alike().count() >= most {
            let oldest = alike().min_by_key(|slot| slot.used.load(Ordering::Relaxed));
            let oldest = oldest.map(|slot| slot.tenant.clone());
            oldest.map(|tenant| next.remove(tenant.as_str()));
        }
        if self.running.load(Ordering::Acquire) > 0 {
            slot.start();
        }
        next.insert(tenant.as_str().into(), slot);
        shard.store(Arc::new(next));
    }

    /// Forgets what is known of some tenants.
    pub(super) fn forget(&self, which: impl Fn(&Slot) -> bool) {
        let _write = self.write.lock();
        for shard in &self.shards {
            let mut next = Shard::clone(&shard.load());
            let before = next.len();
            next.retain(|_, slot| !which(slot));
            if next.len() < before {
                shard.store(Arc::new(next));
            }
        }
    }

    /// Has every vault's keyring refresh by itself.
    pub(super) fn start(&self) {
        let _write = self.write.lock();
        self.running.fetch_add(1, Ordering::AcqRel);
        self.all().iter().for_each(|slot| slot.start());
    }

    /// Undoes one start.
    pub(super) fn stop(&self) {
        let _write = self.write.lock();
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all().iter().for_each(|slot| slot.stop());
        }
    }
}

impl Slot {
    /// How long ago it was answered so.
    pub(super) fn age(&self, now: Tick) -> Duration {
        now.since(Tick::from_millis(self.asked.load(Ordering::Relaxed)))
    }

    /// Takes note that the answer is still the same.
    pub(super) fn confirmed(&self, now: Tick) {
        self.asked.store(now.as_millis(), Ordering::Relaxed);
    }

    fn touch(&self, now: Tick) {
        let used = self.used.load(Ordering::Relaxed);
        if now.since(Tick::from_millis(used)) >= USED_GRAIN {
            self.used.store(now.as_millis(), Ordering::Relaxed);
        }
    }

    fn start(&self) {
        if let Keeper::Own { keyring, task } = &self.keeper {
            task.lock().get_or_insert_with(|| keyring.run());
        }
    }

    fn stop(&self) {
        if let Keeper::Own { task, .. } = &self.keeper {
            task.lock().take();
        }
    }
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vaults").field("most", &self.most).finish_non_exhaustive()
    }
}
