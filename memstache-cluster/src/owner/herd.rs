//! No more loads of one partition at a time than a few, while members change.
//!
//! A new owner holds nothing: all that is asked for would be loaded at once. What one partition may load at a time is bounded for
//! a while; the rest waits for its turn, but not for ever: a source that asks the engine for other keys may wait for itself.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use memstache_core::{Clock, Tick};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    engine::until,
    placement::{Partition, partition_of},
};

/// How long a load waits for its turn at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many loads of each partition may run.
pub(crate) struct Herd {
    each: usize,
    clock: Arc<dyn Clock>,
    /// Until when they are bounded, in milliseconds.
    until: AtomicU64,
    /// Of partitions that load now.
    turns: Mutex<HashMap<Partition, Arc<Semaphore>>>,
}

impl Herd {
    pub(crate) fn new(each: usize, clock: Arc<dyn Clock>) -> Self {
        Self { each, clock, until: AtomicU64::new(0), turns: Mutex::default() }
    }

    /// Bounds what is loaded, until then.
    pub(crate) fn bound_until(&self, until: Tick) {
        self.until.fetch_max(until.as_millis(), Relaxed);
    }

    /// Waits for the turns of the partitions of these keys; the loads may run as long as the permits are kept.
    ///
    /// # Cancellation
    /// Nothing is kept.
    pub(super) async fn turns<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<OwnedSemaphorePermit> {
        let now = self.clock.now();
        if now >= Tick::from_millis(self.until.load(Relaxed)) {
            return Vec::new();
        }
        let give_up = now.after(PATIENCE);
        // In order: two that need the same ones do not wait for each other.
        let partitions: BTreeSet<Partition> = keys.map(partition_of).collect();
        let mut permits = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let Some(turn) = until(&self.clock, give_up, self.turn(partition).acquire_owned()).await else { break };
            // It is never closed.
            permits.extend(turn);
        }
        permits
    }

    fn turn(&self, partition: Partition) -> Arc<Semaphore> {
        let mut turns = self.turns.lock();
        // Nobody loads by those that only the map knows.
        if turns.len() >= crate::PARTITIONS / 16 {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(partition).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

impl fmt::Debug for Herd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Herd").field("each", &self.each).field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use memstache_core::testing::ManualClock;

    use super::*;

    fn turns(herd: &Herd, keys: &[&[u8]]) -> Option<Vec<OwnedSemaphorePermit>> {
        herd.turns(keys.iter().copied()).now_or_never()
    }

    #[test]
    fn loads_of_a_partition_are_bounded_while_members_change_and_not_afterwards() {
        let clock = ManualClock::new();
        let herd = Herd::new(2, Arc::new(clock.clone()));
        assert_eq!(turns(&herd, &[b"a"]).unwrap().len(), 0, "nothing has changed");
        herd.bound_until(clock.now().after(Duration::from_secs(10)));
        let first = turns(&herd, &[b"a", b"a", b"b"]).unwrap();
        assert_eq!(first.len(), 2, "one for each partition");
        let second = turns(&herd, &[b"a"]).unwrap();
        assert!(turns(&herd, &[b"a"]).is_none() && turns(&herd, &[b"b"]).is_some());
        drop(second);
        assert!(turns(&herd, &[b"a"]).is_some(), "who gave up waiting kept nothing");
        let third = turns(&herd, &[b"b", b"a"]).unwrap();
        assert!(turns(&herd, &[b"a"]).is_none());
        clock.advance(Duration::from_secs(10));
        assert_eq!(turns(&herd, &[b"a"]).unwrap().len(), 0);
        drop((first, third));
    }

    #[test]
    fn what_is_kept_of_partitions_is_bounded() {
        let clock = ManualClock::new();
        let herd = Herd::new(1, Arc::new(clock.clone()));
        herd.bound_until(clock.now().after(Duration::from_secs(10)));
        for n in 0..10_000_u32 {
            drop(turns(&herd, &[&n.to_le_bytes()]).unwrap());
        }
        assert!(herd.turns.lock().len() <= crate::PARTITIONS / 16);
    }
}
