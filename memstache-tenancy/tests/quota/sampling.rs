//! Samples that are taken by themselves.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use memstache_core::{BoxFuture, Error, ErrorKind, Result, SampledUse, TenantId, UsageSampler};
use memstache_tenancy::{Plan, Plans};

use crate::{
    estimates::setup,
    kit::{for_all, kind, plan, secs, settle, tenant},
};

/// Tells that every tenant holds one entry; counts, fails and hangs.
#[derive(Clone, Debug, Default)]
struct Sampler {
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    fails: Arc<AtomicBool>,
    hangs: Arc<Mutex<Option<&'static str>>>,
}

impl UsageSampler for Sampler {
    fn sample<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<SampledUse>> {
        Box::pin(async move {
            *self.asked.lock().unwrap().entry(tenant.as_str().to_owned()).or_default() += 1;
            let hangs = *self.hangs.lock().unwrap() == Some(tenant.as_str());
            if hangs {
                std::future::pending::<()>().await;
            }
            if self.fails.load(Relaxed) {
                return Err(Error::new(ErrorKind::Unavailable, "gone"));
            }
            Ok(SampledUse::new(100, 1))
        })
    }
}

impl Sampler {
    fn asked(&self) -> BTreeMap<String, usize> {
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn tenants_with_a_limit_are_sampled_by_the_clock_until_the_task_is_dropped() {
    let unlimited = Plan::builder("unlimited").build().unwrap();
    let limited = plan().entries(1000).build().unwrap();
    let plans = Plans::builder().plan(unlimited).plan(limited).default_plan("plan");
    let plans = plans.assign(&tenant("free"), "unlimited").build().unwrap();
    let (clock, tenants, cache) = setup(plans);
    for name in ["acme", "free"] {
        for _ in 0..5 {
            cache.for_tenant(&tenant(name)).set("same", &1).ttl(secs(1000)).await.unwrap();
        }
    }
    cache.for_tenant(&tenant("empty")).get::<u32>("none").await.unwrap();
    let sampler = Sampler::default();
    let task = tenants.sample_every(secs(60), sampler.clone()).unwrap();
    settle().await;
    assert_eq!(tenants.usage(&tenant("acme")).entries, 5);
    clock.advance(secs(60));
    settle().await;
    assert_eq!(tenants.usage(&tenant("acme")).entries, 1, "put right");
    assert_eq!(sampler.asked().into_iter().collect::<Vec<_>>(), [("acme".to_owned(), 1)], "who holds and has a limit");
    sampler.fails.store(true, Relaxed);
    clock.advance(secs(60));
    settle().await;
    assert_eq!((task.samples(), task.failed_samples()), (1, 1));
    assert_eq!(tenants.usage(&tenant("acme")).entries, 1, "what was thought stands");
    drop(task);
    settle().await;
    clock.advance(secs(600));
    settle().await;
    assert_eq!(sampler.asked()["acme"], 2);
}

#[tokio::test]
async fn all_get_their_turn_though_there_are_many_and_one_hangs() {
    let (clock, tenants, cache) = setup(for_all(plan().bytes(1 << 20)));
    for n in 0..200 {
        cache.for_tenant(&tenant(&format!("t{n:03}"))).set("x", &1).ttl(secs(100_000)).await.unwrap();
    }
    let sampler = Sampler::default();
    *sampler.hangs.lock().unwrap() = Some("t007");
    let task = tenants.sample_every(secs(60), sampler.clone()).unwrap();
    settle().await;
    for _ in 0..3 {
        clock.advance(secs(60));
        settle().await;
        settle().await;
    }
    let before = sampler.asked().len();
    assert!(before <= 3 * 64 && sampler.asked().contains_key("t007"), "{before}");
    for _ in 0..6 {
        clock.advance(secs(60));
        settle().await;
        settle().await;
    }
    let asked = sampler.asked();
    assert_eq!(asked.len(), 200, "everybody");
    assert!(asked.values().all(|times| *times <= 3), "the one that was sampled longest ago first: {asked:?}");
    assert!(task.failed_samples() >= 1 && task.samples() >= 199, "{task:?}");
}

#[tokio::test]
async fn the_task_ends_with_the_registry_and_intervals_are_checked() {
    let (clock, tenants, cache) = setup(for_all(plan().entries(10)));
    let sampler = Sampler::default();
    for wrong in [Duration::ZERO, secs(25 * 3600)] {
        assert_eq!(kind(tenants.sample_every(wrong, sampler.clone())), ErrorKind::Invalid);
    }
    let task = tenants.sample_every(secs(1), sampler.clone()).unwrap();
    assert!(format!("{task:?}").starts_with("SamplingTask"));
    cache.for_tenant(&tenant("acme")).set("x", &1).await.unwrap();
    assert_eq!(Arc::strong_count(&sampler.asked), 2);
    drop((tenants, cache));
    clock.advance(secs(2));
    settle().await;
    clock.advance(secs(2));
    settle().await;
    assert_eq!(Arc::strong_count(&sampler.asked), 1, "nothing holds the sampler any more");
    drop(task);
}
