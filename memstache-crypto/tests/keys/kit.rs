//! Keyrings over shared records, a clock that is turned by hand, a vault that counts and fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::{
    KeyspaceName, MemoryRecords, RecordKey, RecordStore, Result, Space, TenantId, testing::ManualClock,
};
use memstache_crypto::{
    DataKey, DataKeys, KeyFailure, KeyId, KeyLookup, KeyProvider, Keyring, KeyringBuilder, MasterVersion,
    ProviderError, Secret, StaticProvider, WrappedKey,
};
use parking_lot::Mutex;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A vault that counts its calls, and fails or hangs when it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    name: &'static str,
    inner: StaticProvider,
    calls: Arc<AtomicUsize>,
    failure: Arc<Mutex<Option<ProviderError>>>,
    hangs: Arc<AtomicBool>,
}

impl Vault {
    pub(crate) fn new() -> Self {
        Self::named("house", 1)
    }

    pub(crate) fn named(name: &'static str, seed: u8) -> Self {
        let inner = StaticProvider::dangerous_from_secrets([Secret::from_bytes([seed; 32])]).unwrap();
        Self { name, inner, calls: Arc::default(), failure: Arc::default(), hangs: Arc::default() }
    }

    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, failure: impl Into<Option<ProviderError>>) {
        *self.failure.lock() = failure.into();
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn call(&self) -> Result<(), ProviderError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.failure.lock().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl KeyProvider for Vault {
    fn id(&self) -> &str {
        self.name
    }
    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        self.call().await?;
        self.inner.current().await
    }
    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        self.call().await?;
        let wrapped = self.inner.wrap(master, key, aad).await?;
        WrappedKey::new(self.name, master, Bytes::copy_from_slice(wrapped.bytes()))
    }
    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        self.call().await?;
        let master = MasterVersion::new(wrapped.version())?;
        let wrapped = WrappedKey::new(self.inner.id(), &master, Bytes::copy_from_slice(wrapped.bytes()))?;
        self.inner.unwrap(&wrapped, aad).await
    }
    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        self.call().await?;
        self.inner.rotate().await
    }
}

/// Nodes of one environment.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) records: Arc<MemoryRecords>,
    pub(crate) vault: Vault,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { clock: ManualClock::new(), records: Arc::new(MemoryRecords::new()), vault: Vault::new() }
    }

    pub(crate) fn builder(&self) -> KeyringBuilder {
        self.builder_over(Arc::clone(&self.records) as Arc<dyn RecordStore>)
    }

    pub(crate) fn builder_over(&self, records: Arc<dyn RecordStore>) -> KeyringBuilder {
        let vault = Arc::new(self.vault.clone());
        Keyring::builder("test", records, vault).with_clock(Arc::new(self.clock.clone()))
    }

    pub(crate) async fn node(&self) -> Keyring {
        self.builder().open().await.unwrap()
    }

    /// Moves time on in steps of a refresh, and lets the nodes refresh.
    pub(crate) async fn pass(&self, span: Duration, nodes: &[&Keyring]) {
        let step = 5 * MINUTE;
        let steps = span.as_secs().div_ceil(step.as_secs());
        for _ in 0..steps {
            self.clock.advance(step);
            for node in nodes {
                node.refresh().await.unwrap();
            }
        }
    }

    /// The places of all key records.
    pub(crate) async fn keys(&self) -> Vec<RecordKey> {
        let all = self.records.list(&memstache_core::RecordPrefix::ALL).await.unwrap().into_iter();
        let is_key = |key: &RecordKey| !key.as_str().contains("/nodes/") && !key.as_str().contains("/shreds/");
        all.map(|(key, _)| key).filter(is_key).collect()
    }
}

pub(crate) fn space(tenant: &str, keyspace: &str) -> Space {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).unwrap())
}

pub(crate) async fn settle(lookup: KeyLookup) -> Result<Arc<DataKey>, KeyFailure> {
    match lookup {
        KeyLookup::Ready(key) => Ok(key),
        KeyLookup::Wait(wait) => wait.await,
        KeyLookup::Failed(failure) => Err(failure),
        _ => unreachable!("no other answers"),
    }
}

pub(crate) async fn sealing(keyring: &Keyring, space: &Space) -> Result<KeyId, KeyFailure> {
    settle(keyring.sealing(space)).await.map(|key| key.id())
}

pub(crate) async fn opening(keyring: &Keyring, space: &Space, id: KeyId) -> Result<KeyId, KeyFailure> {
    settle(keyring.opening(space, id)).await.map(|key| key.id())
}

pub(crate) fn is_ready(lookup: &KeyLookup) -> bool {
    matches!(lookup, KeyLookup::Ready(_))
}

/// Lets the tasks of a runtime with one thread go as far as they can.
pub(crate) async fn yield_often() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
