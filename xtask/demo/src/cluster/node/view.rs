//! Whom the node's engine sees.

use std::{collections::BTreeMap, sync::Arc};

use memstache_cluster::{Engine, EngineEvent, Member, Members, NodeId, Table};
use tokio::sync::watch;

/// The members at a moment, and who owns what by them.
#[derive(Debug, Default)]
pub(super) struct View {
    members: BTreeMap<NodeId, Member>,
    pub(super) table: Table,
    /// How often another node came or went, or owns other keys than before.
    pub(super) changes: u64,
}

impl View {
    /// Returns the names of the active ones.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.members.values().filter(|it| it.is_active()).map(|it| it.name.as_str().to_owned()).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn name_of(&self, node: NodeId) -> Option<&str> {
        self.members.get(&node).map(|member| member.name.as_str())
    }

    fn after(&self, event: EngineEvent) -> Self {
        let mut members = self.members.clone();
        match event {
            EngineEvent::PeerLeft(member) => drop(members.remove(&member.id)),
            EngineEvent::PeerJoined(member) | EngineEvent::PeerUpdated(member) => {
                members.insert(member.id, member);
            }
            _ => {}
        }
        let table = Table::of(&Members::new(members.values().cloned()));
        let changed = table.epoch() != self.table.epoch();
        Self { members, table, changes: self.changes + u64::from(changed) }
    }
}

/// Follows the events of an engine, for as long as it runs.
pub(super) fn follow(engine: &Engine) -> watch::Receiver<Arc<View>> {
    let mut events = engine.events();
    let (sender, view) = watch::channel(Arc::default());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            sender.send_modify(|view: &mut Arc<View>| *view = Arc::new(view.after(event)));
        }
    });
    view
}

#[cfg(test)]
mod tests {
    use memstache_cluster::MemberState;

    use super::*;

    #[test]
    fn only_active_members_own_and_only_their_changes_count() {
        let member = |name: &str| Member::new(name.parse().unwrap(), ([127, 0, 0, 1], 1).into());
        let active = |name| member(name).with_state(MemberState::Active);
        let mut view = View::default();
        for (event, names, changes) in [
            (EngineEvent::PeerJoined(member("b")), &[][..], 0),
            (EngineEvent::PeerUpdated(active("b")), &["b"], 1),
            (EngineEvent::PeerJoined(active("a")), &["a", "b"], 2),
            (EngineEvent::PeerUpdated(active("a")), &["a", "b"], 2),
            (EngineEvent::PeerLeft(active("b")), &["a"], 3),
        ] {
            view = view.after(event);
            assert_eq!((view.names(), view.changes), (names.iter().map(|it| (*it).to_owned()).collect(), changes));
        }
        let owner = view.table.owner_of(b"any").unwrap();
        assert_eq!(view.name_of(owner), Some("a"));
    }
}
