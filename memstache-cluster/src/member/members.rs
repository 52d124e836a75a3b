//! A snapshot of who is there.

use std::sync::Arc;

use super::{Member, NodeId};

/// The most members of a cluster. What comes above is not taken in.
pub const MAX_MEMBERS: usize = u16::MAX as usize;

/// Who is there at a moment: each node once, in the order of their ids.
///
/// Cheap to clone. Of several lives of one node the latest is kept.
///
/// ```
/// use memstache_cluster::{Incarnation, Member, Members};
///
/// let a = Member::at("10.0.0.1:3320".parse().unwrap());
/// let b = Member::at("10.0.0.2:3320".parse().unwrap());
/// let again = a.clone().with_incarnation(Incarnation(1));
/// let members = Members::new([a.clone(), b, again]);
/// assert_eq!(members.len(), 2);
/// assert_eq!(members.get(a.id).unwrap().incarnation, Incarnation(1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Arc<[Member]>);

impl Members {
    /// Gathers members; those above [`MAX_MEMBERS`] in the order of their ids are left out.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_by(|a, b| a.id.cmp(&b.id).then(b.incarnation.cmp(&a.incarnation)));
        members.dedup_by_key(|member| member.id);
        members.truncate(MAX_MEMBERS);
        Self(members.into())
    }

    /// Returns the member with this id.
    pub fn get(&self, id: NodeId) -> Option<&Member> {
        let at = self.0.binary_search_by_key(&id, |member| member.id).ok()?;
        self.0.get(at)
    }

    /// Returns whether there is a member with this id.
    pub fn contains(&self, id: NodeId) -> bool {
        self.get(id).is_some()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates in the order of ids.
    pub fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.0.iter()
    }

    /// Iterates over those that own keys.
    pub fn active(&self) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(|member| member.is_active())
    }

    /// Returns what happened between an earlier snapshot and this one, in the order of ids.
    pub fn changes_since(&self, earlier: &Self) -> Vec<MemberChange> {
        let mut changes: Vec<_> = self
            .iter()
            .filter_map(|now| match earlier.get(now.id) {
                None => Some(MemberChange::Joined(now.clone())),
                Some(before) if before == now => None,
                Some(before) => Some(MemberChange::Changed { before: before.clone(), now: now.clone() }),
            })
            .collect();
        let gone = earlier.iter().filter(|before| !self.contains(before.id));
        changes.extend(gone.cloned().map(MemberChange::Left));
        changes.sort_by_key(MemberChange::id);
        changes
    }
}

impl<'a> IntoIterator for &'a Members {
    type Item = &'a Member;
    type IntoIter = std::slice::Iter<'a, Member>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Member> for Members {
    fn from_iter<T: IntoIterator<Item = Member>>(members: T) -> Self {
        Self::new(members)
    }
}

/// What happened to one member between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberChange {
    /// It is new.
    Joined(Member),
    /// It left, or was declared dead.
    Left(Member),
    /// It describes itself otherwise; another incarnation is a restart.
    Changed {
        /// As it was.
        before: Member,
        /// As it is.
        now: Member,
    },
}

impl MemberChange {
    /// Returns which node it is about.
    pub fn id(&self) -> NodeId {
        match self {
            Self::Joined(member) | Self::Left(member) | Self::Changed { now: member, .. } => member.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Incarnation, MemberState};

    fn member(host: u8) -> Member {
        Member::at(([10, 0, 0, host], 3320).into())
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let forth = Members::new((1..9).map(member));
        assert_eq!(forth, Members::new((1..9).rev().map(member)));
        assert!(forth.iter().is_sorted_by_key(|member| member.id));
        assert_eq!(forth.len(), 8);
    }

    #[test]
    fn changes_are_told_once_each() {
        let earlier = Members::new([member(1), member(2), member(3)]);
        let active = member(2).with_state(MemberState::Active).with_incarnation(Incarnation(4));
        let now = Members::new([member(1), active.clone(), member(4)]);
        let mut expected = vec![
            MemberChange::Changed { before: member(2), now: active.clone() },
            MemberChange::Left(member(3)),
            MemberChange::Joined(member(4)),
        ];
        expected.sort_by_key(MemberChange::id);
        assert_eq!(now.changes_since(&earlier), expected);
        assert_eq!(now.changes_since(&now), []);
        assert_eq!(now.active().collect::<Vec<_>>(), [&active]);
    }

    #[test]
    fn there_is_a_most() {
        let many = (0..=MAX_MEMBERS as u64).map(|id| Member { id: NodeId(id), ..member(1) });
        assert_eq!(Members::new(many).len(), MAX_MEMBERS);
    }
}
