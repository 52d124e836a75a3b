//! Handing over what a node holds before it leaves.

use std::{sync::Arc, time::Duration};

use memstache_core::{
    Address, Error, ErrorKind, KeyspaceName, OneOrMany, Response, Result, Scope, Space, TenantId, Tick, Touch,
    TouchItem, TouchKind,
};
use parking_lot::Mutex;

use super::route;
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

/// Waits until this node owns nothing, and has the new owners take what it holds: they are asked whether they have it, and ask here
/// under their leases, so that what was changed meanwhile is not brought back.
pub(crate) async fn drain(node: &Arc<Node>, deadline: Tick) {
    let Some(cluster) = node.cluster() else { return };
    let view = without(cluster).await;
    if view.table.nodes().is_empty() {
        return;
    }
    let mut patience = PATIENCE;
    for local in node.registry.all() {
        let Ok(slot) = node.registry.slot(local.spec.name().as_str()) else { continue };
        for keys in keys_of(&local).chunks(AT_A_TIME) {
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

/// Returns the keys that are held, those apart that are stored under blind names.
fn keys_of(local: &Local) -> Vec<Address> {
    let keys = Mutex::new(Vec::new());
    local.store.retain(|stored| {
        let mut keys = keys.lock();
        if keys.len() < MOST_KEYS {
            keys.extend(address(stored));
        }
        true
    });
    keys.into_inner()
}

/// Reads a plain stored key: `tenant:keyspace:name`.
fn address(stored: &[u8]) -> Option<Address> {
    let mut parts = stored.splitn(3, |byte| *byte == b':');
    let mut label = || std::str::from_utf8(parts.next()?).ok();
    let (tenant, keyspace) = (label()?, label()?);
    let tenant = if tenant.is_empty() { None } else { Some(TenantId::new(tenant).ok()?) };
    let space = Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).ok()?);
    Address::plain(&space, parts.next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_key_is_read_and_another_is_not() {
        let read = address(b"acme:users:a:b").unwrap();
        assert_eq!((read.tenant(), read.keyspace(), read.name()), (Some("acme"), "users", &b"a:b"[..]));
        assert_eq!(&**address(b":users:\xff").unwrap().stored(), b":users:\xff");
        for other in [&b""[..], b"\x80\x81", b"a:b", b"a::c", b"a:b:", b"a b:c:d"] {
            assert!(address(other).is_none(), "{other:?}");
        }
    }
}
