//! The promises of the policy.

use std::{
    collections::{HashSet, VecDeque},
    sync::RwLock,
    thread,
};

use proptest::prelude::*;

use super::{EvictionPolicy, RemovalCause, SlotId, TinyLfu, ring::Ring};

fn hash(key: u64) -> u64 {
    let z = (key ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn evict(policy: &mut TinyLfu, held: &mut HashSet<u32>) {
    let victim = policy.select_victim();
    assert_eq!(victim.is_none(), held.is_empty());
    if let Some(victim) = victim {
        assert!(held.remove(&victim.0), "a resident");
        policy.record_remove(victim, 0, RemovalCause::Evicted);
    }
}

proptest! {
    #[test]
    fn names_only_residents_and_all_of_them(
        steps in prop::collection::vec((0..10u8, 0..90u32, any::<u16>()), 0..3000),
        seed: u64,
    ) {
        let (mut policy, mut held) = (TinyLfu::new(0, seed), HashSet::new());
        for (what, slot, weight) in steps {
            let key = u64::from(slot) % 50;
            match what {
                0..6 if held.contains(&slot) => policy.record_access(SlotId(slot), hash(key)),
                6 if held.contains(&slot) => {
                    policy.record_update(SlotId(slot), hash(key), usize::MAX - usize::from(weight));
                }
                0..7 => {
                    held.insert(slot);
                    policy.record_insert(SlotId(slot), hash(key), usize::from(weight));
                }
                7 if held.remove(&slot) => policy.record_remove(SlotId(slot), 0, RemovalCause::Expired),
                7 => {}
                _ => match policy.select_victim() {
                    Some(victim) if !policy.admit(hash(key), weight.into(), victim) => {
                        prop_assert!(held.contains(&victim.0));
                    }
                    _ => evict(&mut policy, &mut held),
                },
            }
            prop_assert_eq!(policy.split.len(), held.len());
        }
        for _ in 0..=held.len() {
            evict(&mut policy, &mut held);
        }
        prop_assert!(held.is_empty());
    }
}

/// Serves keys with so much room; returns who was resident in the end.
fn serve(policy: &mut TinyLfu, room: usize, weight: usize, keys: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut held: Vec<u64> = Vec::new();
    for key in keys {
        if let Some(slot) = held.iter().position(|at| *at == key) {
            policy.record_access(SlotId(slot as u32), hash(key));
        } else if held.len() < room {
            policy.record_insert(SlotId(held.len() as u32), hash(key), weight);
            held.push(key);
        } else {
            let victim = policy.select_victim().expect("it is full");
            if policy.admit(hash(key), weight, victim) {
                policy.record_remove(victim, 0, RemovalCause::Evicted);
                held[victim.index()] = key;
                policy.record_insert(victim, hash(key), weight);
            }
        }
    }
    held
}

fn keys() -> impl Iterator<Item = u64> {
    (0..20_000).map(|at| if at % 3 == 0 { at / 3 % 300 } else { hash(at) % 200 * (hash(at + 1) % 50) / 50 })
}

#[test]
fn a_seed_decides_everything() {
    let run = || serve(&mut TinyLfu::new(1 << 20, 7), 128, 1, keys());
    assert_eq!(run(), run());
}

#[test]
fn equal_weights_of_any_size_count_alike() {
    let run = |weight| serve(&mut TinyLfu::new(1 << 20, 7), 128, weight, keys());
    assert_eq!(run(1), run(8192));
    assert_eq!(run(1), run(8192 + 301));
}

#[test]
fn an_empty_one_is_small_and_grows_with_its_entries() {
    let mut policy = TinyLfu::new(1 << 20, 7);
    assert!(size_of::<TinyLfu>() + policy.bytes() < 1024, "{}", size_of::<TinyLfu>() + policy.bytes());
    assert_eq!(policy.select_victim(), None);
    for (entries, most) in [(256, 60), (1_000, 36), (10_000, 16), (50_000, 14)] {
        let mut policy = TinyLfu::new(0, 7);
        (0..entries as u32).for_each(|slot| policy.record_insert(SlotId(slot), hash(slot.into()), 100));
        assert!(policy.bytes() <= entries * most, "{entries}: {}", policy.bytes());
    }
}

#[test]
fn survives_many_readers() {
    let shard = RwLock::new((TinyLfu::new(0, 3), HashSet::new()));
    thread::scope(|scope| {
        for reader in 0..8_u64 {
            let shard = &shard;
            scope.spawn(move || {
                for n in 0..4000 {
                    let shard = shard.read().unwrap();
                    let slot = (hash(reader << 32 | n) % 256) as u32;
                    if shard.1.contains(&slot) {
                        shard.0.record_access(SlotId(slot), hash(slot.into()));
                    }
                }
            });
        }
        for n in 0..4000 {
            let mut guard = shard.write().unwrap();
            let (policy, held) = &mut *guard;
            let slot = (hash(9 << 32 | n) % 256) as u32;
            if held.insert(slot) {
                policy.record_insert(SlotId(slot), hash(slot.into()), 1 + n as usize % 100);
            } else {
                evict(policy, held);
            }
        }
    });
    let (mut policy, mut held) = shard.into_inner().unwrap();
    (0..=held.len()).for_each(|_| evict(&mut policy, &mut held));
    assert!(held.is_empty());
}

proptest! {
    #[test]
    fn a_ring_is_a_queue_that_loses_what_does_not_fit(steps in prop::collection::vec(0..100u32, 0..500)) {
        let (mut ring, mut naive) = (Ring::new(), VecDeque::new());
        for step in steps {
            match step {
                0 => ring.reserve(naive.len() * 2),
                1..45 => prop_assert_eq!(ring.pop(), naive.pop_front()),
                _ => {
                    if naive.len() < ring.places() {
                        naive.push_back(step);
                    }
                    ring.push(step);
                }
            }
            ring.reserve(4);
        }
    }
}
