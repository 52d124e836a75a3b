//! Splits that are over: whoever came back from one says so to all, who let go of what may have been changed behind their backs.
//!
//! A node that left others out and sees them again has owned what they own. It counts that once it acknowledges nothing any more by
//! what it saw, and has each question whether others see the same as it does carry the count: it may be that they noticed nothing.

use std::{
    collections::HashMap,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
};

use parking_lot::Mutex;

use crate::member::{Incarnation, Members, NodeId};

#[derive(Debug, Default)]
pub(super) struct Splits {
    own: AtomicU64,
    /// How many the others have told of, and in which life.
    told: Mutex<HashMap<NodeId, (Incarnation, u64)>>,
}

impl Splits {
    /// Returns how many this node has come back from.
    pub(super) fn own(&self) -> u64 {
        self.own.load(Acquire)
    }

    /// Counts one more.
    pub(super) fn came_back(&self) {
        self.own.fetch_add(1, AcqRel);
    }

    /// Takes note of how many a member has come back from; returns whether it was not known.
    pub(super) fn is_told(&self, by: NodeId, life: Incarnation, splits: u64) -> bool {
        if splits == 0 {
            return false;
        }
        let mut told = self.told.lock();
        let known = told.get(&by).filter(|(of, _)| *of == life).map_or(0, |(_, known)| *known);
        if splits > known {
            told.insert(by, (life, splits));
        }
        splits > known
    }

    /// Forgets what was told by others than these.
    pub(super) fn keep(&self, members: &Members) {
        self.told.lock().retain(|id, _| members.contains(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Member;

    #[test]
    fn each_is_told_of_once() {
        let (splits, member) = (Splits::default(), Member::at(([10, 0, 0, 1], 3320).into()));
        let (first, second) = (Incarnation(1), Incarnation(2));
        assert!(!splits.is_told(member.id, first, 0));
        assert!(splits.is_told(member.id, first, 1) && !splits.is_told(member.id, first, 1));
        assert!(splits.is_told(member.id, first, 3) && !splits.is_told(member.id, first, 2), "late");
        assert!(!splits.is_told(member.id, second, 0) && splits.is_told(member.id, second, 1), "another life");
        splits.keep(&[member.clone()].into_iter().collect());
        assert!(!splits.is_told(member.id, second, 1));
        splits.keep(&Members::default());
        assert!(splits.is_told(member.id, second, 1));
        splits.came_back();
        assert_eq!(splits.own(), 1);
    }
}
