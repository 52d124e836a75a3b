//! The policy against a naive one, and its promises.

mod naive;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::RwLock,
    thread,
};

use proptest::prelude::*;

use self::naive::Naive;
use super::{
    EvictionPolicy, RemovalCause, SlotId, TinyLfu,
    ring::Ring,
    slots::{Residents, rounded},
    split::Split,
    trial::DIVISIONS,
};

#[derive(Clone, Debug)]
enum Step {
    Use(u32, u16),
    Reweigh(u32, u16),
    Remove(u32),
    Evict(u16),
    Turn(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..90u32, 0..1000u16).prop_map(|(slot, weight)| Step::Use(slot, weight)),
        4 => (0..25u32, 0..3u16).prop_map(|(slot, weight)| Step::Use(slot, weight)),
        1 => (0..90u32, 0..1000u16).prop_map(|(slot, weight)| Step::Reweigh(slot, weight)),
        1 => (0..90u32).prop_map(Step::Remove),
        5 => (0..1000u16).prop_map(Step::Evict),
    ];
    let turn = (0..DIVISIONS.len()).prop_map(Step::Turn);
    prop::collection::vec(prop_oneof![60 => step, 1 => turn], 0..3000)
}

/// How many links one call follows at most, beside those that undo removals.
const STEPS: usize = 400;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn decides_like_the_naive_one_in_few_steps(steps in steps(), first in 0..DIVISIONS.len()) {
        let mut split = Split::new(DIVISIONS[first], Residents::new());
        let mut naive = Naive::new(DIVISIONS[first]);
        let mut paid = 0;
        for step in steps {
            let before = split.queues.steps;
            match step {
                Step::Use(slot, _) if naive.entries.contains_key(&slot) => {
                    split.access(slot);
                    naive.access(slot);
                }
                Step::Use(slot, weight) => {
                    split.insert(slot, print(slot), weight.into());
                    naive.insert(slot, print(slot), rounded(weight.into()));
                }
                Step::Reweigh(slot, weight) => {
                    if let Some(entry) = naive.entries.get_mut(&slot) {
                        split.reweigh(slot, weight.into());
                        entry.weight = rounded(weight.into());
                    }
                }
                Step::Remove(slot) => {
                    let held = naive.entries.contains_key(&slot);
                    prop_assert_eq!(split.remove(slot, print(slot), false), held);
                    if held {
                        naive.remove(slot, false);
                    }
                }
                Step::Evict(weight) => {
                    let victim = split.victim();
                    prop_assert_eq!(victim, naive.victim());
                    let (new, weight) = (print(weight.into()), rounded(weight.into()));
                    if let Some(slot) = victim {
                        let admitted = naive.admits(new, weight, slot);
                        prop_assert_eq!(split.admits(new, weight, slot), admitted);
                        if admitted {
                            split.remove(slot, print(slot), true);
                            naive.remove(slot, true);
                        }
                    }
                }
                Step::Turn(at) => {
                    split.divide(DIVISIONS[at]);
                    naive.division = DIVISIONS[at];
                }
            }
            prop_assert_eq!(split.len(), naive.entries.len());
            paid += (split.queues.steps - before).saturating_sub(STEPS);
            prop_assert!(paid <= split.queues.debts);
        }
    }
}

fn print(slot: u32) -> u32 {
    slot.wrapping_mul(0x85eb_ca6b)
}

/// After a long run of hits to everyone, and at every division in turn, no call takes many steps.
#[test]
fn no_call_takes_many_steps_after_many_hits() {
    let mut most = 0;
    for (at, division) in DIVISIONS.into_iter().enumerate() {
        let mut split = Split::new(division, Residents::new());
        (0..5_000).for_each(|slot| split.insert(slot, print(slot), 1));
        for round in 0..4 {
            split.divide(DIVISIONS[(at + round) % DIVISIONS.len()]);
            (0..5_000).for_each(|slot| split.access(slot));
            for next in 0..2_000 {
                let before = split.queues.steps;
                let victim = split.victim().expect("it is full");
                split.remove(victim, print(victim), true);
                split.insert(victim, print(5_000 + next), 1);
                most = most.max(split.queues.steps - before);
            }
        }
    }
    assert!((1..=STEPS).contains(&most), "{most}");
}

fn hash(key: u64) -> u64 {
    let z = (key ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn evict(policy: &mut TinyLfu, held: &mut HashMap<u32, u64>) {
    let victim = policy.select_victim();
    assert_eq!(victim.is_none(), held.is_empty());
    if let Some(victim) = victim {
        let key = held.remove(&victim.0).expect("a resident");
        policy.record_remove(victim, hash(key), RemovalCause::Evicted);
    }
}

proptest! {
    #[test]
    fn names_only_residents_and_all_of_them(
        steps in prop::collection::vec((0..10u8, 0..90u32, any::<u16>()), 0..3000),
        seed: u64,
    ) {
        let (mut policy, mut held) = (TinyLfu::new(0, seed), HashMap::new());
        for (what, slot, weight) in steps {
            let key = u64::from(slot) % 50;
            match what {
                0..6 if held.contains_key(&slot) => policy.record_access(SlotId(slot), hash(key)),
                6 if held.contains_key(&slot) => {
                    policy.record_update(SlotId(slot), hash(key), usize::MAX - usize::from(weight));
                }
                0..7 => {
                    held.insert(slot, key);
                    policy.record_insert(SlotId(slot), hash(key), usize::from(weight));
                }
                7 if held.remove(&slot).is_some() => policy.record_remove(SlotId(slot), hash(key), RemovalCause::Expired),
                7 => {}
                _ => match policy.select_victim() {
                    Some(victim) if !policy.admit(hash(key), weight.into(), victim) => {
                        prop_assert!(held.contains_key(&victim.0));
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
                policy.record_remove(victim, hash(held[victim.index()]), RemovalCause::Evicted);
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
    for (entries, most) in [(256, 100), (512, 100), (1_000, 40), (10_000, 16), (50_000, 15)] {
        let mut policy = TinyLfu::new(0, 7);
        (0..entries as u32).for_each(|slot| policy.record_insert(SlotId(slot), hash(slot.into()), 100));
        assert!(policy.bytes() <= entries * most, "{entries}: {}", policy.bytes());
    }
}

#[test]
fn survives_many_readers() {
    let shard = RwLock::new((TinyLfu::new(0, 3), HashMap::new()));
    thread::scope(|scope| {
        for reader in 0..8_u64 {
            let shard = &shard;
            scope.spawn(move || {
                for n in 0..4000 {
                    let shard = shard.read().unwrap();
                    let slot = (hash(reader << 32 | n) % 256) as u32;
                    if shard.1.contains_key(&slot) {
                        shard.0.record_access(SlotId(slot), hash(slot.into()));
                    }
                }
            });
        }
        for n in 0..4000 {
            let mut guard = shard.write().unwrap();
            let (policy, held) = &mut *guard;
            let slot = (hash(9 << 32 | n) % 256) as u32;
            if let Entry::Vacant(free) = held.entry(slot) {
                free.insert(slot.into());
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
        let (mut ring, mut naive) = (Ring::new(), std::collections::VecDeque::new());
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
