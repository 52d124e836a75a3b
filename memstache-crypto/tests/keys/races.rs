//! Answers that come late: of the record store, and of the vault.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::{
    BoxFuture, Expected, MemoryRecords, Record, RecordKey, RecordPrefix, RecordStore, RecordStream, Result, TenantId,
    TenantKeys,
};
use memstache_crypto::{
    DataKeys, KeyFailure, KeyId, KeyLookup, KeyManagement, KeyOwner, KeyProvider, Keyring, MasterVersion,
    ProviderError, ProviderErrorKind, Secret, Shredder, StaticProvider, WrappedKey,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::kit::{World, opening, sealing, space, yield_often};

/// Records whose next answers can be held back, after the store did what it was asked for.
#[derive(Debug)]
pub(crate) struct Late {
    inner: Arc<MemoryRecords>,
    reads: Mutex<VecDeque<Held>>,
    writes: Mutex<VecDeque<Held>>,
}

/// What the key ends with, and what the answer waits for.
type Held = (&'static str, oneshot::Receiver<()>);

impl Late {
    pub(crate) fn over(world: &World) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(&world.records), reads: Mutex::default(), writes: Mutex::default() })
    }

    /// Holds the answer to the next read of such a key back, until the sender is used or dropped.
    pub(crate) fn hold(&self, end: &'static str) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        self.reads.lock().push_back((end, receiver));
        sender
    }

    fn hold_write(&self, end: &'static str) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        self.writes.lock().push_back((end, receiver));
        sender
    }

    /// Waits until somebody waits for everything that is held back.
    pub(crate) async fn all_held(&self) {
        while !(self.reads.lock().is_empty() && self.writes.lock().is_empty()) {
            tokio::task::yield_now().await;
        }
    }
}

async fn wait(held: &Mutex<VecDeque<Held>>, key: &RecordKey) {
    let first = {
        let mut held = held.lock();
        let is_next = held.front().is_some_and(|(end, _)| key.as_str().ends_with(end));
        if is_next { held.pop_front() } else { None }
    };
    if let Some((_, first)) = first {
        first.await.ok();
    }
}

impl RecordStore for Late {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        Box::pin(async move {
            let answer = self.inner.get(key).await;
            wait(&self.reads, key).await;
            answer
        })
    }
    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let answer = self.inner.put(key, value, expected).await;
            wait(&self.writes, key).await;
            answer
        })
    }
    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        self.inner.remove(key, expected)
    }
    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        self.inner.list(prefix)
    }
    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        self.inner.watch(prefix)
    }
}

pub(crate) async fn node_over(world: &World, records: &Arc<Late>) -> Keyring {
    world.builder_over(Arc::clone(records) as Arc<dyn RecordStore>).open().await.unwrap()
}

/// Lets a node look an unknown id up, whose answer is held back.
async fn begin_to_look(node: &Keyring, records: &Late) -> oneshot::Sender<()> {
    let release = records.hold("/data/default");
    let node = node.clone();
    tokio::spawn(async move { opening(&node, &space("acme", "products"), KeyId::from_bytes([9; 16])).await });
    records.all_held().await;
    release
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

#[tokio::test]
async fn a_read_that_began_before_a_shredding_does_not_keep_the_keys() {
    let world = World::new();
    let records = Late::over(&world);
    let node = node_over(&world, &records).await;
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    let release = begin_to_look(&node, &records).await;
    let shredder = Shredder::new(node.clone());
    let shredding = tokio::spawn(async move { shredder.shred(&acme()).await });
    yield_often().await;
    release.send(()).unwrap();
    let receipt = shredding.await.unwrap().unwrap();
    assert_eq!(receipt.keys, [*id.as_bytes()]);
    assert_eq!(opening(&node, &space, id).await, Err(KeyFailure::Revoked));
}

#[tokio::test]
async fn an_event_of_a_revocation_is_not_answered_by_a_read_that_began_before() {
    let world = World::new();
    let records = Late::over(&world);
    let (node, other) = (node_over(&world, &records).await, world.node().await);
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    let task = node.run();
    yield_often().await;
    let release = begin_to_look(&node, &records).await;
    assert!(other.revoke(&KeyOwner::tenant(acme()), id).await.unwrap());
    yield_often().await;
    release.send(()).unwrap();
    yield_often().await;
    assert_eq!(opening(&node, &space, id).await, Err(KeyFailure::Revoked), "without waiting for the next refresh");
    drop(task);
}

#[tokio::test]
async fn a_key_that_was_being_made_while_the_master_key_was_disabled_is_not_kept() {
    let world = World::new();
    let records = Late::over(&world);
    let over = Arc::clone(&records) as Arc<dyn RecordStore>;
    let short = world.builder_over(over).with_refresh(Duration::from_secs(1)).with_max_age(Duration::from_secs(12));
    let node = short.open().await.unwrap();
    let space = space("acme", "products");
    let release = records.hold_write("/data/default");
    let made = {
        let (node, space) = (node.clone(), space.clone());
        tokio::spawn(async move { sealing(&node, &space).await })
    };
    records.all_held().await;
    world.vault.fail(ProviderError::new(ProviderErrorKind::Disabled, "disabled"));
    world.clock.advance(Duration::from_secs(5));
    node.refresh().await.unwrap_err();
    release.send(()).unwrap();
    let made = made.await.unwrap();
    assert!(matches!(made, Err(KeyFailure::Unavailable { .. })), "{made:?}");
    assert!(matches!(sealing(&node, &space).await, Err(KeyFailure::Unavailable { .. })));
    assert_eq!(node.stats().lines, 0);
}

#[tokio::test]
async fn a_record_store_that_never_answers_is_given_up_and_asked_again() {
    let world = World::new();
    let records = Late::over(&world);
    let node = node_over(&world, &records).await;
    let space = space("acme", "products");
    let never = (records.hold("/data/default"), records.hold("/data/default"));
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let (node, space) = (node.clone(), space.clone());
            tokio::spawn(async move { sealing(&node, &space).await })
        })
        .collect();
    yield_often().await;
    assert!(asked.iter().all(|asked| !asked.is_finished()));
    world.clock.advance(Duration::from_secs(20));
    for asked in asked {
        let answer = asked.await.unwrap();
        assert!(matches!(answer, Err(KeyFailure::Unavailable { .. })), "{answer:?}");
    }
    drop(never.1);
    sealing(&node, &space).await.unwrap();
    drop(never.0);

    // A refresh does not hang either, nor does what was at hand suffer.
    let never = records.hold("/branch");
    let refreshed = {
        let node = node.clone();
        tokio::spawn(async move { node.refresh().await })
    };
    records.all_held().await;
    world.clock.advance(Duration::from_secs(20));
    let error = refreshed.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the record store did not answer in 20 seconds");
    assert!(matches!(node.sealing(&space), KeyLookup::Ready(_)));
    drop(never);
    node.refresh().await.unwrap();
}

/// A vault that wraps something else than it is given, or says so of another master key or provider.
#[derive(Debug)]
struct Wrong {
    inner: StaticProvider,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    AnotherKey,
    Nothing,
    AnotherProvider,
    Right,
}

#[async_trait]
impl KeyProvider for Wrong {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        self.inner.current().await
    }
    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        match self.how {
            How::Right => self.inner.wrap(master, key, aad).await,
            How::AnotherKey => self.inner.wrap(master, &Secret::from_bytes([3; 32]), aad).await,
            How::Nothing => WrappedKey::new(self.id(), master, Bytes::from_static(b"nothing")),
            How::AnotherProvider => {
                WrappedKey::new("another", master, self.inner.wrap(master, key, aad).await?.bytes().to_vec().into())
            }
        }
    }
    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        self.inner.unwrap(wrapped, aad).await
    }
    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        self.inner.rotate().await
    }
}

#[tokio::test]
async fn what_a_vault_wrapped_wrongly_is_never_relied_upon() {
    for how in [How::AnotherKey, How::Nothing, How::AnotherProvider] {
        let world = World::new();
        let inner = StaticProvider::dangerous_from_secrets([Secret::from_bytes([1; 32])]).unwrap();
        let open = |how| {
            let provider = Arc::new(Wrong { inner: inner.clone(), how });
            let records = Arc::clone(&world.records) as Arc<dyn RecordStore>;
            Keyring::builder("test", records, provider).with_clock(Arc::new(world.clock.clone())).open()
        };
        let error = open(how).await.unwrap_err();
        assert!(!error.to_string().is_empty());
        assert_eq!(world.keys().await, [], "{how:?}: no environment begins with a key that is lost at the restart");

        let space = space("acme", "products");
        let id = sealing(&open(How::Right).await.unwrap(), &space).await.unwrap();
        let node = open(how).await.unwrap();
        node.rotate_master_key(None).await.unwrap_err();
        node.rotate_branch().await.unwrap_err();
        assert_eq!(opening(&open(How::Right).await.unwrap(), &space, id).await, Ok(id), "{how:?}");
    }
}

#[tokio::test]
async fn names_are_not_kept_of_a_tenant_that_was_shredded_during_a_read() {
    let world = World::new();
    let records = Late::over(&world);
    let builder = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).with_blind_names();
    let node = builder.open().await.unwrap();
    let space = space("acme", "products");
    node.prepare(&space).await.unwrap();
    let release = begin_to_look(&node, &records).await;
    let shredder = Shredder::new(node.clone());
    let shredding = tokio::spawn(async move { shredder.shred(&acme()).await });
    yield_often().await;
    release.send(()).unwrap();
    shredding.await.unwrap().unwrap();
    assert!(node.naming(&space).is_none());
}
