//! memstache's policies by themselves: a map and a policy, bounded in entries that weigh one each.
//!
//! The store counts bytes and the peers count entries; this is what makes the two comparable. The one file that calls
//! [`EvictionPolicy`].

use memstache_core::{AnyPolicy, EvictionPolicy, PolicyKind, RemovalCause, SlotId};

use super::{Player, Role, Simulated};

const NONE: u32 = u32::MAX;

/// One row a policy, the default one first.
pub(super) fn players() -> Vec<Player> {
    macro_rules! player {
        ($name:literal, $role:ident, $kind:ident) => {
            Player {
                name: $name,
                role: Role::$role,
                make: |capacity, keys| Box::new(Harness::new(capacity, keys, policy(PolicyKind::$kind, capacity))),
                from: 0,
            }
        };
    }
    vec![
        player!("memstache", Judged, TinyLfu),
        player!("memstache S3-FIFO", Ours, S3Fifo),
        player!("memstache SIEVE", Ours, Sieve),
        player!("memstache LFU", Ours, Lfu),
        player!("memstache LRU", Ours, Lru),
        player!("memstache FIFO", Ours, Fifo),
        player!("memstache random", Ours, Random),
    ]
}

fn policy(kind: PolicyKind, capacity: usize) -> AnyPolicy {
    kind.policy(capacity, 0x5eed)
}

struct Harness<P> {
    policy: P,
    capacity: usize,
    /// The slot of each key.
    slots: Vec<u32>,
    /// The key in each slot.
    keys: Vec<u32>,
}

impl<P: EvictionPolicy> Harness<P> {
    fn new(capacity: usize, keys: usize, policy: P) -> Self {
        Self { policy, capacity, slots: vec![NONE; keys], keys: Vec::with_capacity(capacity) }
    }

    /// A slot for the new key: a new one, or that of a victim; `None` if the victim is worth more.
    fn slot_for(&mut self, hash: u64) -> Option<SlotId> {
        if self.keys.len() < self.capacity {
            self.keys.push(NONE);
            return Some(SlotId((self.keys.len() - 1) as u32));
        }
        let victim = self.policy.select_victim().expect("a full cache has a victim");
        if !self.policy.admit(hash, 1, victim) {
            return None;
        }
        let evicted = std::mem::replace(&mut self.keys[victim.index()], NONE);
        self.policy.record_remove(victim, mix(evicted), RemovalCause::Evicted);
        self.slots[evicted as usize] = NONE;
        Some(victim)
    }
}

impl<P: EvictionPolicy> Simulated for Harness<P> {
    fn request(&mut self, key: u32) -> bool {
        let slot = self.slots[key as usize];
        if slot != NONE {
            self.policy.record_access(SlotId(slot), mix(key));
            return true;
        }
        let hash = mix(key);
        if let Some(slot) = self.slot_for(hash) {
            self.policy.record_insert(slot, hash, 1);
            self.keys[slot.index()] = key;
            self.slots[key as usize] = slot.0;
        }
        false
    }
}

/// A hash as good as the store's (the finalizer of SplitMix64).
fn mix(key: u32) -> u64 {
    let hash = u64::from(key).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::{super::lru, *};

    #[test]
    fn the_lru_policy_is_an_exact_lru() {
        let mut rng = fastrand::Rng::with_seed(3);
        for capacity in [1, 3, 40] {
            let mut policy = Harness::new(capacity, 60, policy(PolicyKind::Lru, capacity));
            let mut exact = lru::Lru::new(capacity, 60);
            for _ in 0..5_000 {
                let key = rng.u32(..60);
                assert_eq!(policy.request(key), exact.request(key));
            }
        }
    }

    /// Admits nothing once it is full.
    struct Closed;

    impl EvictionPolicy for Closed {
        fn record_insert(&mut self, _: SlotId, _: u64, _: usize) {}
        fn record_access(&self, _: SlotId, _: u64) {}
        fn record_remove(&mut self, _: SlotId, _: u64, _: RemovalCause) {}
        fn select_victim(&mut self) -> Option<SlotId> {
            Some(SlotId(0))
        }
        fn admit(&mut self, _: u64, _: usize, _: SlotId) -> bool {
            false
        }
    }

    #[test]
    fn what_is_not_admitted_is_not_stored() {
        let mut closed = Harness::new(2, 4, Closed);
        let hits: Vec<_> = [0, 1, 2, 0, 1, 2, 3].into_iter().map(|key| closed.request(key)).collect();
        assert_eq!(hits, [false, false, false, true, true, false, false]);
    }
}
