//! One way to divide the residents between recency and frequency.

use super::ghosts::Ghosts;
use super::queues::Queues;
use super::slots::{Samples, Slots};
use super::state::{MOST, Mark, State};

/// The whole, in the unit of [`Division::window`].
pub(super) const WHOLE: u16 = 1000;

/// After so many insertions for each resident all counts are halved.
const EPOCH: usize = 10;
/// How many of those that went are remembered for each resident.
pub(super) const GHOSTS: usize = 2;
/// A window that is too large gives away at most so many entries for one that goes.
const MOVES: usize = 4;
/// From this count on a candidate must lead by two: in a loop it comes up to one use ahead, and has no better claim.
const TIE: u8 = 3;
/// Counts above this do not keep an entry in the main queue for longer, when entries are admitted by a second use.
const LIVES: u8 = 3;

/// A window's share and the rule by which entries leave it for the main queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// Of the resident weight, in thousandths.
    pub(super) window: u16,
    pub(super) admission: Admission,
}

/// Who may go from the window to the main queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Who was used more often than the one that would go instead (TinyLFU).
    Frequency,
    /// Who was used a second time, in the window or after it went (S3-FIFO).
    SecondUse,
}

/// Residents, recently evicted, and who goes next, under a division that may be changed at any time.
pub(super) struct Split<S> {
    division: Division,
    pub(super) queues: Queues<S>,
    pub(super) ghosts: Ghosts,
    /// Modulo 4 in entries and ghosts.
    epoch: u8,
    /// Of the epoch and the turn of the window.
    mark: Mark,
    insertions: usize,
    /// How many steps the sweep over all counts has to go in this epoch.
    unswept: usize,
    swept: u32,
    pub(super) end: u32,
    /// About the most that there was room for of late, by weight: 0 before the first eviction.
    ceiling: u64,
    /// About the heaviest entry of late: by so much weights may waver without meaning anything.
    heaviest: u64,
}

impl<S: Slots> Split<S> {
    pub(super) fn new(division: Division, slots: S) -> Self {
        Self {
            division,
            queues: Queues::new(slots),
            ghosts: Ghosts::new(),
            epoch: 0,
            mark: Mark::new(0, 0),
            insertions: 0,
            unswept: 0,
            swept: 0,
            end: 0,
            ceiling: 0,
            heaviest: 0,
        }
    }

    pub(super) const fn division(&self) -> Division {
        self.division
    }

    /// Changes the division; the entries follow over the next evictions.
    pub(super) fn divide(&mut self, division: Division) {
        self.division = division;
    }

    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    /// Returns whether a slot is resident.
    pub(super) fn holds(&self, slot: u32) -> bool {
        self.queues.holds(slot)
    }

    pub(super) fn insert(&mut self, slot: u32, print: u32, weight: usize) {
        let ghost = self.ghosts.take(print, self.epoch);
        let count = ghost.map_or(0, |count| (count + 1).min(MOST));
        let main = ghost.is_some() && self.division.admission == Admission::SecondUse;
        self.end = self.end.max(slot + 1);
        self.queues.slots.weigh(slot, weight).begin(self.epoch, count);
        let weight = self.queues.insert(slot, main);
        self.heaviest = weight.max(self.heaviest - self.heaviest / 64);
        // Entries of different weights leave gaps that others fill: only more weight than ever, or much less, means
        // that there is room for all.
        let weight = self.queues.weight();
        if self.ceiling == 0 || weight > self.ceiling + 2 * (self.heaviest - 1) || weight < self.ceiling / 4 * 3 {
            self.fill();
        }
        self.age();
        // Nothing else begins a turn or an epoch.
        self.mark = Mark::new(self.epoch, self.queues.stamp());
    }

    #[inline]
    pub(super) fn access(&self, slot: u32) {
        if let Some(state) = self.queues.slots.state(slot) {
            state.hit(self.mark);
        }
    }

    pub(super) fn reweigh(&mut self, slot: u32, weight: usize) {
        if self.queues.slots.state(slot).is_some_and(State::live) {
            self.queues.reweigh(slot, weight);
        }
    }

    /// Lets an entry go, returning whether it was there.
    pub(super) fn remove(&mut self, slot: u32, print: u32, evicted: bool) -> bool {
        let Some(state) = self.queues.slots.state(slot).filter(|state| state.live()) else { return false };
        let count = state.count(self.epoch);
        if evicted {
            self.ceiling = self.queues.weight().max(self.ceiling - self.ceiling / 256);
            self.ghosts.put(print, self.epoch, count);
        }
        self.queues.remove(slot);
        true
    }

    /// Returns whether a new entry is worth more than the victim. If not, it is remembered, so that it may be next time.
    ///
    /// One that the window has room for always is. So is one that takes the place of another of the window, or of the
    /// loser of a comparison: who enters the window takes nothing from the main queue. What the window has no room for
    /// would, and is itself compared. With equal weights that never happens.
    pub(super) fn admits(&mut self, print: u32, weight: u64, victim: u32) -> bool {
        if self.division.admission != Admission::Frequency || self.division.window == WHOLE {
            return true;
        }
        let tight = || {
            let room = self.target().max(self.mean());
            self.queues.window.weight < room && self.queues.window.weight + weight > room
        };
        let victim = self.queues.slots.state(victim).filter(|state| state.live() && state.main());
        let Some(victim) = victim.filter(|_| tight()) else { return true };
        let rival = victim.count(self.epoch);
        let count = self.ghosts.take(print, self.epoch).map_or(0, |count| (count + 1).min(MOST));
        self.ghosts.put(print, self.epoch, if count > rival { count - 1 } else { count });
        count > rival
    }

    pub(super) fn victim(&mut self) -> Option<u32> {
        if self.len() == 0 {
            return None;
        }
        // Nobody comes or goes until a victim is found: the target stays.
        let target = self.target();
        let mut by_window = self.window_is_full(target);
        loop {
            if by_window && let Some(victim) = self.victim_by_window(target) {
                return Some(victim);
            }
            if let Some(victim) = self.main_end() {
                return Some(victim);
            }
            // All that are left stand in the window's lists, maybe not by right: looking there puts them in order.
            by_window = true;
        }
    }

    /// Lets the end of the window compete; `None` if the end of the main queue has to go.
    fn victim_by_window(&mut self, target: u64) -> Option<u32> {
        let by_use = self.division.admission == Admission::Frequency;
        for step in 0.. {
            let candidate = self.queues.window_end(by_use)?;
            let spare = self.is_excessive(target) && step < MOVES;
            match self.division {
                Division { window: WHOLE, .. } => return Some(candidate),
                _ if spare => self.queues.promote(candidate),
                Division { admission: Admission::SecondUse, .. } => {
                    if self.count(candidate) == 0 || step == 8 * MOVES {
                        return Some(candidate);
                    }
                    self.queues.promote(candidate);
                    if !self.window_is_full(target) {
                        return None;
                    }
                }
                Division { admission: Admission::Frequency, .. } => {
                    let Some(rival) = self.main_end() else { return Some(candidate) };
                    let count = self.count(rival);
                    if self.count(candidate) <= count + u8::from(count >= TIE) {
                        return Some(candidate);
                    }
                    self.queues.promote(candidate);
                    return Some(rival);
                }
            }
        }
        None
    }

    fn main_end(&mut self) -> Option<u32> {
        let (lives, epoch) = (self.division.admission == Admission::SecondUse, self.epoch);
        self.queues.main_end(|state: &mut State| {
            let count = state.count(epoch).min(LIVES);
            if lives && count > 0 {
                state.set_count(epoch, count - 1);
            }
            lives && count > 0
        })
    }

    /// Passes entries on to the main queue while there is room for all.
    fn fill(&mut self) {
        for _ in 0..MOVES {
            if self.queues.window.len < 2 || self.queues.window.weight <= self.target() {
                return;
            }
            match self.queues.window_end(self.division.admission == Admission::Frequency) {
                Some(slot) => self.queues.promote(slot),
                None => return,
            }
        }
    }

    /// Lets counts of an epoch ago be halved in time, a few at each insertion.
    fn age(&mut self) {
        self.ghosts.reserve(self.len() * GHOSTS);
        self.insertions += 1;
        if self.insertions >= self.len() * EPOCH {
            self.insertions = 0;
            self.epoch = self.epoch.wrapping_add(1);
            self.unswept = self.ghosts.sets().max(self.end as usize);
        }
        if self.unswept > 0 {
            self.unswept -= 1;
            self.swept = (self.swept + 1) % self.end;
            let epoch = self.epoch;
            let state = self.queues.slots.state_mut(self.swept);
            let count = state.count(epoch);
            state.set_count(epoch, count);
            self.ghosts.age(epoch);
        }
    }

    /// Returns how often an entry was used of late.
    pub(super) fn count(&self, slot: u32) -> u8 {
        self.queues.slots.state(slot).map_or(0, |state| state.count(self.epoch))
    }

    /// Returns what the window should weigh: whole entries, so that equal weights of any size count alike.
    fn target(&self) -> u64 {
        // Whole and part by themselves: the product would not fit.
        let (weight, window, whole) = (self.queues.weight(), u64::from(self.division.window), u64::from(WHOLE));
        let share = weight / whole * window + weight % whole * window / whole;
        let mean = self.mean();
        share / mean * mean
    }

    fn mean(&self) -> u64 {
        (self.queues.weight() / self.len().max(1) as u64).max(1)
    }

    fn window_is_full(&self, target: u64) -> bool {
        self.queues.protected.len == 0 || self.queues.window.weight >= target.max(1)
    }

    /// Returns whether the window is well above its share, as after the share became smaller.
    fn is_excessive(&self, target: u64) -> bool {
        self.queues.window.weight > target + target / 8 + 2 * self.heaviest
    }
}

impl Split<Samples> {
    /// Gives dense ids to what there is, returning the new one for each that there was.
    pub(super) fn compact(&mut self) -> Vec<u32> {
        self.queues.tidy();
        let ids = self.queues.slots.compact();
        self.queues.rename(&ids);
        self.end = self.queues.slots.end() as u32;
        self.ghosts.shrink(self.len() * GHOSTS);
        ids
    }
}
