//! Finding the keyring that keeps a tenant's keys: this one, or that of the tenant's own vault.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use memstache_core::{Coalesce, Error, ErrorKind, Result, TenantId, Tick};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Inner, Keyring,
    custody::Custody,
    owner::KeyOwner,
    settings::Settings,
    stats::Counters,
    table::Table,
    vault::Vault,
    vaults::{Keeper, Slot, Vaults},
};
use crate::{key::KeyFailure, provider::KeyProvider};

/// How long it may take to say who keeps a tenant's keys, as long as a call to a vault.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most tenants of whom it is asked at once who keeps their keys.
const MOST_ASKING: usize = 4_096;

/// Why it is not at hand who keeps a tenant's keys.
pub(super) enum Absent {
    /// It must be asked.
    Ask,
    Failed(KeyFailure),
}

impl Keyring {
    /// Returns the keyring that keeps a tenant's keys: this one, or that of the vault that the tenant brings. By the latter
    /// the tenant's own master and branch keys are managed. It is refreshed as this one is, for as long as this one holds it.
    ///
    /// Errors: [`Unavailable`](ErrorKind::Unavailable) while nobody can say who keeps them;
    /// [`Invalid`](ErrorKind::Invalid) for another tenant, on the keyring of one tenant's vault. That the vault can be reached is not
    /// checked.
    ///
    /// # Cancellation
    /// What was begun goes on in the background.
    pub async fn of(&self, tenant: &TenantId) -> Result<Self> {
        self.0.keeper(Some(tenant.as_str())).await.map(Self)
    }
}

impl Inner {
    /// Works with who keeps a tenant's keys, if that is at hand.
    pub(super) fn keeper_at_hand<T>(
        self: &Arc<Self>,
        tenant: Option<&str>,
        use_it: impl FnOnce(&Arc<Self>) -> T,
    ) -> Result<T, Absent> {
        if let Some(only) = &self.only {
            let is_its_own = tenant == Some(only.as_str());
            return if is_its_own { Ok(use_it(self)) } else { Err(Absent::Failed(KeyFailure::Unknown)) };
        }
        let (Some(vaults), Some(tenant)) = (&self.vaults, tenant) else { return Ok(use_it(self)) };
        let now = self.clock.upper_bound();
        let found = vaults.with(tenant, now, |slot| match &slot.keeper {
            Keeper::Unknown { until, .. } if now < *until => {
                let retry_after = Some(until.since(now));
                Err(Absent::Failed(KeyFailure::Unavailable { retry_after }))
            }
            Keeper::Unknown { .. } => Err(Absent::Ask),
            _ if slot.age(now) >= self.settings.usable() => Err(Absent::Ask),
            Keeper::House => Ok(use_it(self)),
            Keeper::Own { keyring, .. } => Ok(use_it(&keyring.0)),
        });
        found.unwrap_or(Err(Absent::Ask))
    }

    /// Finds who keeps a tenant's keys, and asks if it is not at hand.
    pub(super) async fn keeper(self: &Arc<Self>, tenant: Option<&str>) -> Result<Arc<Self>> {
        match (self.keeper_at_hand(tenant, Arc::clone), tenant) {
            (Ok(keeper), _) => return Ok(keeper),
            (Err(Absent::Failed(failure)), _) => return Err(not_known(failure)),
            (Err(Absent::Ask), Some(tenant)) => {
                let tenant = TenantId::new(tenant)?;
                let Some(asked) = self.ask(&tenant) else {
                    let error = Error::new(ErrorKind::Overloaded, "too many tenants are met for the first time");
                    return Err(error.with_retry_after(Duration::from_secs(1)));
                };
                match asked.await {
                    Ok(answer) => answer?,
                    // It panicked: not asked again at once, either.
                    Err(error) => {
                        if let Some(vaults) = &self.vaults {
                            let known = vaults.get(tenant.as_str());
                            self.not_found(vaults, &tenant, known.as_deref(), self.clock.now());
                        }
                        return Err(not_known(KeyFailure::Unavailable { retry_after: None }).with_source(error));
                    }
                }
            }
            (Err(Absent::Ask), None) => {}
        }
        self.keeper_at_hand(tenant, Arc::clone).map_err(|absent| match absent {
            Absent::Failed(failure) => not_known(failure),
            // So many are met that it was forgotten at once.
            Absent::Ask => not_known(KeyFailure::Unavailable { retry_after: None }),
        })
    }

    pub(super) async fn keeper_of(self: &Arc<Self>, owner: &KeyOwner) -> Result<Arc<Self>> {
        self.keeper(owner.tenant_name()).await
    }

    /// Begins to ask who keeps a tenant's keys, or joins who does; `None` if too many are asked for.
    fn ask(self: &Arc<Self>, tenant: &TenantId) -> Option<impl Future<Output = Result<Result<()>>> + use<>> {
        let vaults = self.vaults.as_ref()?;
        if vaults.flights.len() >= MOST_ASKING && vaults.flights.join(tenant).is_none() {
            return None;
        }
        let (inner, whose) = (Arc::clone(self), tenant.clone());
        Some(vaults.flights.run(tenant.clone(), move || async move { inner.find_keeper(whose).await }))
    }

    async fn find_keeper(self: Arc<Self>, tenant: TenantId) -> Result<()> {
        let Some(vaults) = &self.vaults else { return Ok(()) };
        let deadline = self.clock.sleep_until(self.clock.now().after(PATIENCE));
        let answer = match select(pin!(vaults.source.custody(&tenant)), deadline).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(Error::new(ErrorKind::Unavailable, "no answer in 20 seconds")),
        };
        let (now, known) = (self.clock.now(), vaults.get(tenant.as_str()));
        match answer {
            Ok(custody) => {
                match known.filter(|slot| is_same(slot, &custody)) {
                    Some(slot) => slot.confirmed(now),
                    None => vaults.keep(&tenant, self.keeper_by(&tenant, custody), now),
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(kind = error.kind().as_str(), "it could not be found out who keeps a tenant's keys");
                self.not_found(vaults, &tenant, known.as_deref(), now);
                Err(not_known(KeyFailure::Unavailable { retry_after: error.retry_after() }).with_source(error))
            }
        }
    }

    /// Takes note that nobody could say who keeps a tenant's keys; what is known of it stands for a while.
    fn not_found(&self, vaults: &Vaults, tenant: &TenantId, known: Option<&Slot>, now: Tick) {
        let failed = match known {
            Some(Slot { keeper: Keeper::Unknown { failed, .. }, .. }) => *failed,
            Some(slot) if slot.age(now) < self.settings.usable() => return,
            _ => 0,
        };
        vaults.keep(tenant, Keeper::unknown(now, failed), now);
    }

    /// Makes the keeper, and begins to open it: nobody has waited for a vault so far.
    fn keeper_by(&self, tenant: &TenantId, custody: Custody) -> Keeper {
        match custody {
            Custody::House => Keeper::House,
            Custody::Own(provider) => {
                let keyring = Keyring(Arc::new(self.below(tenant, provider)));
                keyring.0.begin_to_open();
                Keeper::own(keyring)
            }
        }
    }

    /// The keyring of a tenant's own vault: of its own in everything that a vault which fails could hold up.
    fn below(&self, tenant: &TenantId, provider: Arc<dyn KeyProvider>) -> Self {
        let environment = self.settings.environment.of_vault(tenant);
        let settings = Settings { environment, ..self.settings.clone() };
        // One line for each class in each of 16 shards.
        let lines = 16 * (settings.classes.len() + 2);
        Self {
            settings,
            records: Arc::clone(&self.records),
            vault: Vault::new(provider, Arc::clone(&self.clock)),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            pin: None,
            branches: ArcSwapOption::empty(),
            branch_flights: Coalesce::new(),
            data: Table::new(lines),
            names: Table::new(lines),
            wanted: Mutex::new(HashSet::new()),
            master_seen: AtomicU64::new(self.clock.now().as_millis()),
            nudge: Arc::new(Notify::new()),
            counters: Counters::default(),
            only: Some(tenant.clone()),
            vaults: None,
            node: None,
        }
    }

    fn begin_to_open(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        drop(self.branch_flights.run((), move || async move { inner.look_at_branches().await }));
    }

    /// The same, without waiting.
    pub(super) fn begin_to_ask(self: &Arc<Self>, owner: &KeyOwner) {
        let tenant = owner.tenant_name().and_then(|tenant| TenantId::new(tenant).ok());
        drop(tenant.and_then(|tenant| self.ask(&tenant)));
    }

    /// Asks again about tenants whose answers are old, without waiting.
    pub(super) fn ask_again(self: &Arc<Self>) -> Vec<impl Future<Output = Result<Result<()>>> + use<>> {
        let Some(vaults) = &self.vaults else { return Vec::new() };
        let (now, due) = (self.clock.now(), self.settings.max_age.saturating_sub(self.settings.refresh));
        let old = |slot: &Arc<Slot>| !matches!(slot.keeper, Keeper::Unknown { .. }) && slot.age(now) >= due;
        vaults.all().into_iter().filter(old).filter_map(|slot| self.ask(&slot.tenant)).collect()
    }

    /// Refreshes everything that tenants' own vaults protect, all at once: who hangs holds nobody up.
    pub(super) async fn refresh_own(self: &Arc<Self>) {
        let mut asked: FuturesUnordered<_> = self.ask_again().into_iter().collect();
        while asked.next().await.is_some() {}
        let own = self.vaults.iter().flat_map(Vaults::own);
        let mut refreshed: FuturesUnordered<_> =
            own.map(|keyring| async move { keyring.0.refresh().await.is_ok() }).collect();
        while refreshed.next().await.is_some() {}
    }
}

/// Whether an answer says what was known.
fn is_same(slot: &Slot, custody: &Custody) -> bool {
    match (&slot.keeper, custody) {
        (Keeper::House, Custody::House) => true,
        (Keeper::Own { keyring, .. }, Custody::Own(provider)) => keyring.0.vault.provider.id() == provider.id(),
        _ => false,
    }
}

fn not_known(failure: KeyFailure) -> Error {
    match failure {
        KeyFailure::Unavailable { retry_after } => {
            let error = Error::new(ErrorKind::Unavailable, "it is not known who keeps the tenant's keys");
            retry_after.into_iter().fold(error, Error::with_retry_after)
        }
        _ => Error::new(ErrorKind::Invalid, "the keyring of one tenant's vault has no keys of others"),
    }
}
