//! The suite over the memory store, alone and under a near cache, and over transforms.

use memstache_core::{
    MemoryStore, NearConfig, Request, Response, Stack, Step, Transform,
    testing::{
        ManualClock,
        conformance::{self, Capabilities, ManualSubject, Report},
    },
};

const EVENTS: usize = 256;

fn store(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder().max_bytes(64 << 20).event_capacity(EVENTS).clock(clock.clone()).build().unwrap()
}

fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.stream_capacity = Some(EVENTS);
    capabilities
}

fn assert_whole(report: &Report) {
    report.assert_ok();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_every_rule() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let leaf = store.clone();
    let subject = ManualSubject::new(clock, move || Stack::over(store.clone()).build());
    assert_whole(&conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities())).await);
}

#[tokio::test(start_paused = true)]
async fn a_near_cache_over_the_memory_store_keeps_every_rule() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let leaf = store.clone();
    let near = NearConfig::new(32 << 20).unwrap().with_clock(clock.clone());
    let subject = ManualSubject::new(clock, move || Stack::over(store.clone()).near(near.clone()).build());
    assert_whole(&conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities())).await);
}

#[tokio::test(start_paused = true)]
async fn transforms_between_near_and_store_keep_every_rule() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let leaf = store.clone();
    let near = NearConfig::new(32 << 20).unwrap().with_clock(clock.clone());
    let subject = ManualSubject::new(clock, move || {
        Stack::over(store.clone()).near(near.clone()).compress(Flip { wait: false }).seal(Flip { wait: true }).build()
    });
    assert_whole(&conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities())).await);
}

/// Flips every bit of every value, at once or after a wait.
#[derive(Clone, Copy)]
struct Flip {
    wait: bool,
}

impl Flip {
    fn step<T: Send + 'static>(self, value: T) -> Step<T> {
        if !self.wait {
            return Step::Now(Ok(value));
        }
        Step::Wait(Box::pin(async {
            tokio::task::yield_now().await;
            Ok(value)
        }))
    }
}

impl Transform for Flip {
    type Pending = ();

    fn request(&self, mut request: Request) -> Step<(Request, ())> {
        request.entries_mut().for_each(|(_, entry)| entry.value = entry.value.iter().map(|byte| !byte).collect());
        self.step((request, ()))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        response.entries_mut().for_each(|entry| entry.value = entry.value.iter().map(|byte| !byte).collect());
        self.step(response)
    }
}
