//! The rules of a split, written down naively.

use std::collections::HashMap;

use super::super::{
    split::{Admission, Division, GHOSTS, WHOLE},
    state::MOST,
};

/// The rules of a [`Split`] once more, in vectors that are searched and numbers that never wrap.
pub(super) struct Naive {
    pub(super) division: Division,
    pub(super) entries: HashMap<u32, Known>,
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
pub(super) struct Known {
    print: u32,
    pub(super) weight: u64,
    count: u8,
    epoch: u64,
    stamp: u64,
    touched: bool,
    main: bool,
}

const MAIN: usize = 16;

impl Naive {
    pub(super) fn new(division: Division) -> Self {
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

    pub(super) fn insert(&mut self, slot: u32, print: u32, weight: u64) {
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

    pub(super) fn access(&mut self, slot: u32) {
        let count = (self.count(slot) + 1).min(MOST);
        let (epoch, stamp) = (self.epoch, self.turn);
        let entry = self.entries.get_mut(&slot).unwrap();
        (entry.count, entry.epoch, entry.stamp, entry.touched) = (count, epoch, stamp, true);
    }

    pub(super) fn remove(&mut self, slot: u32, evicted: bool) {
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

    pub(super) fn victim(&mut self) -> Option<u32> {
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

    pub(super) fn admits(&mut self, print: u32, weight: u64, victim: u32) -> bool {
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
