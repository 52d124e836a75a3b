//! The number of series depends on what an application builds, not on what it is asked.

use memstache_core::{
    Cache, Json, MemoryStore, Stack, TenantId,
    observe::{ObserveLayer, Registry},
};

fn series(registry: &Registry) -> usize {
    registry.prometheus_text().lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test]
async fn a_hundred_thousand_keys_of_a_thousand_tenants_add_no_series() {
    let registry = Registry::new();
    let recorder = registry.recorder("products").unwrap();
    let store = MemoryStore::builder().max_bytes(64 << 20).build().unwrap();
    let stack = Stack::over(store).observe(ObserveLayer::new(recorder.clone())).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(recorder).build_tenanted().unwrap();
    let tenants: Vec<_> = (0..1000).map(|n| cache.for_tenant(&TenantId::new(format!("t{n}")).unwrap())).collect();
    let call = async |number: usize| {
        let (cache, key) = (&tenants[number % 1000], number.to_string());
        assert_eq!(cache.get::<u32>(&key).await.unwrap(), None);
        if number.is_multiple_of(100) {
            let loaded: u32 = cache.get_or_load(&key, |_| async { Ok::<_, std::io::Error>(1) }).await.unwrap();
            assert_eq!((loaded, cache.get(&key).await.unwrap()), (1, Some(1)));
            assert!(cache.remove(&key).await.unwrap());
        }
    };
    call(0).await;
    let before = series(&registry);
    for number in 1..100_000 {
        call(number).await;
    }
    assert_eq!(series(&registry), before);
    let text = registry.prometheus_text();
    for (outcome, count) in [("hit", 1000), ("miss", 101_000)] {
        let line =
            format!("memstache_requests_total{{memstache_cache=\"products\",memstache_outcome=\"{outcome}\"}} {count}");
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}
