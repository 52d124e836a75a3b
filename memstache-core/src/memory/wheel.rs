//! Deadlines in a hierarchical timing wheel: constant time to add, move and take away.
//!
//! Varghese, Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987. Six levels of 64 buckets; a bucket of level `n`
//! is `64^n` ticks of 64 ms wide, so the wheel reaches 139 years from the clock's origin, past the longest lifetime.
//! Ticks are absolute and nothing wraps: an item sits at the level of the highest digit (base 64) in which its tick
//! differs from the wheel's, and moves down when the wheel reaches its bucket.

use super::slab::Column;
use crate::clock::Tick;

/// Longest time that an item stays after its deadline, if the wheel is turned often enough.
pub(crate) const TICK_MILLIS: u64 = 1 << TICK_BITS;
const TICK_BITS: u32 = 6;
const LEVELS: usize = 6;
const DIGIT: u32 = 6;
const BUCKETS: usize = 1 << DIGIT;
/// The last tick that six digits can tell; later deadlines are never reached.
const LAST: u64 = (1 << (DIGIT * LEVELS as u32)) - 1;
const NONE: u32 = u32::MAX;

/// Items (dense ids below 2^31) by deadline; eight bytes each.
///
/// Deadlines stay with their owner, who tells them when the wheel asks. An item may also go without a word: the wheel
/// asks for it once more. That spares most of those that are evicted three cache lines, and those that come under their
/// ids two.
pub(crate) struct Wheel {
    heads: [u32; LEVELS * BUCKETS],
    /// One bit a bucket that holds something.
    occupied: [u64; LEVELS],
    links: Column<Link>,
    /// The tick up to which everything has been taken out or moved down.
    elapsed: u64,
    /// Nothing is to be done before this tick.
    idle_until: u64,
}

#[derive(Clone, Copy)]
struct Link {
    /// The item before this one; for the first of a bucket, the bucket with the `FIRST` bit; `NONE` when not in the wheel.
    prev: u32,
    next: u32,
}

/// Marks a bucket in the place of an id.
const FIRST: u32 = 1 << 31;

impl Default for Link {
    fn default() -> Self {
        Self { prev: NONE, next: NONE }
    }
}

impl Wheel {
    pub(crate) const fn new() -> Self {
        Self {
            heads: [NONE; LEVELS * BUCKETS],
            occupied: [0; LEVELS],
            links: Column::new(),
            elapsed: 0,
            idle_until: u64::MAX,
        }
    }

    /// Gives an item a deadline, instead of the one that it may have; [`Tick::NEVER`] takes it out.
    pub(crate) fn set(&mut self, id: u32, deadline: Tick) {
        self.remove(id);
        let tick = tick_of(deadline);
        if tick <= LAST {
            self.link(id, tick);
        }
    }

    /// Gives an item whose deadline was `before` another one.
    ///
    /// A later one costs nothing now: the item is looked at again when the earlier one comes.
    pub(crate) fn change(&mut self, id: u32, before: Tick, deadline: Tick) {
        if before > deadline || tick_of(deadline) > LAST {
            self.set(id, deadline);
        }
    }

    /// Gives a new item a deadline, whose id another had that went without a word, with the deadline `left`.
    ///
    /// If that was not later, the item takes its place; `None` if it is not known.
    pub(crate) fn come(&mut self, id: u32, left: Option<Tick>, deadline: Tick) {
        let waits = |left: &Tick| *left <= deadline && self.links.get(id).is_some_and(|link| link.prev != NONE);
        if tick_of(deadline) > LAST || left.filter(waits).is_none() {
            self.set(id, deadline);
        }
    }

    /// Takes an item out; nothing happens if it is not in.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(Link { prev, next }) = self.links.get(id).copied().filter(|link| link.prev != NONE) else { return };
        if prev & FIRST == 0 {
            self.links.at(prev).next = next;
        } else {
            let bucket = (prev & !FIRST) as usize;
            self.heads[bucket] = next;
            if next == NONE {
                self.occupied[bucket / BUCKETS] &= !(1 << (bucket % BUCKETS));
            }
        }
        if next != NONE {
            self.links.at(next).prev = prev;
        }
        *self.links.at(id) = Link::default();
    }

    /// Returns whether there is nothing to do yet.
    #[inline]
    pub(crate) fn is_idle(&self, now: Tick) -> bool {
        now.as_millis() >> TICK_BITS < self.idle_until
    }

    /// Takes out one item whose deadline has come; each item that is looked at costs one of `steps`.
    ///
    /// `deadline` tells what an item was last given, [`Tick::NEVER`] for one that is gone. `None` with steps left means
    /// that nothing is due.
    pub(crate) fn pop(&mut self, now: Tick, steps: &mut usize, deadline: impl Fn(u32) -> Tick) -> Option<u32> {
        if self.is_idle(now) {
            return None;
        }
        let now = now.as_millis() >> TICK_BITS;
        while *steps > 0 {
            let (bucket, start) = self.first().unwrap_or((0, u64::MAX));
            if start > now {
                self.elapsed = self.elapsed.max(now.min(LAST));
                self.idle_until = start;
                return None;
            }
            *steps -= 1;
            self.elapsed = self.elapsed.max(start);
            let id = self.heads[bucket];
            let tick = tick_of(deadline(id));
            self.remove(id);
            if tick <= self.elapsed {
                return Some(id);
            }
            if tick <= LAST {
                self.link(id, tick);
            }
        }
        None
    }

    fn link(&mut self, id: u32, tick: u64) {
        let at = tick.max(self.elapsed);
        let level = ((at ^ self.elapsed) | (BUCKETS as u64 - 1)).ilog2() / DIGIT;
        let start = at >> (level * DIGIT) << (level * DIGIT);
        let digit = (at >> (level * DIGIT)) as usize % BUCKETS;
        let bucket = level as usize * BUCKETS + digit;
        let next = std::mem::replace(&mut self.heads[bucket], id);
        if next != NONE {
            self.links.at(next).prev = id;
        }
        *self.links.at(id) = Link { prev: FIRST | bucket as u32, next };
        self.occupied[level as usize] |= 1 << digit;
        self.idle_until = self.idle_until.min(start);
    }

    /// Returns the bucket that is reached first, and when.
    ///
    /// A bucket may be reached already and not be empty yet, when the steps ran out: so all levels are looked at.
    fn first(&self) -> Option<(usize, u64)> {
        let start = |level: usize| {
            // Buckets below the wheel's own digit are empty: nothing wraps.
            let digit = self.occupied[level].trailing_zeros() as u64;
            let shift = level as u32 * DIGIT;
            let above = self.elapsed >> shift >> DIGIT << DIGIT;
            (level * BUCKETS + digit as usize, (above | digit) << shift)
        };
        (0..LEVELS).filter(|level| self.occupied[*level] != 0).map(start).min_by_key(|(_, start)| *start)
    }
}

fn tick_of(deadline: Tick) -> u64 {
    deadline.as_millis().div_ceil(TICK_MILLIS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Wheel as Bare, *};

    /// A wheel together with the deadlines that its owner keeps.
    struct Wheel {
        bare: Bare,
        deadlines: BTreeMap<u32, Tick>,
        left: BTreeMap<u32, Tick>,
    }

    impl Wheel {
        fn new() -> Self {
            Self { bare: Bare::new(), deadlines: BTreeMap::new(), left: BTreeMap::new() }
        }

        fn linked(&self) -> usize {
            (0..2000).filter(|id| self.bare.links.get(*id).is_some_and(|link| link.prev != NONE)).count()
        }

        fn set(&mut self, id: u32, deadline: Tick) {
            self.deadlines.insert(id, deadline);
            self.bare.set(id, deadline);
        }

        fn change(&mut self, id: u32, deadline: Tick) {
            match self.deadlines.insert(id, deadline) {
                Some(before) => self.bare.change(id, before, deadline),
                None => self.bare.come(id, self.left.remove(&id), deadline),
            }
        }

        fn remove(&mut self, id: u32) {
            self.bare.remove(id);
            self.deadlines.remove(&id);
            self.left.remove(&id);
        }

        fn leave(&mut self, id: u32) {
            self.left.extend(self.deadlines.remove(&id).map(|deadline| (id, deadline)));
        }

        fn pop(&mut self, now: Tick, steps: &mut usize) -> Option<u32> {
            let id = self.bare.pop(now, steps, |id| self.deadlines.get(&id).copied().unwrap_or(Tick::NEVER))?;
            self.leave(id);
            Some(id)
        }
    }

    fn due(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        std::iter::from_fn(|| wheel.pop(Tick::from_millis(now), &mut 10_000)).collect()
    }

    #[test]
    fn leaves_at_its_deadline_and_not_before() {
        let mut wheel = Wheel::new();
        wheel.set(1, Tick::from_millis(1_000_000));
        assert!(due(&mut wheel, 999_999).is_empty());
        assert_eq!(due(&mut wheel, 1_000_000), [1]);
        assert_eq!(wheel.linked(), 0);
    }

    #[test]
    fn the_longest_lifetimes_fit_and_later_ones_are_never_reached() {
        let mut wheel = Wheel::new();
        let years = 20 * 365 * 86_400_000;
        wheel.set(1, Tick::from_millis(years));
        wheel.set(2, Tick::NEVER);
        wheel.set(3, Tick::from_millis(u64::MAX - 1));
        assert_eq!(wheel.linked(), 1);
        assert!(due(&mut wheel, years - 1).is_empty());
        assert_eq!(due(&mut wheel, years), [1]);
        assert!(due(&mut wheel, u64::MAX).is_empty());
    }

    #[test]
    fn work_is_bounded_by_the_steps() {
        let mut wheel = Wheel::new();
        (0..1000).for_each(|id| wheel.set(id, Tick::from_millis(500_000)));
        let mut steps = 10;
        while wheel.pop(Tick::from_millis(600_000), &mut steps).is_some() {}
        assert_eq!(steps, 0);
        let left = wheel.linked();
        assert!(left >= 990);
        assert_eq!(due(&mut wheel, 600_000).len(), left);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Change(u32, u64),
        Remove(u32),
        Leave(u32),
        Advance(u64),
        Nibble(u64, usize),
    }

    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![0..200u64, 0..20_000u64, 0..10_000_000u64, 0..10_000_000_000u64]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..64u32, span()).prop_map(|(id, span)| Step::Set(id, span)),
            4 => (0..64u32, span()).prop_map(|(id, span)| Step::Change(id, span)),
            1 => (0..64u32).prop_map(Step::Remove),
            3 => (0..64u32).prop_map(Step::Leave),
            2 => span().prop_map(Step::Advance),
            2 => (span(), 0..5usize).prop_map(|(span, steps)| Step::Nibble(span, steps)),
        ]
    }

    proptest! {
        #[test]
        fn nothing_leaves_early_and_all_leave_within_a_tick(
            start in span(), steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut wheel = Wheel::new();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = start;
            for step in steps {
                match step {
                    Step::Set(id, span) => {
                        wheel.set(id, Tick::from_millis(now + span));
                        model.insert(id, now + span);
                    }
                    Step::Change(id, span) => {
                        wheel.change(id, Tick::from_millis(now + span));
                        model.insert(id, now + span);
                    }
                    Step::Remove(id) => {
                        wheel.remove(id);
                        model.remove(&id);
                    }
                    Step::Leave(id) => {
                        wheel.leave(id);
                        model.remove(&id);
                    }
                    Step::Advance(span) => {
                        now += span;
                        for id in due(&mut wheel, now) {
                            prop_assert!(model.remove(&id).unwrap() <= now, "not before its deadline");
                        }
                        prop_assert!(model.values().all(|deadline| now < deadline + TICK_MILLIS), "not later than a tick");
                    }
                    Step::Nibble(span, mut steps) => {
                        now += span;
                        while let Some(id) = wheel.pop(Tick::from_millis(now), &mut steps) {
                            prop_assert!(model.remove(&id).unwrap() <= now);
                        }
                    }
                }
                prop_assert!(wheel.linked() >= model.len());
            }
            due(&mut wheel, u64::MAX);
            prop_assert_eq!(wheel.linked(), 0, "who left is forgotten when its time comes");
        }
    }
}
