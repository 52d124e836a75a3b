//! What a store does with an eviction policy that is not its own.

use super::*;
use crate::{ErrorKind, EvictionPolicy, RemovalCause, SlotId};

/// Keeps what it has: nothing new is admitted.
#[derive(Default)]
struct Hoard(Vec<SlotId>);

impl EvictionPolicy for Hoard {
    fn record_insert(&mut self, slot: SlotId, _: u64, weight: usize) {
        assert!(weight > 0 && !self.0.contains(&slot));
        self.0.push(slot);
    }
    fn record_access(&self, slot: SlotId, _: u64) {
        assert!(self.0.contains(&slot));
    }
    fn record_remove(&mut self, slot: SlotId, _: u64, _: RemovalCause) {
        let at = self.0.iter().position(|held| *held == slot).expect("told once");
        self.0.swap_remove(at);
    }
    fn select_victim(&mut self) -> Option<SlotId> {
        self.0.first().copied()
    }
    fn admit(&mut self, _: u64, _: usize, _: SlotId) -> bool {
        false
    }
}

/// Names a slot that nobody uses.
struct Wrong;

impl EvictionPolicy for Wrong {
    fn record_insert(&mut self, _: SlotId, _: u64, _: usize) {}
    fn record_access(&self, _: SlotId, _: u64) {}
    fn record_remove(&mut self, _: SlotId, _: u64, _: RemovalCause) {}
    fn select_victim(&mut self) -> Option<SlotId> {
        Some(SlotId(1_000_000))
    }
}

async fn fill<P: EvictionPolicy>(store: &MemoryStore<P>, len: usize) -> Vec<Result<Written>> {
    let mut written = Vec::new();
    for n in 0..200 {
        let set = Set::one(key(&n.to_string()), forever(&"x".repeat(len)));
        written.push(store.set(set).await.unwrap().into_one().unwrap());
    }
    written
}

#[tokio::test]
async fn what_is_not_admitted_is_as_if_stored_and_evicted() {
    let share = |share| {
        assert_eq!(share, 1 << 19);
        Hoard::default()
    };
    let store = MemoryStore::builder().max_bytes(1 << 20).shards(2).policy(share).build().unwrap();
    assert!(fill(&store, 10_000).await.iter().all(|written| matches!(written, Ok(Written::Stored(_)))));
    let first = store.stats();
    assert!(first.entries > 90 && first.evictions == 200 - first.entries as u64);
    fill(&store, 12_000).await;
    let found = store.get(Get::one(key("199"))).await.unwrap().into_one().unwrap().unwrap();
    assert!(matches!(found, Lookup::Miss));
    let found = store.get(Get::one(key("0"))).await.unwrap().into_one().unwrap().unwrap();
    assert!(!matches!(found, Lookup::Hit(entry) if entry.value.len() == 10_000), "no outdated value stays");
}

#[tokio::test]
async fn a_policy_that_names_no_victim_makes_writes_fail_and_nothing_else() {
    let store = MemoryStore::builder().max_bytes(1 << 20).shards(2).policy(|_| Wrong).build().unwrap();
    let written = fill(&store, 10_000).await;
    let failed = written.iter().filter_map(|written| written.as_ref().err());
    assert!(failed.clone().count() > 50 && failed.clone().all(|error| error.kind() == ErrorKind::Overloaded));
    assert!(store.stats().bytes <= 1 << 20);
}
