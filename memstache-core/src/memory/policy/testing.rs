//! What the tests of all policies share: a naive store, models, readers side by side.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Range,
    sync::RwLock,
    thread,
};

use proptest::prelude::*;

use super::{EvictionPolicy, RemovalCause, SlotId};

/// A policy as naive as possible: over vectors, after the text it is from.
pub(super) trait Model {
    fn insert(&mut self, slot: u32, hash: u64, weight: usize);
    fn access(&mut self, slot: u32, hash: u64);
    fn update(&mut self, slot: u32, hash: u64, _weight: usize) {
        self.access(slot, hash);
    }
    fn remove(&mut self, slot: u32, cause: RemovalCause);
    /// Returns who may be named; empty if there is nobody.
    fn victims(&mut self) -> Vec<u32>;
    /// Returns whether a new entry is worth more than the victim, if the model knows.
    fn admits(&mut self, _hash: u64, _weight: usize, _victim: u32) -> Option<bool> {
        None
    }
}

/// Another policy that must do the same.
pub(super) struct Twin(pub(super) Box<dyn EvictionPolicy>);

impl Model for Twin {
    fn insert(&mut self, slot: u32, hash: u64, weight: usize) {
        self.0.record_insert(SlotId(slot), hash, weight);
    }
    fn access(&mut self, slot: u32, hash: u64) {
        self.0.record_access(SlotId(slot), hash);
    }
    fn update(&mut self, slot: u32, hash: u64, weight: usize) {
        self.0.record_update(SlotId(slot), hash, weight);
    }
    fn remove(&mut self, slot: u32, cause: RemovalCause) {
        self.0.record_remove(SlotId(slot), 0, cause);
    }
    fn victims(&mut self) -> Vec<u32> {
        self.0.select_victim().map(|slot| slot.0).into_iter().collect()
    }
    fn admits(&mut self, hash: u64, weight: usize, victim: u32) -> Option<bool> {
        Some(self.0.admit(hash, weight, SlotId(victim)))
    }
}

/// Allows every resident.
#[derive(Default)]
pub(super) struct Anyone(Vec<u32>);

impl Model for Anyone {
    fn insert(&mut self, slot: u32, _: u64, _: usize) {
        self.0.push(slot);
    }
    fn access(&mut self, _: u32, _: u64) {}
    fn remove(&mut self, slot: u32, _: RemovalCause) {
        self.0.retain(|held| *held != slot);
    }
    fn victims(&mut self) -> Vec<u32> {
        self.0.clone()
    }
}

/// What a store may do; keys that are not there are inserted, or nothing happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Get(u64, usize),
    Update(u64, usize),
    Remove(u64, RemovalCause),
    Evict,
    /// Asks for a victim and leaves it.
    Look,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Favourites, and others: less than and more than what is held at a time.
    let key = || prop_oneof![0..12u64, 0..80u64];
    let weight = || prop_oneof![4 => 1..1000usize, 1 => Just(0), 1 => Just(usize::MAX), 1 => Just(u32::MAX as usize)];
    let cause = prop_oneof![Just(RemovalCause::Evicted), Just(RemovalCause::Expired), Just(RemovalCause::Removed)];
    let step = prop_oneof![
        12 => (key(), weight()).prop_map(|(key, weight)| Step::Get(key, weight)),
        1 => (key(), weight()).prop_map(|(key, weight)| Step::Update(key, weight)),
        1 => (key(), cause).prop_map(|(key, cause)| Step::Remove(key, cause)),
        4 => Just(Step::Evict),
        1 => Just(Step::Look),
    ];
    prop::collection::vec(step, 0..600)
}

/// Spreads a key over 64 bits.
pub(super) fn hash(key: u64) -> u64 {
    let z = (key ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Gives slots as the slab does: the lowest first, again after their entry went.
#[derive(Default)]
struct Slots {
    held: BTreeMap<u64, u32>,
    free: BTreeSet<u32>,
}

impl Slots {
    fn insert(&mut self, key: u64) -> u32 {
        let slot = self.free.pop_first().unwrap_or(self.held.len() as u32);
        self.held.insert(key, slot);
        slot
    }

    fn remove(&mut self, key: u64) -> Option<u32> {
        let slot = self.held.remove(&key)?;
        self.free.insert(slot);
        Some(slot)
    }

    fn key_of(&self, slot: u32) -> Option<u64> {
        self.held.iter().find(|(_, held)| **held == slot).map(|(key, _)| *key)
    }
}

/// Takes the steps with a policy and with its model, then evicts everything: victims must be the same, residents, and
/// in the end all of them.
pub(super) fn check(
    mut policy: impl EvictionPolicy,
    mut model: impl Model,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut slots = Slots::default();
    let to_the_end = std::iter::repeat_n(Step::Evict, steps.len() + 1);
    for step in steps.into_iter().chain(to_the_end) {
        match step {
            Step::Get(key, weight) => match slots.held.get(&key) {
                Some(slot) => {
                    policy.record_access(SlotId(*slot), hash(key));
                    model.access(*slot, hash(key));
                }
                None => {
                    let slot = slots.insert(key);
                    policy.record_insert(SlotId(slot), hash(key), weight);
                    model.insert(slot, hash(key), weight);
                }
            },
            Step::Update(key, weight) => {
                if let Some(slot) = slots.held.get(&key) {
                    policy.record_update(SlotId(*slot), hash(key), weight);
                    model.update(*slot, hash(key), weight);
                }
            }
            Step::Remove(key, cause) => {
                if let Some(slot) = slots.remove(key) {
                    policy.record_remove(SlotId(slot), 0, cause);
                    model.remove(slot, cause);
                }
            }
            Step::Evict | Step::Look => {
                let victim = policy.select_victim().map(|slot| slot.0);
                let allowed = model.victims();
                prop_assert_eq!(allowed.is_empty(), slots.held.is_empty(), "the model is right");
                let Some(slot) = victim else {
                    prop_assert!(slots.held.is_empty(), "nobody named of {:?}", slots.held);
                    continue;
                };
                prop_assert!(allowed.contains(&slot), "{slot} named, {allowed:?} expected");
                let key = slots.key_of(slot);
                prop_assert!(key.is_some(), "{slot} is not resident");
                // What is asked for does not matter here: the victim goes, or is left.
                let admitted = policy.admit(hash(1000), 1, SlotId(slot));
                prop_assert!(model.admits(hash(1000), 1, slot).is_none_or(|admits| admits == admitted));
                if let (Step::Evict, Some(key)) = (step, key) {
                    slots.remove(key);
                    policy.record_remove(SlotId(slot), 0, RemovalCause::Evicted);
                    model.remove(slot, RemovalCause::Evicted);
                }
            }
        }
    }
    prop_assert!(slots.held.is_empty(), "everybody was named");
    Ok(())
}

/// A cache of so many entries, each of weight one.
pub(super) struct Sim<P> {
    policy: P,
    slots: Slots,
    capacity: usize,
}

impl<P: EvictionPolicy> Sim<P> {
    pub(super) fn new(policy: P, capacity: usize) -> Self {
        Self { policy, slots: Slots::default(), capacity }
    }

    /// Reads keys, and fills those that are missing; returns the hits.
    pub(super) fn get_all(&mut self, keys: Range<u64>) -> usize {
        keys.filter(|key| self.get(*key)).count()
    }

    /// Returns how many of these keys are held.
    pub(super) fn residents(&self, keys: Range<u64>) -> usize {
        self.slots.held.range(keys).count()
    }

    fn get(&mut self, key: u64) -> bool {
        if let Some(slot) = self.slots.held.get(&key) {
            self.policy.record_access(SlotId(*slot), hash(key));
            return true;
        }
        if self.slots.held.len() == self.capacity {
            let victim = self.policy.select_victim().expect("it is full");
            if !self.policy.admit(hash(key), 1, victim) {
                return false;
            }
            let out = self.slots.key_of(victim.0).expect("a resident");
            self.slots.remove(out);
            self.policy.record_remove(victim, 0, RemovalCause::Evicted);
        }
        let slot = self.slots.insert(key);
        self.policy.record_insert(SlotId(slot), hash(key), 1);
        false
    }
}

/// Lets eight readers hit entries under a shared lock while a writer inserts and evicts; afterwards everybody left must
/// be named once.
pub(super) fn hammer(policy: impl EvictionPolicy) {
    const SLOTS: u32 = 256;
    let shard = RwLock::new((policy, HashSet::new()));
    let random = |seed: u64, n: u64| hash(seed << 32 | n);
    thread::scope(|scope| {
        for reader in 0..8 {
            let shard = &shard;
            scope.spawn(move || {
                for n in 0..2000 {
                    let shard = shard.read().unwrap();
                    for m in 0..8 {
                        let slot = (random(reader, n * 8 + m) % u64::from(SLOTS)) as u32;
                        if shard.1.contains(&slot) {
                            shard.0.record_access(SlotId(slot), hash(slot.into()));
                        }
                    }
                }
            });
        }
        for n in 0..4000 {
            let mut guard = shard.write().unwrap();
            let (policy, held) = &mut *guard;
            let slot = (random(9, n) % u64::from(SLOTS)) as u32;
            if held.insert(slot) {
                policy.record_insert(SlotId(slot), hash(slot.into()), 1 + n as usize % 100);
            } else if n % 7 == 0 {
                held.remove(&slot);
                policy.record_remove(SlotId(slot), hash(slot.into()), RemovalCause::Expired);
            } else {
                let victim = policy.select_victim().expect("there are some");
                assert!(held.remove(&victim.0), "a resident");
                policy.record_remove(victim, hash(victim.0.into()), RemovalCause::Evicted);
            }
        }
    });
    let (mut policy, mut held) = shard.into_inner().unwrap();
    while let Some(victim) = policy.select_victim() {
        assert!(held.remove(&victim.0), "a resident, once");
        policy.record_remove(victim, hash(victim.0.into()), RemovalCause::Evicted);
    }
    assert!(held.is_empty(), "everybody is named");
}
