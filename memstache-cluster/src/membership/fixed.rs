//! A list of members that does not change by itself.

use async_trait::async_trait;
use memstache_core::{Result, Tick};
use tokio::sync::watch;

use super::Membership;
use crate::member::{Member, MemberState, Members, NodeId};

/// A fixed list of members, for clusters that never change and for tests.
///
/// The engine asks each member every second whether it is there. One that has not answered for three seconds is not among the
/// members until it answers again; [`mark`](Self::mark) leaves one out by hand. The states of others are what the list says; this
/// node's own is seen by itself alone.
///
/// ```
/// use memstache_cluster::{Member, MemberState, membership::{Membership, StaticMembership}};
///
/// let [a, b] = ["10.0.0.1:3320", "10.0.0.2:3320"].map(|at| Member::at(at.parse().unwrap()));
/// let other = b.id;
/// let membership = StaticMembership::new(a, [b.with_state(MemberState::Active)]);
/// membership.set_state(MemberState::Active);
/// assert_eq!(membership.members().active().count(), 2);
/// membership.mark(other, false);
/// assert_eq!(membership.members().active().count(), 1);
/// ```
#[derive(Debug)]
pub struct StaticMembership {
    id: NodeId,
    lists: watch::Sender<Lists>,
    members: watch::Sender<Members>,
    watches: bool,
}

#[derive(Debug)]
struct Lists {
    me: Option<Member>,
    others: Members,
    /// Said by hand to be out of reach.
    marked: Vec<NodeId>,
    /// Found to be silent by the engine.
    silent: Vec<NodeId>,
}

impl StaticMembership {
    /// Takes this node and the others.
    pub fn new(me: Member, others: impl IntoIterator<Item = Member>) -> Self {
        let id = me.id;
        let lists =
            Lists { me: Some(me), others: others.into_iter().collect(), marked: Vec::new(), silent: Vec::new() };
        let members = watch::Sender::new(lists.members());
        Self { id, lists: watch::Sender::new(lists), members, watches: true }
    }

    /// Has nobody asked whether they are there: only [`mark`](Self::mark) says so. Default: the engine asks.
    #[must_use]
    pub fn without_liveness(mut self) -> Self {
        self.watches = false;
        self
    }

    /// Takes another list of the others. What was known of the reach of those that are not in it is forgotten.
    pub fn set_others(&self, others: impl IntoIterator<Item = Member>) {
        let others = others.into_iter().collect();
        self.change(|lists| {
            lists.others = others;
            let listed = |id: &NodeId| lists.others.contains(*id);
            lists.marked.retain(listed);
            lists.silent.retain(listed);
        });
    }

    /// Says whether a member can be reached. Who cannot is not among the members until it is said that it can, even if it answers.
    pub fn mark(&self, id: NodeId, reachable: bool) {
        self.change(|lists| {
            let listed = lists.others.contains(id);
            note(&mut lists.marked, id, !reachable && listed);
            if reachable {
                note(&mut lists.silent, id, false);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Lists)) {
        self.lists.send_modify(|lists| {
            change(lists);
            // Within the lock of the lists, so that the last change is the last that is seen.
            let members = lists.members();
            self.members.send_if_modified(|before| {
                let other = *before != members;
                *before = members;
                other
            });
        });
    }
}

/// Has a list hold an id, or not.
fn note(ids: &mut Vec<NodeId>, id: NodeId, holds: bool) {
    ids.retain(|it| *it != id);
    if holds {
        ids.push(id);
    }
}

impl Lists {
    fn members(&self) -> Members {
        let out_of_reach = |id| self.marked.contains(&id) || self.silent.contains(&id);
        let there = self.others.iter().filter(|member| !out_of_reach(member.id));
        let others = there.filter(|member| self.me.as_ref().is_none_or(|me| me.id != member.id));
        self.me.iter().chain(others).cloned().collect()
    }
}

#[async_trait]
impl Membership for StaticMembership {
    fn id(&self) -> NodeId {
        self.id
    }

    fn members(&self) -> Members {
        self.members.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Members> {
        self.members.subscribe()
    }

    /// None: nobody is asked.
    fn contact(&self) -> Option<Tick> {
        None
    }

    async fn join(&self) -> Result<()> {
        Ok(())
    }

    fn set_state(&self, state: MemberState) {
        self.change(|lists| {
            if let Some(me) = &mut lists.me {
                me.state = state;
            }
        });
    }

    async fn leave(&self) -> Result<()> {
        self.change(|lists| lists.me = None);
        Ok(())
    }

    fn watched(&self) -> Vec<Member> {
        if !self.watches {
            return Vec::new();
        }
        self.lists.borrow().others.iter().filter(|member| member.id != self.id).cloned().collect()
    }

    fn report(&self, id: NodeId, there: bool) {
        self.change(|lists| {
            let listed = lists.others.contains(id);
            note(&mut lists.silent, id, !there && listed);
        });
    }
}
