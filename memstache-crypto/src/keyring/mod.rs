//! The key hierarchy: a master key in its vault, branch keys, keys of tenants.

mod branch;
mod branches;
mod builder;
mod custody;
#[cfg(any(test, fuzzing, feature = "test-util"))]
pub(crate) mod fuzzing;
mod handles;
mod keeper;
mod line;
mod lines;
mod manage;
mod nodes;
mod orders;
mod owner;
mod patience;
mod places;
mod record;
mod refresh;
mod rotate;
mod settings;
mod shred;
mod state;
mod stats;
mod table;
mod vault;
mod vaults;

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::ArcSwapOption;
use memstache_core::{Clock, Coalesce, Error, RecordStore, Result, Space, TenantId, Tick};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::{
    branches::Branches,
    keeper::Absent,
    lines::Kept,
    nodes::Node,
    owner::OwnerRef,
    settings::Settings,
    state::State,
    stats::Counters,
    table::{Held, Reason, Table},
    vault::Vault,
    vaults::Vaults,
};
pub use self::{
    builder::KeyringBuilder,
    custody::{Custody, TenantVaults},
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
/// A tenant may bring a vault of its own ([`with_tenant_vaults`](KeyringBuilder::with_tenant_vaults)): then it has a branch
/// key of its own, wrapped by that vault, and a keyring of its own in here. What fails there fails this tenant alone, and
/// no key of it is ever made under another vault.
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
    /// The tenant whose own vault protects everything here.
    only: Option<TenantId>,
    /// Which tenants bring vaults of their own, each with a keyring below this one.
    vaults: Option<Vaults>,
    /// This process on the register; `None` below another keyring.
    node: Option<Node>,
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
        let keeper = self.0.keeper(space.tenant()).await?;
        let owner = keeper.owner(space);
        keeper.bring::<DataKey>(owner.to_owner(), Reason::Seal).await?;
        if keeper.settings.blind_names {
            keeper.bring::<NameKey>(OwnerRef::of_names(space.tenant()).to_owner(), Reason::Seal).await?;
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
            tenant_vaults: inner.vaults.iter().flat_map(Vaults::own).count(),
            failed_tenant_vaults: inner.vaults.iter().flat_map(Vaults::own).filter(|own| !own.0.has_branches()).count(),
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

    /// Whether there are branch keys that may be used.
    fn has_branches(&self) -> bool {
        self.branches.load().as_ref().is_some_and(|branches| self.is_usable(branches))
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
            if self.is_good(&state, now) {
                return Some(Ok(Arc::clone(key)));
            }
            self.nudge.notify_one();
            return Some(Err(self.unavailable()));
        }
        match state.state_of(id, &*self.clock) {
            Some(KeyState::Retired) => Some(Err(KeyFailure::Retired)),
            Some(KeyState::Revoked) => Some(Err(KeyFailure::Revoked)),
            _ => (!held.may_ask(id, now)).then_some(Err(KeyFailure::Unknown)),
        }
    }

    /// Lends the key of an id, or the active one, if it is known and may still be used.
    fn lend<K: Kept>(&self, held: &Held<K>, id: Option<KeyId>, to: impl FnOnce(&K)) -> bool {
        let state = held.state();
        let now = self.clock.upper_bound();
        held.touch(now);
        let key = id.map_or_else(|| state.active(now), |id| state.key(id));
        key.filter(|_| self.is_good(&state, now)).map(|key| to(key)).is_some()
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

/// The future of a key that is not at hand.
fn wait(key: impl Future<Output = Result<Arc<DataKey>, KeyFailure>> + Send + 'static) -> KeyLookup {
    KeyLookup::Wait(Box::pin(key))
}

async fn settled(lookup: KeyLookup) -> Result<Arc<DataKey>, KeyFailure> {
    match lookup {
        KeyLookup::Ready(key) => Ok(key),
        KeyLookup::Wait(wait) => wait.await,
        KeyLookup::Failed(failure) => Err(failure),
    }
}

fn failure(error: &Error) -> KeyFailure {
    KeyFailure::Unavailable { retry_after: error.retry_after() }
}

impl Inner {
    fn sealing(self: &Arc<Self>, space: &Space) -> KeyLookup {
        let owner = self.owner(space);
        match self.active::<DataKey>(owner) {
            Some(Ok(key)) => KeyLookup::Ready(key),
            Some(Err(failure)) => KeyLookup::Failed(failure),
            None => {
                let (inner, owner) = (Arc::clone(self), owner.to_owner());
                wait(async move {
                    let held = inner.bring::<DataKey>(owner.clone(), Reason::Seal).await;
                    held.map_err(|error| failure(&error))?;
                    inner.active(owner.borrowed()).unwrap_or_else(|| Err(inner.unavailable()))
                })
            }
        }
    }

    fn opening(self: &Arc<Self>, space: &Space, id: KeyId) -> KeyLookup {
        let owner = self.owner(space);
        match self.data.with(owner, |held| self.known(held, id)).flatten() {
            Some(Ok(key)) => KeyLookup::Ready(key),
            Some(Err(failure)) => KeyLookup::Failed(failure),
            None => wait(Arc::clone(self).find(owner.to_owner(), id)),
        }
    }

    /// The name key of a tenant whose keys are kept here.
    fn name_key(&self, tenant: Option<&str>) -> Option<Arc<NameKey>> {
        let owner = OwnerRef::of_names(tenant);
        let key = self.active::<NameKey>(owner);
        if key.is_none() {
            self.want(owner.to_owner());
        }
        key?.ok()
    }

    /// Looks a key up where it is kept, which may have to be asked first.
    fn look_up(
        self: &Arc<Self>,
        space: &Space,
        look: impl Fn(&Arc<Self>, &Space) -> KeyLookup + Send + 'static,
    ) -> KeyLookup {
        match self.keeper_at_hand(space.tenant(), |keeper| look(keeper, space)) {
            Ok(lookup) => lookup,
            Err(Absent::Failed(failure)) => KeyLookup::Failed(failure),
            Err(Absent::Ask) => {
                let (inner, space) = (Arc::clone(self), space.clone());
                wait(async move {
                    let keeper = inner.keeper(space.tenant()).await.map_err(|error| failure(&error))?;
                    settled(look(&keeper, &space)).await
                })
            }
        }
    }
}

impl DataKeys for Keyring {
    fn sealing(&self, space: &Space) -> KeyLookup {
        self.0.look_up(space, Inner::sealing)
    }

    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
        self.0.look_up(space, move |keeper, space| keeper.opening(space, id))
    }

    fn lend(&self, space: &Space, id: Option<KeyId>, to: &mut dyn FnMut(&DataKey)) -> bool {
        let lend = |keeper: &Arc<Inner>| keeper.data.with(keeper.owner(space), |held| keeper.lend(held, id, to));
        self.0.keeper_at_hand(space.tenant(), lend).ok().flatten().unwrap_or(false)
    }

    /// Answers from what is at hand. What is not is fetched by the background task of [`Keyring::run`], or by
    /// [`Keyring::prepare`]; without [`KeyringBuilder::with_blind_names`] there is never one.
    fn naming(&self, space: &Space) -> Option<Arc<NameKey>> {
        if !self.0.settings.blind_names {
            return None;
        }
        match self.0.keeper_at_hand(space.tenant(), |keeper| keeper.name_key(space.tenant())) {
            Ok(key) => key,
            Err(Absent::Failed(_)) => None,
            Err(Absent::Ask) => {
                self.0.want(OwnerRef::of_names(space.tenant()).to_owner());
                None
            }
        }
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
