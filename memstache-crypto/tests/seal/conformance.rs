//! The suite of the core over sealed stacks.

use memstache_core::{
    MemoryStore, NearConfig, Stack,
    testing::{
        ManualClock,
        conformance::{self, Capabilities, ManualSubject, Report},
    },
};
use memstache_crypto::{Seal, SealBuilder, Subkeys};

use crate::kit::{backends, keys};

const EVENTS: usize = 256;

fn store(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder().max_bytes(64 << 20).event_capacity(EVENTS).clock(clock.clone()).build().unwrap()
}

fn assert_whole(report: &Report) {
    report.assert_ok();
    let skipped: Vec<_> = report.skipped().map(|result| result.name).collect();
    // What must be sealed is, so nothing can show that it is refused.
    let expected = [
        "what_must_be_sealed_is_not_stored_bare",
        "one_refused_item_fails_no_other",
        "a_sealed_negative_record_comes_with_its_bytes",
    ];
    assert!(skipped.len() == 2 * expected.len() && skipped.iter().all(|name| expected.contains(name)), "{report}");
}

async fn check(near: bool, build: impl Fn(SealBuilder) -> SealBuilder) {
    let clock = ManualClock::new();
    let store = store(&clock);
    let leaf = store.clone();
    let seal = build(Seal::builder(keys(1)).clock(clock.clone())).build().unwrap();
    let config = NearConfig::new(32 << 20).unwrap().with_clock(clock.clone());
    let mut capabilities = Capabilities::default();
    capabilities.seals = true;
    capabilities.stream_capacity = Some(EVENTS);
    let sealed = seal.clone();
    let subject = ManualSubject::new(clock, move || {
        let stack = Stack::over(store.clone()).seal(sealed.clone());
        if near { stack.near(config.clone()).build() } else { stack.build() }
    });
    assert_whole(&conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities)).await);
    let stats = seal.stats();
    assert!(stats.sealed > 100 && stats.opened > 100, "{stats:?}");
    assert_eq!((stats.rejected(), stats.left_plain, stats.read_plain), (0, 0, 0), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sealed_stack_keeps_every_rule() {
    check(false, |builder| builder).await;
}

#[tokio::test(start_paused = true)]
async fn a_sealed_stack_below_a_near_cache_keeps_every_rule() {
    check(true, |builder| builder.subkeys(Subkeys::per_writer()).padded()).await;
}

#[tokio::test(start_paused = true)]
async fn every_backend_and_cipher_keeps_every_rule() {
    for backend in backends() {
        check(false, |builder| builder.backend(backend).chacha20_poly1305().committing()).await;
    }
}
