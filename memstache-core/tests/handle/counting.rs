//! Every request is counted once, however it ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use memstache_core::{
    CacheStats, ErrorKind, LoadContext,
    observe::{Ending, Event, Fill, ObservedCall, Recorder, Rejection},
};

use crate::kit::{Brought, Failed, Kit, Source, ask, ask_many, millis, rules, secs, settle};

fn ended(stats: &CacheStats) -> u64 {
    stats.hits + stats.stale + stats.negative + stats.misses + stats.errors + stats.cancelled
}

/// A recorder that counts what it is told, by name.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<HashMap<&'static str, u64>>);

impl Tally {
    fn add(&self, name: &'static str, count: u64) {
        *self.0.lock().unwrap().entry(name).or_default() += count;
    }

    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// Asserts that it was told what the handle has counted.
    pub(crate) fn assert_agrees(&self, stats: &CacheStats) {
        let endings = [stats.hits, stats.stale, stats.negative, stats.misses, stats.errors, stats.cancelled];
        assert_eq!(Ending::ALL.iter().map(|it| self.of(it.as_str())).collect::<Vec<_>>(), endings);
        assert_eq!(self.of("loaded") + self.of("load failed"), stats.loads);
        let told = ["load failed", "degraded", "joined", "refused", "failed"].map(|name| self.of(name));
        let counted =
            [stats.load_failures, stats.loads_degraded, stats.loads_joined, stats.fills_refused, stats.fills_failed];
        assert_eq!(told, counted);
        assert!(self.of("stored") <= stats.loads);
        let rejected = [stats.rejected_unopened, stats.rejected_format, stats.rejected_schema, stats.rejected_decode];
        assert_eq!(Rejection::ALL.iter().map(|it| self.of(it.as_str())).collect::<Vec<_>>(), rejected);
    }
}

impl Recorder for Tally {
    fn request(&self, ending: Ending, count: u64) {
        self.add(ending.as_str(), count);
    }

    fn call(&self, _: &ObservedCall) {
        unreachable!("the stack is not observed");
    }

    fn event(&self, event: &Event) {
        self.add(
            match event {
                Event::Loaded(Ok(()), _) => "loaded",
                Event::Loaded(Err(_), _) => "load failed",
                Event::Degraded => "degraded",
                Event::Joined => "joined",
                Event::Filled(fill) => {
                    assert!(Fill::ALL.contains(fill));
                    fill.as_str()
                }
                Event::Rejected(reason) => reason.as_str(),
                other => panic!("nobody knows {other:?}"),
            },
            1,
        );
    }
}

pub(crate) async fn each_way_to_answer_is_counted_as_what_it_is(kit: Kit) {
    let tally = Arc::new(Tally::default());
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).recorder(Arc::clone(&tally)).build().unwrap();
    let source = Source::open();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(1));
    assert_eq!(cache.try_get::<u32>("a").await, Some(1));
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    assert!(cache.get::<u32>("").await.is_err());
    kit.pass(secs(11)).await;
    cache.get_entry::<u32>("a").await.unwrap();
    let loader = source.answers(|context: LoadContext<u32>| Ok(context.negative(secs(9))));
    cache.get_or_load("b", loader).optional().await.unwrap();
    cache.get::<u32>("b").await.unwrap();
    let stats = cache.stats();
    let counts = [stats.requests, stats.hits, stats.stale, stats.negative, stats.misses, stats.errors, stats.cancelled];
    assert_eq!(counts, [8, 3, 1, 1, 2, 1, 0]);
    tally.assert_agrees(&stats);
}

pub(crate) async fn a_request_in_flight_is_counted_when_it_ends(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..3).map(|_| ask(&cache, "a", source.brings(1))).collect();
    settle().await;
    assert_eq!((cache.stats().requests, ended(&cache.stats())), (3, 0));
    callers[0].abort();
    settle().await;
    assert_eq!((cache.stats().cancelled, ended(&cache.stats())), (1, 1));
    source.gate.open();
    settle().await;
    assert_eq!((cache.stats().misses, ended(&cache.stats())), (2, 3));
}

/// A value whose decoding panics.
#[derive(Debug)]
struct Mine;

impl<'de> serde::Deserialize<'de> for Mine {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("on purpose")
    }
}

pub(crate) async fn a_panic_of_the_caller_is_counted_as_an_error(kit: Kit) {
    let tally = Arc::new(Tally::default());
    let cache = kit.builder().recorder(Arc::clone(&tally)).build().unwrap();
    cache.set_many([("a", &1), ("b", &1)]).await.unwrap();
    let one = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get::<Mine>("a").await }
    });
    let many = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_many::<Mine>(["x", "a", "b"]).await }
    });
    assert!(one.await.unwrap_err().is_panic() && many.await.unwrap_err().is_panic());
    let stats = cache.stats();
    assert_eq!((stats.requests, stats.errors, stats.misses, stats.cancelled), (4, 3, 1, 0));
    tally.assert_agrees(&stats);
}

pub(crate) async fn after_a_storm_every_request_is_counted_once(kit: Kit) {
    let mut all = [0; 8];
    for seed in 0..12 {
        for stats in storm(&kit, seed).await {
            assert_eq!(ended(&stats), stats.requests, "seed {seed}: {stats:?}");
            let [hits, joined] = [stats.hits, stats.loads_joined];
            let counts =
                [hits, stats.stale, stats.negative, stats.misses, stats.errors, stats.cancelled, stats.loads, joined];
            (0..).zip(counts).for_each(|(at, count): (usize, u64)| all[at] += count);
        }
    }
    assert!(all.iter().all(|count| *count > 5), "the storm was no storm: {all:?}");
}

/// Random calls, some of them dropped, over a store and a source that both misbehave.
async fn storm(kit: &Kit, seed: u64) -> [CacheStats; 2] {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    let mut random = fastrand::Rng::with_seed(seed);
    let tallies = [(); 2].map(|()| Arc::new(Tally::default()));
    let build = |tally: &Arc<Tally>| {
        let builder = kit
            .builder()
            .recorder(Arc::clone(tally))
            .ttl(secs(3))
            .stale_for(secs(20))
            .negative_ttl(secs(2))
            .hard_timeout(secs(3));
        builder.refresh_ahead(0.5).refresh_pause(secs(1)).build().unwrap()
    };
    let caches = tallies.each_ref().map(build);
    let mut running = Vec::new();
    for _ in 0..400 {
        let (cache, key) = (caches[random.usize(..2)].clone(), KEYS[random.usize(..4)]);
        let (wait, what) = (random.u64(0..3000), random.u8(..8));
        let clock = kit.clock.clone();
        let source = move |clock: memstache_core::testing::ManualClock| async move {
            memstache_core::Clock::sleep_until(&clock, memstache_core::Clock::now(&clock).after(millis(wait))).await;
            match what {
                0 => panic!("on purpose"),
                1 | 2 => Err(Failed(1)),
                3 => Ok(None),
                _ => Ok(Some(u32::from(what))),
            }
        };
        let loader = move |_: LoadContext<u32>| source(clock.clone());
        let clock = kit.clock.clone();
        let many = move |keys: Vec<&'static str>| {
            let clock = clock.clone();
            Box::pin(async move {
                let value = source(clock).await?;
                Ok(keys.into_iter().filter_map(|key| Some((key, value?))).collect())
            }) as Brought<Vec<(&'static str, u32)>>
        };
        match random.u8(..16) {
            0 => running.push(tokio::spawn(async move { drop(cache.get::<u32>(key).await) })),
            1 => running.push(tokio::spawn(async move { assert_ne!(cache.try_get::<u32>(key).await, Some(99)) })),
            2 => running.push(tokio::spawn(async move { drop(cache.get_entry::<String>(key).await) })),
            3 => running.push(tokio::spawn(async move { drop(cache.get_many::<u32>([key, "a", "a"]).await) })),
            4 | 5 => running.push(tokio::spawn(async move { drop(cache.get_or_load(key, loader).optional().await) })),
            6 => {
                let task = async move { drop(cache.get_or_load(key, loader).soft_timeout(millis(wait)).await) };
                running.push(tokio::spawn(task));
            }
            7 | 8 => {
                let task = async move { drop(ask_many(&cache, &KEYS, many).await) };
                running.push(tokio::spawn(task));
            }
            9 => drop(cache.remove(key).await),
            10 => drop(cache.set(key, "another type").await),
            11 => running.push(tokio::spawn(async move { drop(cache.get_arc::<u32>(key).await) })),
            12 => running.push(tokio::spawn(async move { drop(cache.get_many_arc::<u32>([key, "b", "b"]).await) })),
            13 | 14 => {
                let task = async move { drop(cache.get_or_load(key, loader).optional().arc().await) };
                running.push(tokio::spawn(task));
            }
            _ => kit.pass(millis(random.u64(1..1500))).await,
        }
        if let Some(task) =
            (!running.is_empty() && random.u8(..4) == 0).then(|| running.swap_remove(random.usize(..running.len())))
        {
            task.abort();
        }
        match random.u8(..40) {
            0 => kit.fail(ErrorKind::Unavailable, &["get", "set"]),
            1 => kit.hang(&["get", "touch"]),
            2..=5 => kit.faults.heal(),
            _ => {}
        }
    }
    kit.faults.heal();
    kit.pass(secs(40)).await;
    assert!(caches.iter().all(|cache| cache.loads_in_flight() == 0), "seed {seed}");
    for key in KEYS {
        let cache = kit.cache();
        cache.remove(key).await.unwrap();
        kit.assert_no_lease(key).await;
    }
    caches.iter().zip(&tallies).for_each(|(cache, tally)| tally.assert_agrees(&cache.stats()));
    caches.map(|cache| cache.stats())
}

rules! {
    every stack:
    each_way_to_answer_is_counted_as_what_it_is,
    a_request_in_flight_is_counted_when_it_ends,
    a_panic_of_the_caller_is_counted_as_an_error,
    after_a_storm_every_request_is_counted_once,
}
