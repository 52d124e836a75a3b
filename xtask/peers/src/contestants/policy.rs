//! memstache's policies by themselves: a map and a policy, bounded in entries that weigh one each.
//!
//! The store counts bytes and the peers count entries; this is what makes the two comparable. The one file that calls
//! [`EvictionPolicy`].

use memstache_core::{EvictionPolicy, Lru, SlotId};

use super::{Player, Role, Simulated};

const NONE: u32 = u32::MAX;

/// One row a policy, the default one first.
pub(super) fn players() -> Vec<Player> {
    vec![Player {
        name: "memstache LRU",
        role: Role::Judged,
        make: |capacity, keys| Box::new(Harness::new(capacity, keys, Lru::new())),
        from: 0,
    }]
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
        self.policy.record_remove(victim);
        self.slots[self.keys[victim.index()] as usize] = NONE;
        Some(victim)
    }
}

impl<P: EvictionPolicy> Simulated for Harness<P> {
    fn request(&mut self, key: u32) -> bool {
        let slot = self.slots[key as usize];
        if slot != NONE {
            self.policy.record_access(SlotId(slot));
            return true;
        }
        let hash = mix(key);
        self.policy.record_miss(hash);
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
            let mut policy = Harness::new(capacity, 60, Lru::new());
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
        fn record_access(&mut self, _: SlotId) {}
        fn record_remove(&mut self, _: SlotId) {}
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
