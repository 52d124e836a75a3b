//! A vault that is down, slow, throttled, forbidden, or whose key is disabled.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use memstache_core::testing::ManualClock;
use memstache_crypto::{
    KeyProvider as _, ProviderErrorKind,
    emulator::{Emulator, Faults},
};

use crate::kit::{emulator, every_call, failing, kind, providers, send, vault};

#[tokio::test]
async fn a_vault_that_is_down_is_unavailable_at_once() {
    let emulator = emulator().await;
    let vault = vault(&emulator);
    let providers = providers(&vault).await;
    emulator.shutdown().await;
    #[allow(clippy::disallowed_methods, reason = "the SDK's own waiting is what is measured")]
    let began = Instant::now();
    for (provider, version, wrapped) in &providers {
        for result in every_call(&**provider, version, wrapped).await {
            assert_eq!(kind(result), ProviderErrorKind::Unavailable);
        }
    }
    // Six calls that are repeated twice, 200 and 400 ms later, and two that are not: the SDK alone would take minutes.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_vault_that_fails_by_itself_is_asked_again_and_never_twice_for_a_change() {
    let emulator = emulator().await;
    let vault = vault(&emulator).retries(1);
    let providers = providers(&vault).await;
    emulator.set_faults(failing());
    for ((provider, version, wrapped), secrets) in providers.iter().zip([false, true]) {
        let before = emulator.calls().faulted();
        let results = every_call(&**provider, version, wrapped).await;
        assert!(results.into_iter().all(|result| kind(result) == ProviderErrorKind::Unavailable), "{secrets}");
        assert_eq!(emulator.calls().faulted() - before, 2 + 2 + 2 + 1, "{secrets}");
    }
    emulator.set_faults(Faults::default());
    assert_eq!(providers[0].0.unwrap(&providers[0].2, b"aad").await.unwrap(), crate::kit::key(), "it is back");
}

#[tokio::test]
async fn a_slow_vault_is_given_up_in_time() {
    let emulator = emulator().await;
    let providers = providers(&vault(&emulator)).await;
    emulator.set_faults(Faults::default().with_latency(Duration::from_secs(600)).unwrap());
    let clock = ManualClock::new();
    let slow = vault(&emulator).timeout(Duration::from_secs(7)).clock(Arc::new(clock.clone())).keys("master").unwrap();
    let asked = tokio::spawn(async move { slow.current().await });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_millis(6999));
    tokio::task::yield_now().await;
    assert!(!asked.is_finished());
    clock.advance(Duration::from_millis(1));
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unavailable);
    assert!(error.to_string().ends_with("the vault did not answer in time"), "{error}");
    assert_eq!(providers.len(), 2);
}

#[tokio::test]
async fn a_throttled_caller_is_told_when_to_come_again_and_does_not_come_before() {
    let emulator = emulator().await;
    let providers = providers(&vault(&emulator)).await;
    emulator.set_faults(Faults::default().with_throttle(0));
    for (provider, version, wrapped) in &providers {
        let before = emulator.calls().total();
        for result in every_call(&**provider, version, wrapped).await {
            let error = result.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry_after()),
                (ProviderErrorKind::Throttled, Some(Duration::from_secs(1)))
            );
        }
        assert_eq!(emulator.calls().total() - before, 4, "no repetition");
    }
}

#[tokio::test]
async fn a_caller_without_permissions_is_forbidden() {
    let emulator = emulator().await;
    let providers = providers(&vault(&emulator)).await;
    emulator.set_faults(Faults::default().with_forbidden());
    for (provider, version, wrapped) in &providers {
        for result in every_call(&**provider, version, wrapped).await {
            assert_eq!(kind(result), ProviderErrorKind::Forbidden);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_forbidden() {
    let emulator = Emulator::builder().address(([127, 0, 0, 1], 0).into()).token("another").start().await.unwrap();
    let keys = vault(&emulator).keys("master").unwrap();
    assert_eq!(kind(keys.current().await), ProviderErrorKind::Forbidden);
}

#[tokio::test]
async fn a_master_key_that_is_disabled_says_so() {
    let emulator = emulator().await;
    let providers = providers(&vault(&emulator)).await;
    for path in ["/keys/master/", "/secrets/master/"] {
        send(&emulator, "PATCH", path, r#"{"attributes":{"enabled":false}}"#).await;
    }
    for (provider, version, wrapped) in &providers {
        assert_eq!(kind(provider.current().await), ProviderErrorKind::Disabled);
        assert_eq!(kind(provider.wrap(version, &crate::kit::key(), b"aad").await), ProviderErrorKind::Disabled);
        assert_eq!(kind(provider.unwrap(wrapped, b"aad").await), ProviderErrorKind::Disabled);
    }
}

#[tokio::test]
async fn a_master_key_that_is_deleted_is_not_found() {
    let emulator = emulator().await;
    let providers = providers(&vault(&emulator)).await;
    for path in ["/keys/master", "/secrets/master"] {
        send(&emulator, "DELETE", path, "").await;
    }
    for (provider, version, wrapped) in &providers {
        for result in every_call(&**provider, version, wrapped).await {
            assert_eq!(kind(result), ProviderErrorKind::NotFound);
        }
    }
}
