//! The table of what happens when the vault, or the record store, is not there.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{
    BoxFuture, Error, ErrorKind, Expected, MemoryRecords, Record, RecordKey, RecordPrefix, RecordStore, RecordStream,
    Result, Space,
};
use memstache_crypto::{DataKeys, KeyFailure, KeyId, Keyring, ProviderError, ProviderErrorKind};
use parking_lot::Mutex;

use crate::kit::{DAY, HOUR, MINUTE, World, is_ready, opening, sealing, space, yield_often};

fn down(kind: ProviderErrorKind) -> ProviderError {
    ProviderError::new(kind, "a test")
}

/// Refreshes as the background does, whatever comes of it.
async fn pass_while_broken(world: &World, span: Duration, node: &Keyring) {
    for _ in 0..span.as_secs() / (5 * MINUTE).as_secs() {
        world.clock.advance(5 * MINUTE);
        let _ = node.refresh().await;
    }
}

#[tokio::test]
async fn vault_down_and_key_at_hand_is_business_as_usual_for_a_day() {
    for kind in [ProviderErrorKind::Unavailable, ProviderErrorKind::Forbidden, ProviderErrorKind::Throttled] {
        let world = World::new();
        let node = world.node().await;
        let space = space("acme", "products");
        let id = sealing(&node, &space).await.unwrap();
        world.vault.fail(down(kind));
        pass_while_broken(&world, DAY - 5 * MINUTE, &node).await;
        assert!(is_ready(&node.sealing(&space)) && is_ready(&node.opening(&space, id)), "{kind:?}");
        let fresh = sealing(&node, &crate::kit::space("globex", "products")).await;
        assert!(fresh.is_ok(), "a new tenant needs no vault");

        pass_while_broken(&world, 10 * MINUTE, &node).await;
        let failed = sealing(&node, &space).await.unwrap_err();
        assert!(matches!(failed, KeyFailure::Unavailable { .. }), "then it is over: {failed:?}");
        assert!(matches!(opening(&node, &space, id).await, Err(KeyFailure::Unavailable { .. })));

        world.vault.fail(None);
        world.clock.advance(MINUTE);
        node.refresh().await.unwrap();
        assert_eq!(opening(&node, &space, id).await, Ok(id), "and back when the vault is");
    }
}

#[tokio::test]
async fn strict_keys_are_used_for_their_age_and_no_longer() {
    let world = World::new();
    let node = world.builder().with_max_stale(Duration::ZERO).open().await.unwrap();
    let space = space("acme", "products");
    sealing(&node, &space).await.unwrap();
    world.vault.fail(down(ProviderErrorKind::Unavailable));
    pass_while_broken(&world, 55 * MINUTE, &node).await;
    assert!(is_ready(&node.sealing(&space)));
    pass_while_broken(&world, 10 * MINUTE, &node).await;
    assert!(sealing(&node, &space).await.is_err());
}

#[tokio::test]
async fn strict_keys_never_run_out_while_the_vault_is_there() {
    for max_age in [10 * MINUTE, HOUR] {
        let world = World::new();
        let builder = world.builder().with_max_stale(Duration::ZERO).with_max_age(max_age);
        let node = builder.open().await.unwrap();
        let space = space("acme", "products");
        sealing(&node, &space).await.unwrap();
        for _ in 0..3 * 12 {
            world.clock.advance(5 * MINUTE);
            assert!(is_ready(&node.sealing(&space)), "also before the refresh");
            node.refresh().await.unwrap();
        }
        let hourly = world.vault.calls();
        assert!((4..=80).contains(&hourly), "{hourly} calls in three hours");
    }
}

#[tokio::test]
async fn vault_down_and_key_unknown_is_unavailable_at_once_and_calls_nothing() {
    let world = World::new();
    world.vault.fail(down(ProviderErrorKind::Unavailable));
    let error = world.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "keys are required at the start, unless told otherwise");
    let node = world.builder().with_keys_at_start(false).open().await.unwrap();
    let calls = world.vault.calls();
    let space = space("acme", "products");
    for _ in 0..100 {
        let failed = sealing(&node, &space).await.unwrap_err();
        assert!(matches!(failed, KeyFailure::Unavailable { retry_after: Some(_) }), "{failed:?}");
        opening(&node, &space, KeyId::from_bytes([1; 16])).await.unwrap_err();
    }
    assert_eq!(world.vault.calls(), calls, "no request calls the vault");

    world.vault.fail(None);
    world.clock.advance(MINUTE);
    let task = node.run();
    while sealing(&node, &space).await.is_err() {
        tokio::task::yield_now().await;
    }
    drop(task);
}

#[tokio::test]
async fn a_vault_that_refuses_or_throttles_is_not_stormed() {
    for (kind, asked, most) in [
        (ProviderErrorKind::Unavailable, None, 70),
        (ProviderErrorKind::Throttled, Some(10 * MINUTE), 6),
        (ProviderErrorKind::Forbidden, None, 61),
    ] {
        let world = World::new();
        let node = world.node().await;
        let space = space("acme", "products");
        sealing(&node, &space).await.unwrap();
        let error = down(kind);
        world.vault.fail(asked.map_or_else(|| error.clone(), |asked| error.clone().with_retry_after(asked)));
        world.clock.advance(HOUR);
        let before = world.vault.calls();
        // A refresh each second, for an hour.
        for _ in 0..3_600 {
            world.clock.advance(Duration::from_secs(1));
            node.refresh().await.unwrap_err();
            sealing(&node, &space).await.unwrap();
        }
        let calls = world.vault.calls() - before;
        assert!((2..=most).contains(&calls), "{kind:?}: {calls} calls");
    }
}

#[tokio::test]
async fn a_disabled_master_key_takes_all_keys_away_at_the_next_look() {
    let world = World::new();
    let node = world.node().await;
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    world.vault.fail(down(ProviderErrorKind::Disabled));
    pass_while_broken(&world, 65 * MINUTE, &node).await;
    assert!(matches!(sealing(&node, &space).await, Err(KeyFailure::Unavailable { .. })));
    assert!(matches!(opening(&node, &space, id).await, Err(KeyFailure::Unavailable { .. })));

    world.vault.fail(None);
    world.clock.advance(MINUTE);
    node.refresh().await.unwrap();
    assert_eq!(opening(&node, &space, id).await, Ok(id), "and gives them back when it is enabled");
}

/// A record store that is not there when it is told so.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    inner: Arc<MemoryRecords>,
    broken: Mutex<bool>,
    /// Calls of any kind, the failed ones too.
    pub(crate) reads: Mutex<usize>,
}

impl Flaky {
    fn check(&self) -> Result<()> {
        *self.reads.lock() += 1;
        if *self.broken.lock() { Err(Error::new(ErrorKind::Unavailable, "the store is gone")) } else { Ok(()) }
    }
}

impl RecordStore for Flaky {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        Box::pin(async move {
            self.check()?;
            self.inner.get(key).await
        })
    }
    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            self.check()?;
            self.inner.put(key, value, expected).await
        })
    }
    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            self.check()?;
            self.inner.remove(key, expected).await
        })
    }
    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        Box::pin(async move {
            self.check()?;
            self.inner.list(prefix).await
        })
    }
    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        Box::pin(async move {
            self.check()?;
            self.inner.watch(prefix).await
        })
    }
}

#[tokio::test]
async fn record_store_down_and_key_at_hand_is_business_as_usual_for_a_day() {
    let world = World::new();
    let records = Arc::new(Flaky::default());
    let node = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    *records.broken.lock() = true;
    pass_while_broken(&world, DAY - 5 * MINUTE, &node).await;
    assert!(is_ready(&node.sealing(&space)) && is_ready(&node.opening(&space, id)));
    let failed = sealing(&node, &crate::kit::space("globex", "products")).await;
    assert!(matches!(failed, Err(KeyFailure::Unavailable { .. })), "a new tenant has to wait");
    pass_while_broken(&world, 10 * MINUTE, &node).await;
    assert!(sealing(&node, &space).await.is_err());
    *records.broken.lock() = false;
    world.clock.advance(MINUTE);
    node.refresh().await.unwrap();
    assert_eq!(opening(&node, &space, id).await, Ok(id));
}

#[tokio::test]
async fn made_up_key_ids_cost_few_reads() {
    let world = World::new();
    let records = Arc::new(Flaky::default());
    let node = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    let space = space("acme", "products");
    sealing(&node, &space).await.unwrap();
    let before = *records.reads.lock();
    for made_up in 0..1_000_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&made_up.to_be_bytes());
        for _ in 0..3 {
            assert_eq!(opening(&node, &space, KeyId::from_bytes(id)).await, Err(KeyFailure::Unknown));
        }
    }
    let reads = *records.reads.lock() - before;
    assert!((1..=16).contains(&reads), "{reads} reads within a second");
    world.clock.advance(Duration::from_secs(1));
    opening(&node, &space, KeyId::from_bytes([0; 16])).await.unwrap_err();
    assert_eq!(*records.reads.lock() - before, reads + 1, "after a second it is looked up again");
}

/// How a node is asked for a key.
type Asks = fn(&Keyring, &Space, KeyId);

/// Lets keys expire while something is broken, and returns after how long a node has them again that is asked every tenth
/// of a second.
async fn comes_back(world: &World, breaks: impl Fn(&Flaky, bool), asks: Asks) -> Duration {
    let records = Arc::new(Flaky::default());
    let node = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    let task = node.run();
    breaks(&records, true);
    for _ in 0..26 {
        world.clock.advance(HOUR);
        yield_often().await;
    }
    assert!(sealing(&node, &space).await.is_err() && opening(&node, &space, id).await.is_err(), "too old");
    breaks(&records, false);
    let mut took = Duration::ZERO;
    while !is_ready(&node.opening(&space, id)) {
        assert!(took < HOUR, "it never comes back");
        asks(&node, &space, id);
        yield_often().await;
        world.clock.advance(Duration::from_millis(100));
        took += Duration::from_millis(100);
        yield_often().await;
    }
    assert!(is_ready(&node.sealing(&space)));
    drop(task);
    took
}

const SEALS: Asks = |node, space, _| drop(node.sealing(space));
const OPENS: Asks = |node, space, id| drop(node.opening(space, id));

#[tokio::test]
async fn keys_that_expired_are_back_at_once_when_the_records_are() {
    for asks in [SEALS, OPENS] {
        let took = comes_back(&World::new(), |records, broken| *records.broken.lock() = broken, asks).await;
        assert!(took <= Duration::from_millis(500), "{took:?}");
    }
}

#[tokio::test]
async fn keys_that_expired_are_back_within_a_minute_when_the_vault_is() {
    for asks in [SEALS, OPENS] {
        let world = World::new();
        let breaks = |_: &Flaky, broken: bool| world.vault.fail(broken.then(|| down(ProviderErrorKind::Unavailable)));
        let took = comes_back(&world, breaks, asks).await;
        assert!(took <= MINUTE + Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test]
async fn events_and_requests_do_not_put_the_refresh_off() {
    let world = World::new();
    let records = Arc::new(Flaky::default());
    let node = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    sealing(&node, &space("acme", "products")).await.unwrap();
    let task = node.run();
    yield_often().await;
    let other = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    for number in 0..60 {
        // A change somewhere in every minute of an hour.
        sealing(&other, &space(&format!("tenant-{number}"), "products")).await.unwrap();
        world.clock.advance(MINUTE);
        yield_often().await;
    }
    let refreshes = node.stats().refreshes;
    assert!((10..=13).contains(&refreshes), "{refreshes} in an hour");
    drop(task);
    yield_often().await;
    world.clock.advance(HOUR);
    yield_often().await;
    assert_eq!(node.stats().refreshes, refreshes, "the task ended with its handle");
}

#[tokio::test]
async fn requests_that_fail_do_not_make_the_background_read_all_the_time() {
    let world = World::new();
    let records = Arc::new(Flaky::default());
    world.vault.fail(down(ProviderErrorKind::Unavailable));
    let builder = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).with_keys_at_start(false);
    let node = builder.open().await.unwrap();
    let task = node.run();
    yield_often().await;
    let space = space("acme", "products");
    let (reads, calls) = (*records.reads.lock(), world.vault.calls());
    for _ in 0..100 {
        sealing(&node, &space).await.unwrap_err();
        yield_often().await;
    }
    // Requests read nothing, and the background once while time stands.
    assert!(*records.reads.lock() - reads <= 2, "{} reads", *records.reads.lock() - reads);
    assert_eq!(world.vault.calls(), calls);
    drop(task);
}
