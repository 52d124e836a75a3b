//! How a keyring is built: every setting is checked.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use memstache_core::{Clock, Coalesce, Error, KeyspaceName, MAX_TTL, RecordStore, Result, SystemClock};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Inner, Keyring,
    custody::TenantVaults,
    nodes::Node,
    owner::{KeyClass, label},
    patience::Patient,
    places::Environment,
    settings::Settings,
    stats::Counters,
    table::Table,
    vault::Vault,
    vaults::Vaults,
};
use crate::{
    key::KeyId,
    provider::KeyProvider,
    random::{Random, SystemRandom},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most lines that a keyring can be told to hold.
const MOST_LINES: usize = 1 << 20;
/// The most vaults of tenants.
const MOST_VAULTS: usize = 1 << 16;

/// Builds a [`Keyring`].
///
/// Nothing is checked before [`open`](Self::open), whose error names every wrong setting.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use memstache_core::MemoryRecords;
/// use memstache_crypto::{KeyClass, Keyring, Secret, StaticProvider, SystemRandom};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = StaticProvider::dangerous_from_secrets([Secret::random(&SystemRandom::new())?])?;
/// let keyring = Keyring::builder("prod-eu", Arc::new(MemoryRecords::new()), Arc::new(provider))
///     .with_max_entry_ttl(Duration::from_secs(24 * 3600))
///     .with_max_stale(Duration::from_secs(8 * 3600))
///     .with_class("cards".try_into()?, KeyClass::new("payments")?)
///     .with_blind_names()
///     .open()
///     .await?;
/// # let _ = keyring;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is built before `open`"]
pub struct KeyringBuilder {
    environment: String,
    records: Arc<dyn RecordStore>,
    provider: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    refresh: Duration,
    max_age: Duration,
    max_stale: Duration,
    derived_rotation: Option<Duration>,
    master_rotation: Option<Duration>,
    max_entry_ttl: Option<Duration>,
    max_lines: usize,
    blind_names: bool,
    keys_at_start: bool,
    pin: Option<KeyId>,
    classes: Vec<(KeyspaceName, KeyClass)>,
    tenant_vaults: Option<Arc<dyn TenantVaults>>,
    max_tenant_vaults: usize,
    node: String,
}

impl KeyringBuilder {
    pub(super) fn new(environment: &str, records: Arc<dyn RecordStore>, provider: Arc<dyn KeyProvider>) -> Self {
        Self {
            environment: environment.to_owned(),
            records,
            provider,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            refresh: 5 * MINUTE,
            max_age: HOUR,
            max_stale: DAY,
            derived_rotation: Some(30 * DAY),
            master_rotation: Some(365 * DAY),
            max_entry_ttl: None,
            max_lines: 10_000,
            blind_names: false,
            keys_at_start: true,
            pin: None,
            classes: Vec::new(),
            tenant_vaults: None,
            max_tenant_vaults: 1_000,
            node: "node".to_owned(),
        }
    }

    /// Sets the clock. Default: the system's.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the source of new keys. Default: the system's.
    pub fn with_random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Sets how often records are read again, 1 s to 1 h. A new version is used after twice as long. Default: 5 min.
    ///
    /// All nodes of an environment need the same.
    pub fn with_refresh(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }

    /// Sets after how long at most the provider has to unwrap the branch keys again, from two refresh intervals to a day; it
    /// is asked an interval earlier. Default: 60 min.
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how long keys at hand are used while the provider or the record store is down, up to 7 days. Zero is strict:
    /// they are used for the maximal age. Default: 24 h.
    pub fn with_max_stale(mut self, age: Duration) -> Self {
        self.max_stale = age;
        self
    }

    /// Sets at which age a derived key is followed by a new one, from an hour on; `None`: by hand only. Default: 30 days.
    pub fn with_derived_rotation(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.derived_rotation = age.into();
        self
    }

    /// Sets at which age the master key is followed by a new one, from a day on; `None`: by hand only. Default: 365 days.
    ///
    /// Only where the provider says how old its key is, and can make one.
    pub fn with_master_rotation(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.master_rotation = age.into();
        self
    }

    /// Says how long an entry can live at most, up to ten years: after that and some slack, a key that was followed by
    /// another retires by itself. Default: unknown, and keys retire by hand only.
    ///
    /// What lives longer is lost when its key retires.
    pub fn with_max_entry_ttl(mut self, ttl: Duration) -> Self {
        self.max_entry_ttl = Some(ttl);
        self
    }

    /// Sets how many lines are kept at hand, 16 to 1,048,576: one for each tenant and class, and one for each tenant's
    /// names. Those used longest ago go first. Default: 10,000.
    pub fn with_max_lines(mut self, lines: usize) -> Self {
        self.max_lines = lines;
        self
    }

    /// Makes a key for each tenant's blind names. Default: none are made.
    pub fn with_blind_names(mut self) -> Self {
        self.blind_names = true;
        self
    }

    /// Says whether opening fails without branch keys. If not, they come later, and nothing is sealed or opened until
    /// then. Default: it does.
    pub fn with_keys_at_start(mut self, required: bool) -> Self {
        self.keys_at_start = required;
        self
    }

    /// Accepts branch records only if this branch key is in them and vouches for them.
    ///
    /// A vault that wraps with a public key does so for everybody. A node that has keys refuses what they do not vouch for;
    /// one that starts, or whose keys expired, has none, and this is how it tells. Default: the first record is trusted.
    pub fn with_pinned_branch(mut self, id: KeyId) -> Self {
        self.pin = Some(id);
        self
    }

    /// Gives a keyspace's entries the keys of a class. Default: all keyspaces share those of `default`.
    ///
    /// All nodes of an environment need the same, and a keyspace that moves to another class is missed anew.
    pub fn with_class(mut self, keyspace: KeyspaceName, class: KeyClass) -> Self {
        self.classes.push((keyspace, class));
        self
    }

    /// Lets tenants bring vaults of their own: [`TenantVaults`] says which. Default: none does.
    ///
    /// Such a tenant's keys are under a branch key of its own, which its vault wraps, and seal with suites that commit to
    /// the key. Its vault is called when the tenant is first met and in the background, as the keyring's own. While it cannot be had and no
    /// keys are at hand, or while nobody can say whose it is, the tenant has no keys: it never gets those of another vault. A tenant that comes
    /// with a vault, or with another one, begins with new keys; what was sealed before is missed.
    ///
    /// All nodes of an environment need the same.
    pub fn with_tenant_vaults(mut self, vaults: impl TenantVaults) -> Self {
        self.tenant_vaults = Some(Arc::new(vaults));
        self
    }

    /// Sets for how many tenants with a vault of their own keys are kept at hand, 16 to 65,536, about 6 KiB each. Those met
    /// longest ago go first, and cost a call to their vault when they come again. Default: 1,000.
    pub fn with_max_tenant_vaults(mut self, tenants: usize) -> Self {
        self.max_tenant_vaults = tenants;
        self
    }

    /// Sets what this process is called where it confirms that it has let go of keys, such as the name of its pod: 1 to
    /// 32 bytes of `[A-Za-z0-9._-]`. A number of its own is added. Default: `node`.
    pub fn with_node(mut self, label: impl Into<String>) -> Self {
        self.node = label.into();
        self
    }

    /// Checks the settings and reads the branch keys: a call to the provider for each, and makes the first one if the
    /// environment has none. Needs a tokio runtime.
    ///
    /// Errors: [`Invalid`](memstache_core::ErrorKind::Invalid) for a setting, those of the store and of the provider,
    /// [`NotFound`](memstache_core::ErrorKind::NotFound) while the provider has no master key: the first one is made by
    /// [`KeyProvider::rotate`], once, or by
    /// [`generate_master_key`](super::KeyManagement::generate_master_key). [`Rejected`](memstache_core::ErrorKind::Rejected) for a branch record that is damaged,
    /// was not vouched for or was wrapped by another master key, and where there is none although tenants have keys.
    ///
    /// # Cancellation
    /// What was begun may be done; opening again finds it.
    pub async fn open(self) -> Result<Keyring> {
        let required = self.keys_at_start;
        let keyring = Keyring(Arc::new(self.build()?));
        match keyring.0.refresh_branches().await {
            Err(error) if required => Err(error),
            Err(_) => {
                keyring.0.nudge.notify_one();
                Ok(keyring)
            }
            Ok(()) => Ok(keyring),
        }
    }

    fn build(self) -> Result<Inner> {
        let mut settings = Settings {
            environment: self.check()?,
            refresh: self.refresh,
            max_age: self.max_age,
            max_stale: self.max_stale,
            derived_rotation: self.derived_rotation,
            master_rotation: self.master_rotation,
            max_entry_ttl: self.max_entry_ttl,
            blind_names: self.blind_names,
            classes: HashMap::default(),
            default_class: KeyClass::default(),
        };
        for (keyspace, class) in self.classes {
            settings.map_class(&keyspace, class);
        }
        let now = self.clock.now().as_millis();
        let others = self.max_lines;
        let vaults = self.tenant_vaults.map(|source| Vaults::new(source, self.max_tenant_vaults, others));
        let node = Node::new(&self.node, &*self.random)?;
        Ok(Inner {
            settings,
            records: Arc::new(Patient::new(self.records, Arc::clone(&self.clock))),
            vault: Vault::new(self.provider, Arc::clone(&self.clock)),
            clock: self.clock,
            random: self.random,
            pin: self.pin,
            branches: ArcSwapOption::empty(),
            branch_flights: Coalesce::new(),
            data: Table::new(self.max_lines),
            names: Table::new(self.max_lines),
            wanted: Mutex::default(),
            master_seen: AtomicU64::new(now),
            nudge: Arc::new(Notify::new()),
            counters: Counters::default(),
            only: None,
            vaults,
            node: Some(node),
        })
    }

    /// Returns the environment, or everything that is wrong.
    fn check(&self) -> Result<Environment> {
        let mut wrong = Vec::new();
        let environment = Environment::new(&self.environment).map_err(|error| wrong.push(error));
        let mut within = |field: &str, given: Option<Duration>, least: Duration, most: Duration| {
            if let Some(given) = given.filter(|given| !(least..=most).contains(given)) {
                wrong.push(Error::invalid(field, format_args!("{least:?} to {most:?}"), format_args!("{given:?}")));
            }
        };
        within("refresh", Some(self.refresh), Duration::from_secs(1), HOUR);
        within("max_age", Some(self.max_age), self.refresh.saturating_mul(2).min(DAY), DAY);
        within("max_stale", Some(self.max_stale), Duration::ZERO, 7 * DAY);
        within("derived_rotation", self.derived_rotation, HOUR, MAX_TTL);
        within("master_rotation", self.master_rotation, DAY, MAX_TTL);
        within("max_entry_ttl", self.max_entry_ttl, Duration::from_millis(1), MAX_TTL);
        if !(16..=MOST_LINES).contains(&self.max_lines) {
            wrong.push(Error::invalid("max_lines", format_args!("16 to {MOST_LINES}"), self.max_lines));
        }
        if !(16..=MOST_VAULTS).contains(&self.max_tenant_vaults) {
            let limit = format_args!("16 to {MOST_VAULTS}");
            wrong.push(Error::invalid("max_tenant_vaults", limit, self.max_tenant_vaults));
        }
        wrong.extend(label("node", &self.node).err());
        match (environment, wrong.as_slice()) {
            (Ok(environment), []) => Ok(environment),
            (_, [one]) => Err(one.clone()),
            (_, many) => {
                let lines: Vec<_> = many.iter().map(ToString::to_string).collect();
                Err(Error::new(memstache_core::ErrorKind::Invalid, lines.join("; ")))
            }
        }
    }
}

impl fmt::Debug for KeyringBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("KeyringBuilder");
        out.field("refresh", &self.refresh).field("max_age", &self.max_age).field("max_stale", &self.max_stale);
        out.finish_non_exhaustive()
    }
}
