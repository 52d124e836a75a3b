//! The order of the residents: a window by recency and a main queue with second chances.

use super::slots::{NONE, Slots};
use super::state::State;

/// Lists of the window, newest to oldest. Recency is exact to this share of the window.
const TURNS: u8 = 16;
/// Stamps are counted modulo this; twice the lists, so that a stamp that fell off the end is told from a new one.
const STAMPS: u8 = 32;
/// How many used entries one step passes over before it takes whoever is next: it never costs more than microseconds,
/// however many hits there were since the last one.
const PATIENCE: usize = 32;

/// Singly linked lists of slots, the window's and the main one.
///
/// A hit cannot move an entry: it leaves a stamp, the turn of the window in which it happened. An entry that comes to
/// the end of the window with a newer stamp than its list's moves to the list of its stamp. As with multi-generational
/// LRU this is recency order but for entries of one turn, and costs at most one move an entry and turn.
///
/// A slot that is removed anywhere but at the end of its list stays linked, dead, and is dropped when its turn comes;
/// one that is given again meanwhile is alive in the wrong place and moves to the right one when its turn comes. Every
/// such step undoes one removal, so that they are paid for.
pub(super) struct Queues<S> {
    pub(super) slots: S,
    turns: [List; TURNS as usize],
    main: List,
    turn: u8,
    /// Insertions since the turn began.
    age: usize,
    pub(super) window: Load,
    pub(super) protected: Load,
    /// Links followed, and removals that left one to be dropped later.
    #[cfg(test)]
    pub(super) steps: usize,
    #[cfg(test)]
    pub(super) debts: usize,
}

/// How many entries, and how heavy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) len: usize,
    pub(super) weight: u64,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

impl<S: Slots> Queues<S> {
    pub(super) fn new(slots: S) -> Self {
        let list = List { first: NONE, last: NONE };
        let load = Load { len: 0, weight: 0 };
        Self {
            slots,
            turns: [list; TURNS as usize],
            main: list,
            turn: 0,
            age: 0,
            window: load,
            protected: load,
            #[cfg(test)]
            steps: 0,
            #[cfg(test)]
            debts: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.window.len + self.protected.len
    }

    pub(super) fn weight(&self) -> u64 {
        self.window.weight + self.protected.weight
    }

    /// Returns whether a slot is resident.
    pub(super) fn holds(&self, slot: u32) -> bool {
        self.slots.state(slot).is_some_and(State::live)
    }

    /// Returns the stamp that hits leave now.
    pub(super) fn stamp(&self) -> u8 {
        self.turn
    }

    /// Takes in an entry that was begun and returns its weight.
    pub(super) fn insert(&mut self, slot: u32, main: bool) -> u64 {
        let turn = self.turn;
        let state = self.slots.state_mut(slot);
        state.set_stamp(turn);
        state.set_main(main);
        let (linked, weight) = (state.linked(), self.slots.weight(slot));
        self.load(main).add(weight);
        if !linked {
            self.link(slot);
        }
        if !main {
            self.age += 1;
            if self.age * usize::from(TURNS) >= self.window.len {
                self.next_turn();
            }
        }
        weight
    }

    /// Lets an entry go that is alive.
    pub(super) fn remove(&mut self, slot: u32) {
        let state = self.slots.state_mut(slot);
        state.end();
        let (main, weight) = (state.main(), self.slots.weight(slot));
        self.load(main).subtract(weight);
        // The common case, a victim, is the first of its list.
        let at = if main { Some(usize::from(TURNS)) } else { self.oldest() };
        if let Some(at) = at.filter(|at| self.list(*at).first == slot) {
            self.unlink_first(at);
        }
        #[cfg(test)]
        {
            self.debts += usize::from(self.slots.state_mut(slot).linked());
        }
    }

    /// Gives an entry that is alive another weight.
    pub(super) fn reweigh(&mut self, slot: u32, weight: usize) {
        let (main, before) = (self.slots.state_mut(slot).main(), self.slots.weight(slot));
        self.slots.weigh(slot, weight);
        let after = self.slots.weight(slot);
        self.load(main).subtract(before);
        self.load(main).add(after);
    }

    /// Returns the least recently used of the window, or the first that came in when `by_use` is false.
    pub(super) fn window_end(&mut self, by_use: bool) -> Option<u32> {
        let mut patience = if by_use { PATIENCE } else { 0 };
        while let Some(at) = self.oldest() {
            let slot = self.turns[at].first;
            let state = self.slots.state_mut(slot);
            let (live, main, stamp) = (state.live(), state.main(), state.stamp());
            if live && !main {
                let newer = self.turn_of(stamp) != at && self.behind(stamp) < self.behind_list(at);
                if !newer || patience == 0 {
                    return Some(slot);
                }
                patience -= 1;
            }
            self.unlink_first(at);
            if live {
                self.link(slot);
            }
        }
        None
    }

    /// Returns the first of the main queue that nobody used since it was last here; `spare` may let it go round again.
    pub(super) fn main_end(&mut self, mut spare: impl FnMut(&mut State) -> bool) -> Option<u32> {
        let mut patience = PATIENCE;
        while self.main.first != NONE {
            let slot = self.main.first;
            let state = self.slots.state_mut(slot);
            let live = state.live();
            if live && state.main() {
                if patience == 0 || !(state.take_touched() || spare(state)) {
                    return Some(slot);
                }
                patience -= 1;
            }
            self.unlink_first(usize::from(TURNS));
            if live {
                self.link(slot);
            }
        }
        None
    }

    /// Moves what [`window_end`](Self::window_end) returned to the main queue.
    pub(super) fn promote(&mut self, slot: u32) {
        if let Some(at) = self.oldest().filter(|at| self.turns[*at].first == slot) {
            self.unlink_first(at);
        }
        let state = self.slots.state_mut(slot);
        state.take_touched();
        state.set_main(true);
        let (linked, weight) = (state.linked(), self.slots.weight(slot));
        self.window.subtract(weight);
        self.protected.add(weight);
        if !linked {
            self.link(slot);
        }
    }

    /// Puts every entry where it belongs and drops those that went.
    pub(super) fn tidy(&mut self) {
        for at in 0..=usize::from(TURNS) {
            let mut slot = std::mem::replace(self.list(at), List { first: NONE, last: NONE }).first;
            while slot != NONE {
                let next = self.slots.next(slot);
                let state = self.slots.state_mut(slot);
                state.set_linked(false);
                if state.live() {
                    self.link(slot);
                }
                slot = next;
            }
        }
    }

    /// Follows a change of ids.
    pub(super) fn rename(&mut self, ids: &[u32]) {
        for list in self.turns.iter_mut().chain([&mut self.main]).filter(|list| list.first != NONE) {
            (list.first, list.last) = (ids[list.first as usize], ids[list.last as usize]);
        }
    }

    /// Begins a turn; the list that falls off the end joins the next older one, at its older end.
    fn next_turn(&mut self) {
        self.age = 0;
        self.turn = (self.turn + 1) % STAMPS;
        let (end, next) = (self.turn_of(self.turn), self.turn_of(self.turn + 1));
        let fallen = std::mem::replace(&mut self.turns[end], List { first: NONE, last: NONE });
        if fallen.first == NONE {
            return;
        }
        let older = &mut self.turns[next];
        self.slots.set_next(fallen.last, older.first);
        older.first = fallen.first;
        if older.last == NONE {
            older.last = fallen.last;
        }
    }

    /// Returns the list of a stamp; stamps of lists that fell off the end have none and never come here.
    fn turn_of(&self, stamp: u8) -> usize {
        usize::from(stamp % TURNS)
    }

    /// Returns how many turns ago a stamp was left.
    fn behind(&self, stamp: u8) -> u8 {
        (self.turn.wrapping_sub(stamp) % STAMPS).min(TURNS - 1)
    }

    fn behind_list(&self, at: usize) -> u8 {
        self.turn.wrapping_sub(at as u8) % TURNS
    }

    fn oldest(&self) -> Option<usize> {
        (1..=TURNS).map(|after| self.turn_of(self.turn + after)).find(|at| self.turns[*at].first != NONE)
    }

    fn link(&mut self, slot: u32) {
        let state = self.slots.end_list(slot);
        state.set_linked(true);
        let (main, stamp) = (state.main(), state.stamp());
        let at = if main { usize::from(TURNS) } else { self.turn_of(self.turn.wrapping_sub(self.behind(stamp))) };
        let last = std::mem::replace(&mut self.list(at).last, slot);
        match last {
            NONE => self.list(at).first = slot,
            last => self.slots.set_next(last, slot),
        }
    }

    fn unlink_first(&mut self, at: usize) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        let slot = self.list(at).first;
        let next = self.slots.unlink(slot);
        let list = self.list(at);
        list.first = next;
        if next == NONE {
            list.last = NONE;
        }
    }

    fn list(&mut self, at: usize) -> &mut List {
        if at == usize::from(TURNS) { &mut self.main } else { &mut self.turns[at] }
    }

    fn load(&mut self, main: bool) -> &mut Load {
        if main { &mut self.protected } else { &mut self.window }
    }
}

impl Load {
    fn add(&mut self, weight: u64) {
        self.len += 1;
        self.weight += weight;
    }

    fn subtract(&mut self, weight: u64) {
        self.len -= 1;
        self.weight -= weight;
    }
}
