//! The key hierarchy: a master key in its vault, branch keys, keys of tenants.

mod branch;
mod branches;
mod builder;
#[cfg(any(test, fuzzing, feature = "test-util"))]
pub(crate) mod fuzzing;
mod handles;
mod line;
mod lines;
mod manage;
mod owner;
mod patience;
mod record;
mod refresh;
mod rotate;
mod settings;
mod shred;
mod state;
mod stats;
mod table;
mod vault;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::ArcSwapOption;
use memstache_core::{Clock, Coalesce, Error, RecordStore, Result, Space, Tick};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::{
    branches::Branches,
    lines::Kept,
    owner::OwnerRef,
    settings::Settings,
    state::State,
    stats::Counters,
    table::{Held, Reason, Table},
    vault::Vault,
};
pub use self::{
    builder::KeyringBuilder,
    handles::{BranchKeyInfo, DerivedKey, MasterKey},
    line::KeyState,
    manage::KeyManagement,
    owner::{KeyClass, KeyOwner, MAX_KEY_LABEL},
    refresh::KeyringTask,
    shred::Shredder,
    stats::KeyringStats,
};
use crate::{
    key::{DataKey, DataKeys, KeyFailure, KeyId, KeyLookup, NameKey},
    provider::KeyProvider,
    random::Random,
};

/// The keys of an environment's tenants, shared by all nodes through a record store and protected by a vault.
///
/// ```text
/// master key    in the vault, versioned, never seen here
/// branch key    32 bytes per environment, wrapped by the master key: one call per node, version and hour
/// derived key   32 bytes per tenant and class of keyspaces, wrapped by a branch key
/// name key      32 bytes per tenant, for blind names, wrapped by a branch key
/// ```
///
/// A key at hand is found without waiting: a load, a lookup, no lock, no allocation. One that is not is read from the
/// record store, once for all who ask; the first write of a tenant makes its first key, and of several nodes that do so
/// at once all end up with the same. The vault is never called on the path of a request.
///
/// Nodes learn of new keys by [`refresh`](Self::refresh), which [`run`](Self::run) does in the background: without one of
/// them, keys expire. Clones are the same keyring.
///
/// Cold or warm: a node that holds a line refuses an older record of it (one that was put back), one that starts cannot
/// tell. Keep records where whoever can write to the cache cannot.
///
/// ```
/// use std::sync::Arc;
/// use memstache_core::{KeyspaceName, MemoryRecords, Space, TenantId};
/// use memstache_crypto::{DataKeys, KeyLookup, Keyring, Secret, StaticProvider, SystemRandom};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let records = Arc::new(MemoryRecords::new());
/// let master = Secret::random(&SystemRandom::new())?;
/// let provider = Arc::new(StaticProvider::dangerous_from_secrets([master])?);
///
/// let keyring = Keyring::builder("prod", records, provider).open().await?;
/// let _task = keyring.run(); // refreshes until it is dropped
///
/// let space = Space::new(Some(&TenantId::new("acme")?), &KeyspaceName::new("products")?);
/// keyring.prepare(&space).await?; // else the first write of the tenant waits a moment
/// assert!(matches!(keyring.sealing(&space), KeyLookup::Ready(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    settings: Settings,
    records: Arc<dyn RecordStore>,
    vault: Vault,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pin: Option<KeyId>,
    branches: ArcSwapOption<Branches>,
    branch_flights: Coalesce<(), Result<()>>,
    data: Table<DataKey>,
    names: Table<NameKey>,
    /// Whose name keys are to be fetched in the background; bounded.
    wanted: Mutex<HashSet<KeyOwner>>,
    /// When it was last asked which master key is current.
    master_seen: AtomicU64,
    /// Wakes the background task.
    nudge: Arc<Notify>,
    counters: Counters,
}

/// The most owners whose name keys wait to be fetched.
const MAX_WANTED: usize = 1_024;

impl Keyring {
    /// Starts to build the keyring of an environment: 1 to 32 bytes of `[A-Za-z0-9._-]`, such as `prod` or `test-eu`.
    pub fn builder(environment: &str, records: Arc<dyn RecordStore>, provider: Arc<dyn KeyProvider>) -> KeyringBuilder {
        KeyringBuilder::new(environment, records, provider)
    }

    /// Brings the keys of a space to hand, and makes them if there are none: so that its first call does not wait.
    ///
    /// Errors: [`Unavailable`](memstache_core::ErrorKind::Unavailable) without branch keys, those of the record store.
    ///
    /// # Cancellation
    /// What was begun goes on in the background.
    pub async fn prepare(&self, space: &Space) -> Result<()> {
        let owner = self.0.owner(space);
        self.0.bring::<DataKey>(owner.to_owner(), Reason::Seal).await?;
        if self.0.settings.blind_names {
            self.0.bring::<NameKey>(OwnerRef::of_names(space.tenant()).to_owner(), Reason::Seal).await?;
        }
        Ok(())
    }

    /// Returns what it did and holds.
    pub fn stats(&self) -> KeyringStats {
        let inner = &*self.0;
        let branches = inner.branches.load();
        KeyringStats {
            lines: inner.data.len() + inner.names.len(),
            provider_calls: inner.vault.calls(),
            failed_provider_calls: inner.vault.failures(),
            key_age: branches.as_ref().map(|it| inner.clock.now().since(it.unwrapped)),
            ..inner.counters.read()
        }
    }
}

impl Inner {
    fn owner<'a>(&'a self, space: &'a Space) -> OwnerRef<'a> {
        OwnerRef { tenant: space.tenant(), class: self.settings.class(space.keyspace()).as_str() }
    }

    /// The active key, if it is at hand.
    fn active<K: Kept>(&self, owner: OwnerRef<'_>) -> Option<Result<Arc<K>, KeyFailure>> {
        let now = self.clock.upper_bound();
        K::table(self).with(owner, |held| {
            held.touch(now);
            let state = held.state();
            if let Some(key) = state.active(now) {
                return Some(Ok(Arc::clone(key)));
            }
            self.active_anew(held)
        })?
    }

    /// Looks for the active key when time went on past a switch, or too far.
    #[cold]
    fn active_anew<K: Kept>(&self, held: &Held<K>) -> Option<Result<Arc<K>, KeyFailure>> {
        let now = self.clock.now();
        let state = held.state();
        if !state.is_good(now) {
            self.nudge.notify_one();
            return Some(Err(self.unavailable()));
        }
        let judged = state.judged(&*self.clock);
        let active = judged.active(now).cloned();
        held.replace(&state, judged);
        active.map(Ok)
    }

    fn unavailable(&self) -> KeyFailure {
        KeyFailure::Unavailable { retry_after: self.vault.pause_left() }
    }

    /// Looks for a key by its id among what is at hand. `None`: it must be looked up.
    fn known<K: Kept>(&self, held: &Held<K>, id: KeyId) -> Option<Result<Arc<K>, KeyFailure>> {
        let state = held.state();
        let now = self.clock.upper_bound();
        held.touch(now);
        if let Some(key) = state.key(id) {
            let good = self.is_good(&state, now);
            return Some(if good { Ok(Arc::clone(key)) } else { Err(self.unavailable()) });
        }
        match state.state_of(id, &*self.clock) {
            Some(KeyState::Retired) => Some(Err(KeyFailure::Retired)),
            Some(KeyState::Revoked) => Some(Err(KeyFailure::Revoked)),
            _ => (!held.may_ask(id, now)).then_some(Err(KeyFailure::Unknown)),
        }
    }

    /// Lends the key of an id, if it is known and may still be used.
    fn lend<K: Kept>(&self, held: &Held<K>, id: KeyId, to: impl FnOnce(&K)) -> bool {
        let state = held.state();
        let now = self.clock.upper_bound();
        held.touch(now);
        state.key(id).filter(|_| self.is_good(&state, now)).map(|key| to(key)).is_some()
    }

    fn is_good<K: Kept>(&self, state: &State<K>, now: Tick) -> bool {
        // The bound may be a moment ahead: only the exact time refuses.
        state.is_good(now) || state.is_good(self.clock.now())
    }

    /// Looks an id up in the record store.
    async fn find<K: Kept>(self: Arc<Self>, owner: KeyOwner, id: KeyId) -> Result<Arc<K>, KeyFailure> {
        // Who joins others may join a read that began before the key was made: then once more.
        let joins = K::table(&self).flights.join(&(owner.clone(), Reason::Open)).is_some();
        for _ in 0..=usize::from(joins) {
            let held = self.bring::<K>(owner.clone(), Reason::Open).await.map_err(|error| failure(&error))?;
            if let Some(found) = self.known(&held, id).filter(|found| !matches!(found, Err(KeyFailure::Unknown))) {
                return found;
            }
        }
        let now = self.clock.now();
        K::table(&self).with(owner.borrowed(), |held| held.not_found(id, now));
        Err(KeyFailure::Unknown)
    }

    /// Asks the background for a tenant's name key.
    #[cold]
    fn want(&self, owner: KeyOwner) {
        let mut wanted = self.wanted.lock();
        if wanted.len() < MAX_WANTED && wanted.insert(owner) {
            self.nudge.notify_one();
        }
    }
}

fn failure(error: &Error) -> KeyFailure {
    KeyFailure::Unavailable { retry_after: error.retry_after() }
}

impl DataKeys for Keyring {
    fn sealing(&self, space: &Space) -> KeyLookup {
        let owner = self.0.owner(space);
        match self.0.active::<DataKey>(owner) {
            Some(Ok(key)) => KeyLookup::Ready(key),
            Some(Err(failure)) => KeyLookup::Failed(failure),
            None => {
                let (inner, owner) = (Arc::clone(&self.0), owner.to_owner());
                KeyLookup::Wait(Box::pin(async move {
                    let held = inner.bring::<DataKey>(owner.clone(), Reason::Seal).await;
                    held.map_err(|error| failure(&error))?;
                    inner.active(owner.borrowed()).unwrap_or_else(|| Err(inner.unavailable()))
                }))
            }
        }
    }

    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
        let owner = self.0.owner(space);
        match self.0.data.with(owner, |held| self.0.known(held, id)).flatten() {
            Some(Ok(key)) => KeyLookup::Ready(key),
            Some(Err(failure)) => KeyLookup::Failed(failure),
            None => KeyLookup::Wait(Box::pin(Arc::clone(&self.0).find(owner.to_owner(), id))),
        }
    }

    fn lend(&self, space: &Space, id: Option<KeyId>, to: &mut dyn FnMut(&DataKey)) -> bool {
        let Some(id) = id else { return false };
        self.0.data.with(self.0.owner(space), |held| self.0.lend(held, id, to)).unwrap_or(false)
    }

    /// Answers from what is at hand. What is not is fetched by the background task of [`Keyring::run`], or by
    /// [`Keyring::prepare`]; without [`KeyringBuilder::with_blind_names`] there is never one.
    fn naming(&self, space: &Space) -> Option<Arc<NameKey>> {
        if !self.0.settings.blind_names {
            return None;
        }
        let owner = OwnerRef::of_names(space.tenant());
        let key = self.0.active::<NameKey>(owner);
        if key.is_none() {
            self.0.want(owner.to_owner());
        }
        key?.ok()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
