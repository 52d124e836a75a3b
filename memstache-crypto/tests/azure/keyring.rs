//! A keyring whose master key is in the vault: which calls it makes, and what happens without it.

use std::{sync::Arc, time::Duration};

use memstache_core::{Cache, Json, MemoryRecords, MemoryStore, Stack, testing::ManualClock};
use memstache_crypto::{
    AzureKeyVaultBuilder, KeyManagement as _, KeyProvider, Keyring, Seal,
    emulator::{Faults, Operation},
};

use crate::kit::{emulator, failing, vault};

const MINUTE: Duration = Duration::from_secs(60);
/// Longer than any call is given.
const SLOW: Duration = Duration::from_secs(600);

#[tokio::test]
async fn no_request_calls_the_vault_and_none_fails_without_it() {
    for plane in [Plane::Keys, Plane::Secrets] {
        without_the_vault(plane).await;
    }
}

#[derive(Clone, Copy)]
enum Plane {
    Keys,
    Secrets,
}

async fn without_the_vault(plane: Plane) {
    let (emulator, clock) = (emulator().await, ManualClock::new());
    let vault = vault(&emulator).retries(0).clock(Arc::new(clock.clone()));
    let provider: Arc<dyn KeyProvider> = match plane {
        Plane::Keys => Arc::new(vault.keys("master").unwrap()),
        Plane::Secrets => Arc::new(vault.secrets("master").unwrap()),
    };
    provider.rotate().await.unwrap();
    let records = Arc::new(MemoryRecords::new());
    let keyring = Keyring::builder("test", records, provider).with_clock(Arc::new(clock.clone())).open().await.unwrap();
    let seal = Seal::builder(keyring.clone()).clock(clock.clone()).build().unwrap();
    let stack = Stack::over(MemoryStore::builder().build().unwrap()).seal(seal.clone()).build();
    let cache = Cache::builder(stack).keyspace("users").format(Json).build().unwrap();
    cache.set("0", "value 0").await.unwrap();
    let asks = |number: u32| {
        let (cache, keyring) = (&cache, &keyring);
        async move {
            let before = keyring.stats().provider_calls;
            for at in 0..number {
                cache.set(at.to_string(), &format!("value {at}")).await.unwrap();
                assert_eq!(cache.get::<String>(&at.to_string()).await.unwrap(), Some(format!("value {at}")));
            }
            assert_eq!(keyring.stats().provider_calls, before, "{} requests made no call", 2 * number);
        }
    };
    let calls = emulator.calls().total();
    asks(200).await;
    assert_eq!(emulator.calls().total(), calls);

    for faults in [failing(), Faults::default().with_throttle(0), Faults::default().with_forbidden()] {
        emulator.set_faults(faults);
        for _ in 0..13 {
            clock.advance(5 * MINUTE);
            // It may fail: the vault is gone. What is at hand stays.
            keyring.refresh().await.ok();
        }
        let calls = emulator.calls().total();
        asks(50).await;
        assert_eq!(emulator.calls().total(), calls);
    }
    assert!(emulator.calls().faulted() > 0, "the vault was asked, in the background");

    emulator.set_faults(Faults::default().with_latency(SLOW).unwrap());
    clock.advance(5 * MINUTE);
    let (before, refreshing) = (keyring.stats(), keyring.clone());
    let refresh = tokio::spawn(async move { refreshing.refresh().await });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    asks(50).await;
    assert!(!refresh.is_finished(), "the vault has not answered");
    clock.advance(AzureKeyVaultBuilder::MAX_TIMEOUT);
    refresh.await.unwrap().unwrap_err();
    asks(50).await;
    let slow = keyring.stats();
    assert!(slow.failed_provider_calls > before.failed_provider_calls, "it was given up");

    emulator.shutdown().await;
    clock.advance(5 * MINUTE);
    keyring.refresh().await.unwrap_err();
    asks(50).await;
    assert!(keyring.stats().failed_provider_calls > slow.failed_provider_calls, "there is nobody to answer");
}

#[tokio::test]
async fn a_second_node_reads_what_the_first_wrote_and_the_master_key_rotates() {
    let emulator = emulator().await;
    let vault = vault(&emulator);
    let (records, store) = (Arc::new(MemoryRecords::new()), MemoryStore::builder().build().unwrap());
    let provider = Arc::new(vault.keys("master").unwrap());
    provider.rotate().await.unwrap();
    let node = async || {
        let keyring = Keyring::builder("test", records.clone(), provider.clone()).open().await.unwrap();
        let stack = Stack::over(store.clone()).seal(Seal::builder(keyring.clone()).build().unwrap()).build();
        (keyring, Cache::builder(stack).keyspace("users").format(Json).build().unwrap())
    };
    let (keyring, first) = node().await;
    first.set("ada", "Lovelace").await.unwrap();
    let (_, second) = node().await;
    assert_eq!(second.get::<String>("ada").await.unwrap().as_deref(), Some("Lovelace"));

    keyring.rotate_master_key(None).await.unwrap();
    assert_eq!(emulator.calls().of(Operation::RotateKey), 2, "once for the first version, once now");
    let (_, third) = node().await;
    assert_eq!(third.get::<String>("ada").await.unwrap().as_deref(), Some("Lovelace"));
}
