//! All that the page shows.

use memstache_core::HealthReport;
use serde::Serialize;

use super::{HotTold, Peer, Protected, hot_keys, peers, unix_millis};
use crate::{Engine, MemberState, admin::tokens::Access, engine::State};

/// How the node and its cluster are, at a moment.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Status {
    /// Milliseconds since 1970.
    at: u64,
    pub(in crate::admin) node: NodeTold,
    pub(in crate::admin) health: HealthReport,
    pub(in crate::admin) peers: Vec<Peer>,
    pub(in crate::admin) keyspaces: Vec<Protected>,
    pub(in crate::admin) hot_keys: Vec<HotTold>,
}

#[derive(Debug, Serialize)]
pub(in crate::admin) struct NodeTold {
    pub(in crate::admin) version: &'static str,
    pub(in crate::admin) name: Option<String>,
    clustered: bool,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) ready: bool,
    /// The hash of the list of owners, as text.
    pub(in crate::admin) epoch: Option<String>,
    /// Whether whoever asked may see names of keys.
    named: bool,
}

/// Tells everything at once.
pub(in crate::admin) fn status(engine: &Engine, access: Access) -> Status {
    Status {
        at: unix_millis(engine.node.clock.wall()),
        node: node(engine, access),
        health: engine.health(),
        peers: peers(engine),
        keyspaces: Protected::all(engine, access),
        hot_keys: hot_keys(engine, access),
    }
}

fn node(engine: &Engine, access: Access) -> NodeTold {
    let view = engine.node.cluster().map(|cluster| (cluster.me, cluster.view()));
    let me = view.as_ref().and_then(|(me, view)| view.members.get(*me));
    let state = match engine.node.state() {
        State::New => "starting",
        State::Running if me.is_some_and(|me| me.state == MemberState::Draining) => "draining",
        State::Running => "running",
        State::Stopping => "stopping",
        State::Stopped => "stopped",
    };
    NodeTold {
        version: env!("CARGO_PKG_VERSION"),
        name: me.map(|me| me.name.as_str().to_owned()),
        clustered: view.is_some(),
        state,
        ready: engine.is_ready(),
        epoch: view.as_ref().map(|(_, view)| format!("{:016x}", view.table.epoch())),
        named: access >= Access::Reader,
    }
}
