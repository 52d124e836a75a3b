//! Members that were lost: one that comes back in the same life may have been on the other side of a split.

use std::collections::VecDeque;

use crate::member::{Incarnation, Member, MemberChange, Members, NodeId};

/// Most members that are remembered.
const MOST: usize = 4096;

/// Members that were gone without a word.
#[derive(Debug, Default)]
pub(super) struct Lost(VecDeque<One>);

#[derive(Debug)]
struct One {
    id: NodeId,
    /// Its life when it was lost.
    life: (Incarnation, u32),
    /// This node's own then.
    own: Option<(Incarnation, u32)>,
    is_back: bool,
}

/// What is to be done about what this node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It is as good as before.
    Good,
    /// Others owned it meanwhile: what they held is to be asked for.
    Missed,
    /// Two sides of a split may have owned it: nobody knows which was the last.
    Split,
    /// The same, and it is not this node that tells others: it was told itself, or whoever was left out is not back yet.
    Void,
}

impl Held {
    /// Whether nothing of it may be answered with, nor handed over.
    pub(super) const fn is_void(self) -> bool {
        matches!(self, Self::Split | Self::Void)
    }
}

impl Lost {
    /// Takes note of what node `me` sees; says what that means for what it holds and owns in both views.
    ///
    /// Who is taken for dead by anybody counts up within its life when it comes back. So a node that was lost and came back has left
    /// this one out if this one had to do so meanwhile, too; or if nobody counts, as in lists that are kept by hand.
    pub(super) fn note(&mut self, before: &Members, now: &Members, changes: &[MemberChange], me: NodeId) -> Held {
        let own = |members: &Members| members.get(me).filter(|me| me.is_active()).map(Member::life);
        let (was, is) = (own(before), own(now));
        let mut is_split = false;
        for change in changes {
            match change {
                MemberChange::Joined(member) => {
                    self.0.retain_mut(|one| {
                        if one.id != member.id {
                            return true;
                        }
                        let lives_on = one.life.0 == member.incarnation;
                        is_split |= lives_on && (one.life == member.life() || one.own != is);
                        one.is_back = true;
                        lives_on
                    });
                }
                MemberChange::Left(member) if member.is_active() && member.id != me => {
                    self.0.retain(|one| one.id != member.id);
                    self.0.truncate(MOST - 1);
                    self.0.push_front(One { id: member.id, life: member.life(), own: was, is_back: false });
                }
                MemberChange::Left(_) | MemberChange::Changed { .. } => {}
            }
        }
        let is_back_itself = was.is_some() && is.is_some() && was != is;
        let missed = if is_back_itself { self.note_lapse() } else { Held::Good };
        if is_back_itself {
            self.0.retain(|one| !one.is_back);
        }
        if is_split { Held::Split } else { missed }
    }

    /// Returns whether a member in this life was lost, and is not back.
    pub(super) fn has(&self, id: NodeId, life: Incarnation) -> bool {
        self.0.iter().any(|one| one.id == id && one.life.0 == life && !one.is_back)
    }

    /// Returns whether anybody is lost.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|one| !one.is_back)
    }

    /// Says the same of a node that was out of touch and sees no other members than before.
    pub(super) fn note_lapse(&self) -> Held {
        match (self.0.is_empty(), self.0.iter().any(|one| one.is_back)) {
            (true, _) => Held::Missed,
            // Should one that is not back ever be, that is a split of its own.
            (false, false) => Held::Void,
            (false, true) => Held::Split,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberState;

    fn member(host: u16, revision: u32) -> Member {
        let [high, low] = host.to_be_bytes();
        let member = Member::at(([10, 0, high, low], 3320).into()).with_incarnation(Incarnation(1));
        member.with_revision(revision).with_state(MemberState::Active)
    }

    /// What node 0 holds, at the end of a story.
    fn held(story: &[Vec<&Member>]) -> Held {
        let (mut lost, mut before, mut held) = (Lost::default(), Members::default(), Held::Good);
        for members in story {
            let now: Members = members.iter().copied().cloned().collect();
            held = lost.note(&before, &now, &now.changes_since(&before), member(0, 0).id);
            before = now;
        }
        held
    }

    #[test]
    fn nothing_is_missed_by_who_was_never_left_out() {
        let [me, a, back] = &[member(0, 0), member(1, 0), member(1, 1)];
        let again = &member(1, 0).with_incarnation(Incarnation(2));
        let drains = &member(1, 0).with_state(MemberState::Draining);
        assert_eq!(held(&[vec![me, a]]), Held::Good);
        assert_eq!(held(&[vec![me, a], vec![me]]), Held::Good);
        assert_eq!(held(&[vec![me, a], vec![me], vec![me, back]]), Held::Good, "it was paused");
        assert_eq!(held(&[vec![me, a], vec![me], vec![me, again]]), Held::Good, "it has started anew");
        assert_eq!(held(&[vec![me, drains], vec![me], vec![me, drains]]), Held::Good, "it owned nothing");
    }

    #[test]
    fn who_comes_back_has_missed_what_the_others_wrote() {
        let [me, back, a] = &[member(0, 0), member(0, 1), member(1, 0)];
        assert_eq!(held(&[vec![me, a], vec![back, a]]), Held::Missed);
    }

    #[test]
    fn two_sides_that_left_each_other_out_are_a_split_whoever_notices_first() {
        let [me, back, later] = &[member(0, 0), member(0, 1), member(0, 2)];
        let [a, a_back] = &[member(1, 0), member(1, 1)];
        let story = |rest: &[Vec<&Member>]| held(&[&[vec![me, a], vec![me]], rest].concat());
        assert_eq!(story(&[vec![back]]), Held::Void, "the other is not back yet");
        assert_eq!(story(&[vec![back], vec![back, a_back]]), Held::Split);
        assert_eq!(story(&[vec![me, a_back], vec![back, a_back]]), Held::Split);
        assert_eq!(story(&[vec![me, a_back], vec![back, a_back], vec![later, a_back]]), Held::Missed, "that is over");
        assert_eq!(story(&[vec![me, a]]), Held::Split, "nobody counts");
    }

    #[test]
    fn who_is_lost_is_known_until_it_is_back_or_starts_anew() {
        let [me, a, back] = &[member(0, 0), member(1, 0), member(1, 1)];
        let again = &member(1, 0).with_incarnation(Incarnation(2));
        let lost = |story: &[&Member]| {
            let (mut lost, mut before) = (Lost::default(), [me, a].into_iter().cloned().collect());
            for other in [me].iter().chain(story) {
                let now: Members = [me, *other].into_iter().cloned().collect();
                lost.note(&before, &now, &now.changes_since(&before), me.id);
                before = now;
            }
            [1, 2].map(|life| lost.has(a.id, Incarnation(life)))
        };
        assert_eq!(lost(&[]), [true, false], "another life was never known");
        assert_eq!(lost(&[back]), [false, false]);
        assert_eq!(lost(&[again]), [false, false]);
    }

    #[test]
    fn the_longest_lost_are_forgotten() {
        let (mut lost, me) = (Lost::default(), member(0, 0));
        let left: Vec<_> = (1..=MOST as u16 + 1).map(|host| MemberChange::Left(member(host, 0))).collect();
        let members: Members = [me.clone()].into_iter().collect();
        lost.note(&members, &members, &left, me.id);
        assert_eq!((lost.0.len(), lost.note_lapse()), (MOST, Held::Void));
        assert_eq!(lost.note(&members, &members, &[MemberChange::Joined(member(1, 0))], me.id), Held::Good);
        assert_eq!(lost.note(&members, &members, &[MemberChange::Joined(member(2, 0))], me.id), Held::Split);
    }
}
