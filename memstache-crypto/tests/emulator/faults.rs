//! Faults on purpose, and what is counted.

use std::{sync::Arc, time::Duration};

use memstache_core::testing::ManualClock;
use memstache_crypto::emulator::{Faults, Operation};

use crate::client::{Client, builder, start};

#[tokio::test]
async fn failures_and_refusals_come_as_they_are_set() {
    let client = start().await;
    client.set("n", "v").await;
    client.0.set_faults(Faults::default().with_fail_rate(1.0).unwrap());
    assert_eq!(client.get("/secrets/n").await.error(), (500, "InternalServerError", None));
    client.0.set_faults(Faults::default().with_forbidden());
    assert_eq!(client.get("/secrets/n").await.error(), (403, "Forbidden", Some("ForbiddenByRbac")));
    client.0.set_faults(Faults::default());
    assert_eq!(client.get("/secrets/n").await.ok()["value"], "v");
    let calls = client.0.calls();
    assert_eq!((calls.total(), calls.faulted(), calls.of(Operation::GetSecret)), (4, 2, 1));
    assert_eq!((calls.of(Operation::SetSecret), calls.of(Operation::WrapKey), calls.challenged()), (1, 0, 0));
}

#[tokio::test]
async fn about_the_share_that_is_asked_for_fails() {
    let client = start().await;
    client.0.set_faults(Faults::default().with_fail_rate(0.5).unwrap());
    let mut failed = 0;
    for _ in 0..200 {
        failed += u32::from(client.get("/secrets").await.status == 500);
    }
    assert!((50..=150).contains(&failed), "{failed} of 200");
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_when_to_come_again() {
    let clock = Arc::new(ManualClock::new());
    let faults = Faults::default().with_throttle(2);
    let client = Client(builder().clock(Arc::clone(&clock) as _).faults(faults).start().await.unwrap());
    assert_eq!([client.get("/secrets").await.status, client.get("/secrets").await.status], [200, 200]);
    let throttled = client.get("/secrets").await;
    assert_eq!(throttled.error(), (429, "Throttled", None));
    assert_eq!(throttled.headers["retry-after"], "1");
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.get("/secrets").await.status, 200);
    client.0.set_faults(Faults::default().with_throttle(0));
    assert_eq!(client.get("/secrets").await.status, 429);
}

#[tokio::test]
async fn answers_are_held_back_by_the_clock() {
    let clock = Arc::new(ManualClock::new());
    let faults = Faults::default().with_latency(Duration::from_secs(60)).unwrap();
    let client = Arc::new(Client(builder().clock(Arc::clone(&clock) as _).faults(faults).start().await.unwrap()));
    let call = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.get("/secrets").await.status }
    });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished());
    clock.advance(Duration::from_secs(60));
    assert_eq!(call.await.unwrap(), 200);
}

#[tokio::test]
async fn the_vaults_clock_may_be_wrong() {
    let clock = Arc::new(ManualClock::new());
    let client = Client(builder().clock(Arc::clone(&clock) as _).start().await.unwrap());
    let created = async || client.set("n", "v").await["attributes"]["created"].as_i64().unwrap();
    let right = created().await;
    for skew in [-300, 86_400] {
        client.0.set_faults(Faults::default().with_clock_skew(skew).unwrap());
        assert_eq!(created().await, right + skew);
    }
}

#[test]
fn faults_out_of_their_limits_are_refused() {
    let told = [
        Faults::default().with_fail_rate(1.01).map(drop),
        Faults::default().with_fail_rate(f64::NAN).map(drop),
        Faults::default().with_latency(Duration::from_secs(601)).map(drop),
        Faults::default().with_clock_skew(i64::MIN).map(drop),
    ]
    .map(|refused| refused.unwrap_err().to_string());
    assert!(told[0].contains("fail rate must be 0 to 1, but 1.01 was given"), "{told:?}");
    assert!(told[2].contains("latency must be at most 600 s"), "{told:?}");
    assert!(told[3].contains("clock skew must be at most"), "{told:?}");
}
