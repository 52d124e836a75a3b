//! Runs all tasks to their end.

use std::{sync::Arc, time::SystemTime};

use memstache_core::{Cache, ErasedService, Error, Json, Tenanted};
use tokio::task::JoinSet;

use crate::{
    readers::{self, Mode},
    summary::Summary,
    world::{Plan, World},
    writers,
};

/// What is under load: two ways to one store.
#[derive(Clone, Debug)]
pub(crate) struct Stacks {
    pub(crate) plain: ErasedService,
    /// With a near cache in front.
    pub(crate) near: ErasedService,
}

/// Loads the stacks for the planned time. Tells when the store has answered.
///
/// # Errors
///
/// If the store does not answer to begin with.
pub(crate) async fn run(stacks: &Stacks, plan: &Plan, ready: impl FnOnce()) -> Result<Summary, Error> {
    let (plain, near) = (cache(&stacks.plain, plan)?, cache(&stacks.near, plan)?);
    plain.shared().set("ready", "yes").await?;
    ready();
    let (started, world) = (SystemTime::now(), Arc::new(World::new(plan.clone())));
    let mut tasks = JoinSet::new();
    for writer in 0..u32::try_from(plan.writers).expect("few writers") {
        tasks.spawn(writers::write(Arc::clone(&world), plain.clone(), writer));
        // By the same stack as its readers: what it removes is gone for them at once.
        tasks.spawn(writers::change(Arc::clone(&world), near.clone(), writer));
    }
    for number in 0..plan.readers {
        for (mode, cache) in [(Mode::Plain, &plain), (Mode::Near, &near), (Mode::Loaded, &near)] {
            tasks.spawn(readers::read(Arc::clone(&world), cache.clone(), mode, number));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    let world = Arc::into_inner(world).expect("all tasks have ended");
    Ok(Summary::of(world.into_seen(), started))
}

fn cache(stack: &ErasedService, plan: &Plan) -> Result<Cache<Json, Tenanted>, Error> {
    let builder = Cache::builder(stack.clone()).keyspace("chaos").format(Json);
    builder.ttl(plan.ttl).max_staleness(plan.max_staleness).build_tenanted()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use memstache_core::{
        ErrorKind, NearConfig, Request, Stack, SystemClock,
        testing::{Fault, Faults, NaiveStore, Sabotage},
    };
    use tower_layer::Layer as _;

    use super::*;

    fn plan() -> Plan {
        Plan {
            span: Duration::from_millis(400),
            ttl: Duration::from_secs(2),
            max_staleness: Duration::from_secs(2),
            bound: Duration::ZERO,
            near_bound: Duration::from_millis(100),
            writers: 2,
            readers: 2,
            pace: Duration::from_micros(200),
            seed: 7,
        }
    }

    fn over(store: &NaiveStore) -> Stacks {
        let near = NearConfig::new(1 << 20).unwrap();
        Stacks { plain: Stack::over(store.service()).build(), near: Stack::over(store.service()).near(near).build() }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sound_store_is_found_sound() {
        let store = NaiveStore::new(SystemClock::new());
        let summary = run(&over(&store), &plan(), || ()).await.unwrap();
        assert_eq!(summary.told, [""; 0]);
        assert!(summary.judged > 100, "{summary:?}");
        for tally in [&summary.plain, &summary.near, &summary.loaded, &summary.writes] {
            assert!(tally.answered > 50 && tally.errors == 0, "{tally:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn planted_faults_are_found() {
        let planted = [
            (Sabotage::AcceptsLateFills, "was acknowledged"),
            (Sabotage::ForgetsLeaseOnRemove, "was acknowledged"),
            (Sabotage::PublishesNothing, "was acknowledged"),
            (Sabotage::MixesTenants, "another tenant"),
        ];
        for (sabotage, words) in planted {
            // The fault shows where calls meet by chance: not in every short run.
            let mut found = false;
            for seed in 0..20 {
                let store = NaiveStore::sabotaged(SystemClock::new(), sabotage);
                let summary = run(&over(&store), &Plan { seed, ..plan() }, || ()).await.unwrap();
                found = summary.told.iter().any(|told| told.contains(words));
                if found {
                    break;
                }
            }
            assert!(found, "{sabotage:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_that_is_reported_as_failed_and_is_seen_is_found() {
        let (store, faults) = (NaiveStore::new(SystemClock::new()), Faults::new());
        let plain = ErasedService::new(faults.layer(store.service()));
        let stacks = Stacks { plain, ..over(&store) };
        let fault = Fault::after(Error::new(ErrorKind::Unavailable, "planted"));
        let plant = || faults.inject(fault.when(|request| matches!(request, Request::Set(_))).times(40));
        let summary = run(&stacks, &plan(), plant).await.unwrap();
        assert!(summary.told.iter().any(|told| told.contains("reported as failed")), "{summary:?}");
        assert_eq!((summary.writes.errors, summary.writes.kinds["unavailable"]), (40, 40));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn errors_of_readers_are_told() {
        let (store, faults) = (NaiveStore::new(SystemClock::new()), Faults::new());
        let stacks = Stacks { plain: ErasedService::new(faults.layer(store.service())), ..over(&store) };
        let fault = Fault::before(Error::new(ErrorKind::Unavailable, "planted"));
        let plant = || faults.inject(fault.when(|request| matches!(request, Request::Get(_))).times(3));
        let summary = run(&stacks, &plan(), plant).await.unwrap();
        assert_eq!((summary.plain.errors, summary.loaded.errors, summary.violations), (3, 0, 0), "{summary:?}");
        assert!(summary.plain.first_error <= summary.plain.last_error && summary.plain.first_error.is_some());
    }

    #[tokio::test]
    async fn a_store_that_is_not_there_is_an_error() {
        let (store, faults) = (NaiveStore::new(SystemClock::new()), Faults::new());
        faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "planted")));
        let plain = ErasedService::new(faults.layer(store.service()));
        let stacks = Stacks { near: plain.clone(), plain };
        assert_eq!(run(&stacks, &plan(), || panic!("never ready")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
