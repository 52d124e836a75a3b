//! Policies behind a pointer.

use super::{EvictionPolicy, RemovalCause, SlotId};

/// A policy that is chosen at run time and not one of [`AnyPolicy`](super::AnyPolicy); each call goes through a table.
impl<P: EvictionPolicy + ?Sized> EvictionPolicy for Box<P> {
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize) {
        (**self).record_insert(slot, hash, weight);
    }

    fn record_access(&self, slot: SlotId, hash: u64) {
        (**self).record_access(slot, hash);
    }

    fn record_update(&mut self, slot: SlotId, hash: u64, weight: usize) {
        (**self).record_update(slot, hash, weight);
    }

    fn record_remove(&mut self, slot: SlotId, hash: u64, cause: RemovalCause) {
        (**self).record_remove(slot, hash, cause);
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        (**self).select_victim()
    }

    fn worth(&mut self, slot: SlotId) -> u32 {
        (**self).worth(slot)
    }

    fn admit(&mut self, hash: u64, weight: usize, victim: SlotId) -> bool {
        (**self).admit(hash, weight, victim)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::memory::policy::Lru;

    /// Writes down what it is told.
    struct Spy(Arc<Mutex<Vec<String>>>);

    impl Spy {
        fn note(&self, call: String) {
            self.0.lock().unwrap().push(call);
        }
    }

    impl EvictionPolicy for Spy {
        fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize) {
            self.note(format!("insert {} {hash} {weight}", slot.0));
        }
        fn record_access(&self, slot: SlotId, hash: u64) {
            self.note(format!("access {} {hash}", slot.0));
        }
        fn record_update(&mut self, slot: SlotId, hash: u64, weight: usize) {
            self.note(format!("update {} {hash} {weight}", slot.0));
        }
        fn record_remove(&mut self, slot: SlotId, _: u64, cause: RemovalCause) {
            self.note(format!("remove {} {cause:?}", slot.0));
        }
        fn select_victim(&mut self) -> Option<SlotId> {
            Some(SlotId(9))
        }
        fn worth(&mut self, slot: SlotId) -> u32 {
            slot.0 + 1
        }
        fn admit(&mut self, hash: u64, weight: usize, victim: SlotId) -> bool {
            self.note(format!("admit {hash} {weight} {}", victim.0));
            false
        }
    }

    #[test]
    fn a_boxed_policy_is_asked_everything() {
        let calls = Arc::default();
        let mut policy: Box<dyn EvictionPolicy> = Box::new(Spy(Arc::clone(&calls)));
        fn drive(policy: &mut impl EvictionPolicy) {
            policy.record_insert(SlotId(1), 2, 3);
            policy.record_access(SlotId(4), 5);
            policy.record_update(SlotId(6), 7, 8);
            policy.record_remove(SlotId(9), 0, RemovalCause::Expired);
            assert_eq!(policy.select_victim(), Some(SlotId(9)));
            assert_eq!(policy.worth(SlotId(9)), 10);
            assert!(!policy.admit(10, 11, SlotId(12)));
        }
        drive(&mut policy);
        let calls = calls.lock().unwrap();
        assert_eq!(*calls, ["insert 1 2 3", "access 4 5", "update 6 7 8", "remove 9 Expired", "admit 10 11 12"]);
    }

    #[test]
    fn an_update_counts_as_a_hit_unless_a_policy_says_otherwise() {
        let mut lru = Lru::new();
        lru.record_insert(SlotId(0), 0, 1);
        lru.record_insert(SlotId(1), 1, 1);
        lru.record_update(SlotId(0), 0, 5);
        assert_eq!(lru.select_victim(), Some(SlotId(1)));
    }
}
