//! A keyring whose master key is in the vault: which calls it makes, and what happens without it.

use std::{sync::Arc, time::Duration};

use memstache_core::{Cache, Json, MemoryRecords, MemoryStore, Stack, testing::ManualClock};
use memstache_crypto::{
    KeyManagement as _, Keyring, Seal,
    emulator::{Faults, Operation},
};

use crate::kit::{emulator, failing, vault};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn no_request_calls_the_vault_and_none_fails_without_it() {
    let emulator = emulator().await;
    let clock = ManualClock::new();
    // The calls themselves go by real time.
    let vault = vault(&emulator).retries(0);
    for provider in [
        Arc::new(vault.keys("master").unwrap()) as Arc<dyn memstache_crypto::KeyProvider>,
        Arc::new(vault.secrets("master").unwrap()),
    ] {
        emulator.set_faults(Faults::default());
        provider.rotate().await.unwrap();
        let records = Arc::new(MemoryRecords::new());
        let keyring =
            Keyring::builder("test", records, provider).with_clock(Arc::new(clock.clone())).open().await.unwrap();
        let seal = Seal::builder(keyring.clone()).clock(clock.clone()).build().unwrap();
        let stack = Stack::over(MemoryStore::builder().build().unwrap()).seal(seal.clone()).build();
        let cache = Cache::builder(stack).keyspace("users").format(Json).build().unwrap();
        cache.set("0", "value 0").await.unwrap();

        let before = emulator.calls().total();
        for at in 0..200 {
            cache.set(at.to_string(), &format!("value {at}")).await.unwrap();
            assert_eq!(cache.get::<String>(&at.to_string()).await.unwrap(), Some(format!("value {at}")));
        }
        assert_eq!(emulator.calls().total(), before, "400 requests made no call");

        for faults in [failing(), Faults::default().with_throttle(0), Faults::default().with_forbidden()] {
            emulator.set_faults(faults);
            for _ in 0..13 {
                clock.advance(5 * MINUTE);
                // It may fail: the vault is gone. What is at hand stays.
                keyring.refresh().await.ok();
            }
            let before = emulator.calls().total();
            for at in 0..50 {
                assert_eq!(cache.get::<String>(&at.to_string()).await.unwrap(), Some(format!("value {at}")));
                cache.set(at.to_string(), &format!("value {at}")).await.unwrap();
            }
            assert_eq!(emulator.calls().total(), before, "100 requests made no call");
        }
    }
    assert!(emulator.calls().faulted() > 0, "the vault was asked, in the background");
}

#[tokio::test]
async fn a_second_node_reads_what_the_first_wrote_and_the_master_key_rotates() {
    let emulator = emulator().await;
    let vault = vault(&emulator);
    let (records, store) = (Arc::new(MemoryRecords::new()), MemoryStore::builder().build().unwrap());
    let provider = Arc::new(vault.keys("master").unwrap());
    memstache_crypto::KeyProvider::rotate(&*provider).await.unwrap();
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
