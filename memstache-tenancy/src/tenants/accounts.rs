//! All accounts, in shards.

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use memstache_core::{Error, ErrorKind, Result, TenantId};
use parking_lot::{Mutex, RwLock};

use super::account::{Account, Counts};

/// A power of two.
const SHARDS: usize = 64;

/// How often a shard is looked through for idle accounts when there is no room for another one.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The accounts of all tenants that were met, and of the shared space.
#[derive(Debug)]
pub(crate) struct Accounts {
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    pub(crate) shared: Arc<Account>,
    len: AtomicUsize,
    most: usize,
    idle: Duration,
    /// When all shards were last looked through for want of room.
    swept: Mutex<Option<Duration>>,
}

#[derive(Debug, Default)]
struct Shard {
    table: HashTable<Arc<Account>>,
    /// When idle ones were last looked for.
    swept: Duration,
    /// What those had counted that are gone.
    gone: Counts,
}

impl Accounts {
    pub(crate) fn new(most: usize, idle: Duration, now: Duration) -> Self {
        let shard = || RwLock::new(Shard { swept: now, ..Shard::default() });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::default(),
            shared: Arc::new(Account::new(None, now)),
            len: AtomicUsize::new(0),
            most,
            idle,
            swept: Mutex::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Works on an account, if there is one. Be short: its shard is locked against new ones meanwhile.
    pub(crate) fn with<T>(&self, tenant: Option<&str>, work: impl FnOnce(&Arc<Account>) -> T) -> Option<T> {
        let Some(tenant) = tenant else { return Some(work(&self.shared)) };
        let hash = self.hasher.hash_one(tenant);
        self.shard(hash).read().table.find(hash, |account| account.name() == tenant).map(work)
    }

    /// Opens an account, unless there is one.
    ///
    /// Errors: `Overloaded` if there are too many, and none of them is idle.
    pub(crate) fn open(&self, tenant: &str, now: Duration) -> Result<Arc<Account>> {
        if let Some(account) = self.open_here(tenant, now)? {
            return Ok(account);
        }
        // The idle ones may all be in other shards.
        let opened = if self.sweep_if_due(now) { self.open_here(tenant, now)? } else { None };
        opened.ok_or_else(|| {
            let full = Error::new(ErrorKind::Overloaded, "there are as many tenants as the registry may know");
            full.with_retry_after(FULL_PAUSE.min(self.idle))
        })
    }

    /// Opens an account if there is room, or will be when its own shard was looked through for idle ones.
    fn open_here(&self, tenant: &str, now: Duration) -> Result<Option<Arc<Account>>> {
        let hash = self.hasher.hash_one(tenant);
        let mut shard = self.shard(hash).write();
        if let Some(account) = shard.table.find(hash, |account| account.name() == tenant) {
            return Ok(Some(Arc::clone(account)));
        }
        // Whoever opens accounts pays for closing them, a shard at a time.
        let pause = if self.len() < self.most { self.idle } else { FULL_PAUSE.min(self.idle) };
        if now.saturating_sub(shard.swept) >= pause {
            self.sweep_shard(&mut shard, now);
        }
        let room = |len: usize| (len < self.most).then_some(len + 1);
        if self.len.fetch_update(Relaxed, Relaxed, room).is_err() {
            return Ok(None);
        }
        let account = Arc::new(Account::new(Some(TenantId::new(tenant)?), now));
        let hash_of = |account: &Arc<Account>| self.hasher.hash_one(account.name());
        shard.table.insert_unique(hash, Arc::clone(&account), hash_of);
        Ok(Some(account))
    }

    /// Looks through all shards for idle accounts, unless that was done a moment ago; returns whether any went.
    fn sweep_if_due(&self, now: Duration) -> bool {
        let mut swept = self.swept.lock();
        let due = swept.is_none_or(|swept| now.saturating_sub(swept) >= FULL_PAUSE.min(self.idle));
        if due {
            *swept = Some(now);
        }
        drop(swept);
        due && self.sweep(now) > 0
    }

    /// Closes all accounts that are idle and hold nothing, and returns how many.
    pub(crate) fn sweep(&self, now: Duration) -> usize {
        self.shards.iter().map(|shard| self.sweep_shard(&mut shard.write(), now)).sum()
    }

    fn sweep_shard(&self, shard: &mut Shard, now: Duration) -> usize {
        let Shard { table, swept, gone } = shard;
        let before = table.len();
        table.retain(|account| {
            // With the shard locked, nobody comes by another reference.
            let goes = Arc::strong_count(account) == 1 && account.is_at_rest(now, self.idle);
            if goes {
                *gone = gone.plus(account.counts());
            }
            !goes
        });
        let closed = before - table.len();
        if table.capacity() > 4 * table.len() {
            table.shrink_to(2 * table.len(), |account| self.hasher.hash_one(account.name()));
        }
        *swept = now;
        self.len.fetch_sub(closed, Relaxed);
        closed
    }

    /// Goes through all accounts, the shared one first, and returns what those had counted that are gone.
    pub(crate) fn visit(&self, mut each: impl FnMut(&Arc<Account>)) -> Counts {
        each(&self.shared);
        self.shards.iter().fold(Counts::default(), |gone, shard| {
            let shard = shard.read();
            shard.table.iter().for_each(&mut each);
            gone.plus(shard.gone)
        })
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The table itself goes by the other bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}
