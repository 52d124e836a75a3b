//! Splits that are over: whoever came back from one says so to all, who let go of what may have been changed behind their backs.
//!
//! A node that left others out and sees them again has owned what they own. It counts that once it acknowledges nothing any more by
//! what it saw, and has each question whether others see the same as it does carry the count for a while: it may be that they
//! noticed nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Release},
    },
    time::Duration,
};

use memstache_core::Tick;
use parking_lot::Mutex;

use crate::member::{Incarnation, Members, NodeId};

/// For how long it is news that a split is over: who starts later holds nothing from before it. Who does not answer is told later,
/// too.
const NEWS: Duration = Duration::from_secs(30);
/// Where so many told of splits, those are forgotten that are no members. Not sooner: who tells may be a member in a moment.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Splits {
    own: AtomicU64,
    /// Until when that is news, in milliseconds.
    until: AtomicU64,
    told: Mutex<HashMap<NodeId, Told>>,
    /// Lives of members that are told until they answer.
    telling: Mutex<HashSet<(NodeId, Incarnation)>>,
}

/// How many splits a member has told of, in which life, and when.
#[derive(Debug)]
struct Told {
    life: Incarnation,
    splits: u64,
    at: Tick,
}

/// What is to be done about what a member tells of splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is known.
    Known,
    /// What is held is to be let go of.
    New,
    /// It has told of another a moment ago: it is to tell again.
    TooSoon,
}

impl Splits {
    /// Returns how many this node has come back from.
    pub(super) fn own(&self) -> u64 {
        self.own.load(Acquire)
    }

    /// Returns the same as long as that is news; else none.
    pub(super) fn news(&self, now: Tick) -> u64 {
        if now.as_millis() < self.until.load(Acquire) { self.own() } else { 0 }
    }

    /// Counts one more.
    pub(super) fn came_back(&self, now: Tick) {
        self.own.fetch_add(1, AcqRel);
        self.until.store(now.after(NEWS).as_millis(), Release);
    }

    /// Says what it means that a member tells of so many; what one tells is new once within a rest.
    pub(super) fn hear(&self, by: NodeId, life: Incarnation, splits: u64, now: Tick, rest: Duration) -> News {
        if splits == 0 {
            return News::Known;
        }
        match self.told.lock().get(&by) {
            Some(known) if known.life == life && splits <= known.splits => News::Known,
            Some(known) if now < known.at.after(rest) => News::TooSoon,
            _ => News::New,
        }
    }

    /// Takes note of how many a member has told of, once what was held is let go of.
    pub(super) fn note(&self, by: NodeId, life: Incarnation, splits: u64, now: Tick, members: &Members) {
        let mut told = self.told.lock();
        if told.len() >= MOST {
            told.retain(|id, _| members.contains(*id));
        }
        told.insert(by, Told { life, splits, at: now });
    }

    /// Returns whether a member is to be told by somebody new until it answers.
    pub(super) fn begin_to_tell(&self, member: (NodeId, Incarnation)) -> bool {
        self.telling.lock().insert(member)
    }

    /// Ends that, unless there were more splits than the member was told of; returns whether it has ended.
    pub(super) fn has_told(&self, member: (NodeId, Incarnation), splits: u64) -> bool {
        let mut telling = self.telling.lock();
        let all = splits == self.own();
        if all {
            telling.remove(&member);
        }
        all
    }

    /// Ends that.
    pub(super) fn tell_no_more(&self, member: (NodeId, Incarnation)) {
        self.telling.lock().remove(&member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Member;

    const REST: Duration = Duration::from_secs(1);
    const LIFE: Incarnation = Incarnation(1);

    fn node(n: usize) -> NodeId {
        let [.., high, low] = n.to_be_bytes();
        Member::at(([10, 1, high, low], 3320).into()).id
    }

    /// What a node tells, if what is new is let go of.
    fn hear(splits: &Splits, by: NodeId, life: Incarnation, count: u64, now: Tick) -> News {
        let news = splits.hear(by, life, count, now, REST);
        if news == News::New {
            splits.note(by, life, count, now, &Members::default());
        }
        news
    }

    #[test]
    fn each_is_told_of_once() {
        let (splits, later) = (Splits::default(), |n: u32| Tick::default().after(REST * n));
        let tells = |life, count, at: u32| hear(&splits, node(0), Incarnation(life), count, later(at));
        assert_eq!((tells(1, 0, 1), tells(1, 1, 1), tells(1, 1, 9)), (News::Known, News::New, News::Known));
        assert_eq!((tells(1, 3, 10), tells(1, 2, 20)), (News::New, News::Known), "late");
        assert_eq!((tells(2, 0, 30), tells(2, 1, 30)), (News::Known, News::New), "another life");
    }

    #[test]
    fn it_is_known_of_who_is_no_member_too_until_there_are_too_many() {
        let (splits, now) = (Splits::default(), Tick::default());
        (0..MOST).for_each(|n| assert_eq!(hear(&splits, node(n), LIFE, 1, now), News::New));
        (0..MOST).for_each(|n| assert_eq!(hear(&splits, node(n), LIFE, 1, now), News::Known));
        assert_eq!(hear(&splits, node(MOST), LIFE, 1, now), News::New);
        assert_eq!(splits.told.lock().len(), 1);
    }

    #[test]
    fn who_counts_on_and_on_is_heard_once_within_a_rest() {
        let (splits, ms) = (Splits::default(), Tick::from_millis);
        let heard = (0..3000).filter(|at| hear(&splits, node(0), LIFE, at + 1, ms(*at)) == News::New).count();
        assert_eq!(heard, 3);
        let heard = (3000..6000).filter(|at| hear(&splits, node(0), Incarnation(*at), 1, ms(*at)) == News::New).count();
        assert_eq!(heard, 3, "of all its lives");
        assert_eq!(hear(&splits, node(1), LIFE, 1, ms(6000)), News::New, "nobody else");
    }

    #[test]
    fn it_is_news_for_a_while() {
        let (splits, now) = (Splits::default(), Tick::from_millis(5));
        assert_eq!(splits.news(now), 0);
        splits.came_back(now);
        splits.came_back(now);
        assert_eq!((splits.news(now), splits.news(now.after(NEWS)), splits.own()), (2, 0, 2));
    }

    #[test]
    fn one_is_enough_to_tell_a_member_until_it_knows_all() {
        let (splits, member) = (Splits::default(), (node(0), LIFE));
        splits.came_back(Tick::default());
        assert!(splits.begin_to_tell(member) && !splits.begin_to_tell(member));
        splits.came_back(Tick::default());
        assert!(!splits.has_told(member, 1) && !splits.begin_to_tell(member));
        assert!(splits.has_told(member, 2) && splits.begin_to_tell(member));
        splits.tell_no_more(member);
        assert!(splits.begin_to_tell(member));
    }
}
