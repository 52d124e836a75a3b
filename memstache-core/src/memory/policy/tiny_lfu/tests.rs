//! The policy against a naive one, and its promises.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::RwLock,
    thread,
};

use proptest::prelude::*;

use super::{
    EvictionPolicy, RemovalCause, SlotId, TinyLfu,
    ring::Ring,
    slots::{Residents, rounded},
    split::{Admission, Division, GHOSTS, Split, WHOLE},
    state::MOST,
    trial::DIVISIONS,
};

/// The rules of a [`Split`] once more, in vectors that are searched and numbers that never wrap.
struct Naive {
    division: Division,
    entries: HashMap<u32, Known>,
    /// Slots by the turn of their list; main is the last one. Dead slots stay until they come first.
    lists: Vec<Vec<u32>>,
    ghosts: Vec<Vec<(u32, u64, u8)>>,
    turn: u64,
    inserted_in_turn: usize,
    epoch: u64,
    inserted_in_epoch: usize,
    ceiling: u64,
    heaviest: u64,
}

#[derive(Clone)]
struct Known {
    print: u32,
    weight: u64,
    count: u8,
    epoch: u64,
    stamp: u64,
    touched: bool,
    main: bool,
}

const MAIN: usize = 16;

impl Naive {
    fn new(division: Division) -> Self {
        Self {
            division,
            entries: HashMap::new(),
            lists: vec![Vec::new(); MAIN + 1],
            ghosts: vec![Vec::new()],
            turn: 16,
            inserted_in_turn: 0,
            epoch: 0,
            inserted_in_epoch: 0,
            ceiling: 0,
            heaviest: 0,
        }
    }

    fn load(&self, main: bool) -> (usize, u64) {
        let of = self.entries.values().filter(|entry| entry.main == main);
        (of.clone().count(), of.map(|entry| entry.weight).sum())
    }

    fn target(&self) -> u64 {
        let share = self.weight() * u64::from(self.division.window) / u64::from(WHOLE);
        share / self.mean() * self.mean()
    }

    fn weight(&self) -> u64 {
        self.load(false).1 + self.load(true).1
    }

    fn mean(&self) -> u64 {
        (self.weight() / (self.entries.len() as u64).max(1)).max(1)
    }

    fn window_is_full(&self) -> bool {
        self.load(true).0 == 0 || self.load(false).1 >= self.target().max(1)
    }

    fn count(&self, slot: u32) -> u8 {
        let entry = &self.entries[&slot];
        entry.count >> (self.epoch - entry.epoch).min(7)
    }

    fn behind(&self, stamp: u64) -> u64 {
        ((self.turn - stamp) % 32).min(15)
    }

    fn link(&mut self, slot: u32) {
        let entry = &self.entries[&slot];
        let at = if entry.main { MAIN } else { ((self.turn - self.behind(entry.stamp)) % 16) as usize };
        if !self.lists.iter().any(|list| list.contains(&slot)) {
            self.lists[at].push(slot);
        }
    }

    fn oldest(&self) -> Option<usize> {
        (1..=16).map(|after| ((self.turn + after) % 16) as usize).find(|at| !self.lists[*at].is_empty())
    }

    fn insert(&mut self, slot: u32, print: u32, weight: u64) {
        let ghost = self.take(print);
        let count = ghost.unwrap_or(0);
        let main = ghost.is_some() && self.division.admission == Admission::SecondUse;
        let (epoch, stamp) = (self.epoch, self.turn);
        self.entries.insert(slot, Known { print, weight, count, epoch, stamp, touched: false, main });
        self.link(slot);
        if !main {
            self.inserted_in_turn += 1;
            if self.inserted_in_turn * 16 >= self.load(false).0 {
                self.inserted_in_turn = 0;
                self.turn += 1;
                let fallen = std::mem::take(&mut self.lists[(self.turn % 16) as usize]);
                let older = &mut self.lists[((self.turn + 1) % 16) as usize];
                older.splice(..0, fallen);
            }
        }
        self.heaviest = self.entries[&slot].weight.max(self.heaviest - self.heaviest / 64);
        let weight = self.weight();
        let room =
            self.ceiling == 0 || weight > self.ceiling + 2 * (self.heaviest - 1) || weight < self.ceiling / 4 * 3;
        for _ in 0..4 {
            if !room || self.load(false).0 < 2 || self.load(false).1 <= self.target() {
                break;
            }
            let Some(slot) = self.window_end(self.division.admission == Admission::Frequency) else { break };
            self.promote(slot);
        }
        while (self.ghosts.len() + 1) * 8 <= self.entries.len() * GHOSTS {
            let at = self.ghosts.len();
            let relieved = (0..at).rev().find(|set| (at - set).is_power_of_two() && at - set > at / 2).unwrap_or(0);
            self.ghosts.push(self.ghosts[relieved].clone());
        }
        self.inserted_in_epoch += 1;
        if self.inserted_in_epoch >= self.entries.len() * 10 {
            self.inserted_in_epoch = 0;
            self.epoch += 1;
        }
    }

    fn access(&mut self, slot: u32) {
        let count = (self.count(slot) + 1).min(MOST);
        let (epoch, stamp) = (self.epoch, self.turn);
        let entry = self.entries.get_mut(&slot).unwrap();
        (entry.count, entry.epoch, entry.stamp, entry.touched) = (count, epoch, stamp, true);
    }

    fn remove(&mut self, slot: u32, evicted: bool) {
        let (count, weight) = (self.count(slot), self.weight());
        let entry = self.entries.remove(&slot).unwrap();
        if evicted {
            self.ceiling = weight.max(self.ceiling - self.ceiling / 256);
            self.put(entry.print, count);
        }
        let at = if entry.main { Some(MAIN) } else { self.oldest() };
        if let Some(at) = at.filter(|at| self.lists[*at].first() == Some(&slot)) {
            self.lists[at].remove(0);
        }
    }

    fn window_end(&mut self, by_use: bool) -> Option<u32> {
        let mut patience = if by_use { 32 } else { 0 };
        while let Some(at) = self.oldest() {
            let slot = self.lists[at][0];
            if let Some(entry) = self.entries.get(&slot)
                && !entry.main
            {
                let age = (self.turn - at as u64) % 16;
                if self.behind(entry.stamp) >= age || patience == 0 {
                    return Some(slot);
                }
                patience -= 1;
            }
            self.requeue(at);
        }
        None
    }

    fn main_end(&mut self) -> Option<u32> {
        let mut patience = 32;
        while let Some(slot) = self.lists[MAIN].first().copied() {
            if self.entries.get(&slot).is_some_and(|entry| entry.main) {
                if patience == 0 {
                    return Some(slot);
                }
                let count = self.count(slot).min(3);
                let epoch = self.epoch;
                let lives = self.division.admission == Admission::SecondUse && count > 0;
                let entry = self.entries.get_mut(&slot).unwrap();
                if entry.touched {
                    entry.touched = false;
                } else if lives {
                    (entry.count, entry.epoch) = (count - 1, epoch);
                } else {
                    return Some(slot);
                }
                patience -= 1;
            }
            self.requeue(MAIN);
        }
        None
    }

    fn requeue(&mut self, at: usize) {
        let slot = self.lists[at].remove(0);
        if self.entries.contains_key(&slot) {
            self.link(slot);
        }
    }

    fn promote(&mut self, slot: u32) {
        if let Some(at) = self.oldest().filter(|at| self.lists[*at][0] == slot) {
            self.lists[at].remove(0);
        }
        let entry = self.entries.get_mut(&slot).unwrap();
        (entry.main, entry.touched) = (true, false);
        self.link(slot);
    }

    fn victim(&mut self) -> Option<u32> {
        let mut by_window = self.window_is_full();
        while !self.entries.is_empty() {
            if by_window && let Some(victim) = self.victim_by_window() {
                return Some(victim);
            }
            if let Some(victim) = self.main_end() {
                return Some(victim);
            }
            by_window = true;
        }
        None
    }

    fn victim_by_window(&mut self) -> Option<u32> {
        for step in 0.. {
            let candidate = self.window_end(self.division.admission == Admission::Frequency)?;
            let mine = self.count(candidate);
            let excess = self.load(false).1 > self.target() + self.target() / 8 + 2 * self.heaviest;
            if self.division.window == WHOLE {
                return Some(candidate);
            } else if excess && step < 4 {
                self.promote(candidate);
            } else if self.division.admission == Admission::SecondUse {
                if mine == 0 || step == 32 {
                    return Some(candidate);
                }
                self.promote(candidate);
                if !self.window_is_full() {
                    return None;
                }
            } else {
                let Some(rival) = self.main_end() else { return Some(candidate) };
                let other = self.count(rival);
                if mine <= other + u8::from(other >= 3) {
                    return Some(candidate);
                }
                self.promote(candidate);
                return Some(rival);
            }
        }
        None
    }

    fn place(&self, print: u32) -> (usize, u32) {
        let spread = print.wrapping_mul(0x9e37_79b1);
        let spread = spread ^ spread >> 15;
        // By linear hashing: by as many bits as the sets take, or one fewer for sets that are not there yet.
        let sets = self.ghosts.len();
        let bits = (0..).find(|bits| 1 << bits >= sets).unwrap_or(0);
        let at = spread as usize % (1 << bits);
        (if at < sets { at } else { at % (1 << (bits - 1)) }, (spread >> 22).max(1))
    }

    fn take(&mut self, print: u32) -> Option<u8> {
        let (set, tag) = self.place(print);
        let at = self.ghosts[set].iter().position(|ghost| ghost.0 == tag)?;
        let (_, epoch, count) = self.ghosts[set].remove(at);
        Some(((count >> (self.epoch - epoch).min(7)) + 1).min(MOST))
    }

    fn put(&mut self, print: u32, count: u8) {
        let (set, tag) = self.place(print);
        let ghosts = &mut self.ghosts[set];
        ghosts.retain(|ghost| ghost.0 != tag);
        ghosts.insert(0, (tag, self.epoch, count));
        ghosts.truncate(8);
    }

    fn admits(&mut self, print: u32, weight: u64, victim: u32) -> bool {
        let (window, room) = (self.load(false).1, self.target().max(self.mean()));
        if self.division.admission == Admission::SecondUse
            || self.division.window == WHOLE
            || !self.entries[&victim].main
            || window >= room
            || window + weight <= room
        {
            return true;
        }
        let (mine, other) = (self.take(print).unwrap_or(0), self.count(victim));
        self.put(print, if mine > other { mine - 1 } else { mine });
        mine > other
    }
}

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
