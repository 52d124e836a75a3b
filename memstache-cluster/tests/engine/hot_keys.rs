//! Which keys are read most.

use memstache_cluster::{Engine, EngineError, HotKey, KeySpace};
use memstache_core::{Address, ErasedService, Get, KeyspaceName, Request, Space, TenantId, testing::ManualClock};

use crate::kit::*;

fn seen(hot: &[HotKey]) -> Vec<(Option<&str>, &str, f64)> {
    hot.iter().map(|hot| (hot.key.tenant(), hot.key.text().unwrap(), hot.hits)).collect()
}

#[tokio::test]
async fn reads_count_whoever_makes_them_and_less_the_longer_ago_they_were() {
    let clock = ManualClock::new();
    let source = Counting::default();
    let builder = Engine::builder().clock(clock.clone()).keyspace(sourced(&source).build().unwrap());
    let engine = builder.keyspace(KeySpace::builder("bare").build().unwrap()).build().unwrap();
    engine.start().await.unwrap();
    let tenant = engine.for_tenant(&TenantId::new("acme").unwrap());
    for keyspace in [KS, "bare"] {
        assert!(engine.hot_keys(keyspace, 10).unwrap().is_empty());
        engine.put(keyspace, "written", "v").await.unwrap();
        for key in ["a", "a", "b"] {
            engine.get(keyspace, key).await.unwrap();
        }
        engine.get_many(keyspace, ["a", "b", "c"]).await.unwrap();
        for _ in 0..4 {
            tenant.get(keyspace, "a").await.unwrap();
        }
        let service = ErasedService::new(engine.service(keyspace).unwrap());
        let address = Address::plain(&Space::new(None, &KeyspaceName::new(keyspace).unwrap()), "a").unwrap();
        service.dispatch(Request::from(Get::one(address))).await.unwrap();
        let hot = engine.hot_keys(keyspace, 3).unwrap();
        assert_eq!(seen(&hot)[..2].iter().map(|seen| (seen.1, seen.2)).collect::<Vec<_>>(), [("a", 4.0), ("a", 4.0)]);
        assert_eq!(seen(&hot)[2], (None, "b", 2.0));
        assert!(hot.iter().any(|hot| hot.key.tenant() == Some("acme")) && hot.iter().all(|hot| hot.copies == 0));
        assert_eq!(engine.hot_keys(keyspace, usize::MAX).unwrap().len(), 4, "what is only written is not read");
    }
    clock.advance(secs(3));
    engine.get(KS, "c").await.unwrap();
    let hot = engine.hot_keys(KS, 10).unwrap();
    assert_eq!(seen(&hot).last(), Some(&(None, "b", 1.0)));
    assert_eq!(seen(&hot)[2], (None, "c", 1.5));
    assert!((hot[2].per_second - 1.5 * 2_f64.ln() / 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn an_update_forgets_no_reads_and_an_unknown_keyspace_has_none() {
    let engine = alone(KeySpace::builder(KS)).await;
    read(&engine, "a").await;
    engine.update_keyspace(KeySpace::builder(KS).max_bytes(1 << 20).build().unwrap()).await.unwrap();
    let hot = engine.hot_keys(KS, 10).unwrap();
    assert_eq!(hot.iter().map(|hot| hot.key.name()).collect::<Vec<_>>(), [b"a"]);
    assert!(!format!("{hot:?}").contains("\"a\""), "no name is shown");
    let error = engine.hot_keys("other", 10).unwrap_err();
    assert_eq!(error.find_source(), Some(&EngineError::KeyspaceNotFound));
}
