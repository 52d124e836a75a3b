//! The same calls, recorded by a registry.

use std::hint::black_box;

use memstache_core::{
    Cache, ErasedService, Json, NearConfig, Stack,
    observe::{ObserveLayer, Registry},
    resilience::Resilience,
};

use crate::{
    row::Row,
    served::store,
    support::{Pass, now},
};

pub(crate) const NEAR: &str = "near hit, get::<u64>, recorded";
pub(crate) const WHOLE: &str = "handle over the full stack, get::<u64>, recorded";

pub(crate) fn rows() -> Vec<Row> {
    let recorder = Registry::new().recorder("k").expect("a name");
    let build = |stack: ErasedService| {
        let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(recorder.clone()).build();
        let cache = cache.expect("good settings");
        now(async { cache.set("user:7", &7u64).await }).expect("stored");
        cache
    };
    let stack = || Stack::over(store()).observe(ObserveLayer::new(recorder.clone()));
    let handle = row("handle over the store, get::<u64>, recorded", 2, build(stack().build()));

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let near = NearConfig::new(1 << 20).expect("large enough");
    let cache = runtime.block_on(async { build(stack().near(near).build()) });
    assert_eq!(runtime.block_on(cache.get::<u64>("user:7")).expect("found"), Some(7));
    let near = Row::new(NEAR, 0, move || {
        // The runtime stays alive for as long as the near cache's follower does.
        let _runtime = &runtime;
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    });

    let whole = stack().resilient(&Resilience::default()).compress(Pass).seal(Pass);
    vec![handle, near, row(WHOLE, 3, build(whole.build()))]
}

fn row(name: &'static str, allowed: u64, cache: Cache<Json>) -> Row {
    Row::new(name, allowed, move || {
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    })
}
