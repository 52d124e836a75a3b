//! Handing over what a node holds before it leaves.

use std::{collections::HashSet, sync::Arc, time::Duration};

use memstache_core::{
    Address, Error, ErrorKind, OneOrMany, Response, Result, Scope, Tick, Touch, TouchItem, TouchKind,
};

use super::{WarmUp, route};
use crate::{
    engine::Node,
    member::NodeId,
    owner::Local,
    reader::{Cluster, View},
};

/// Most keys of a keyspace that a leaving node has handed over.
const MOST_KEYS: usize = 65_536;
/// Keys that are handed over by one call.
const AT_A_TIME: usize = 128;

/// How often new owners are asked again in all, who do not take themselves for that yet.
const PATIENCE: u32 = 60;
const AGAIN: Duration = Duration::from_millis(50);

/// Waits until this node owns nothing, and has the new owners take what it holds, the hottest first: they are asked whether they
/// have it, and ask here under their leases, so that what was changed meanwhile is not brought back.
///
/// It ends after so many bytes as the warm-up allows.
pub(crate) async fn drain(node: &Arc<Node>, deadline: Tick) {
    let Some(cluster) = node.cluster() else { return };
    let view = without(cluster).await;
    if view.table.nodes().is_empty() || cluster.timing.handover().is_zero() {
        return;
    }
    let config = node.warm_up.unwrap_or_default();
    let (mut patience, mut left) = (PATIENCE, config.max_handover_bytes);
    for local in node.registry.all() {
        let Ok(slot) = node.registry.slot(local.spec.name().as_str()) else { continue };
        for keys in in_order(&local, config).chunks(AT_A_TIME) {
            let held = local.peek(keys.iter().cloned().collect()).await;
            let bytes: usize = held.iter().flatten().map(|entry| entry.value.len()).sum();
            if bytes > left {
                return;
            }
            left -= bytes;
            let probe = |address: &Address| TouchItem { address: address.clone(), kind: TouchKind::Probe };
            let items: OneOrMany<TouchItem> = keys.iter().map(probe).collect();
            let touch = Touch { items, scope: Scope { deadline: Some(deadline), ..Scope::default() } };
            // Who does not answer loads what it needs; who has not heard of it yet is asked again.
            while is_unavailable(route::run(node, cluster, &slot, touch.clone().into(), deadline).await) && patience > 0
            {
                patience -= 1;
                cluster.clock.sleep_until(cluster.clock.now().after(AGAIN)).await;
            }
        }
    }
}

/// Returns the keys that are held: the hottest first, then the others.
fn in_order(local: &Local, config: WarmUp) -> Vec<Address> {
    let hottest = local.hottest(config).into_iter();
    let all = local.store.addresses(|_| true, MOST_KEYS);
    let mut seen = HashSet::new();
    hottest.chain(all).filter(|key| seen.insert(Arc::clone(key.stored()))).collect()
}

fn is_unavailable(answer: Result<Response>) -> bool {
    let is = |error: &Error| error.kind() == ErrorKind::Unavailable;
    match answer {
        Ok(Response::Touched(items)) => items.iter().any(|item| item.as_ref().is_err_and(is)),
        answer => answer.is_err_and(|error| is(&error)),
    }
}

/// Waits for a view in which this node owns nothing.
async fn without(cluster: &Cluster) -> Arc<View> {
    loop {
        let view = cluster.view();
        if !owns(&view, cluster.me) {
            return view;
        }
        cluster.another_view(&view, cluster.timing.lease).await;
    }
}

fn owns(view: &View, me: NodeId) -> bool {
    view.table.nodes().iter().any(|(id, _)| *id == me)
}
