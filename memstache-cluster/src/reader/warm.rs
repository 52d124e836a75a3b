//! Loading keys ahead that are known to be asked for.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use memstache_core::{Address, Get, Request, Space};

use crate::{
    engine::{Node, Slot},
    owner::run_owned,
};

/// Keys that are loaded ahead at a time.
const AT_A_TIME: usize = 4;

/// Loads the warm keys of all keyspaces that this node owns and does not hold.
pub(crate) async fn warm(node: Weak<Node>) {
    let Some(node) = node.upgrade() else { return };
    for local in node.registry.all() {
        let Ok(slot) = node.registry.slot(local.spec.name().as_str()) else { continue };
        let space = Space::new(None, local.spec.name());
        let limit = local.read_timeout().unwrap_or(node.times.read);
        let mut addresses: Vec<Address> = Vec::new();
        for key in &local.spec.0.warm_keys {
            addresses.extend(Address::plain(&space, key));
        }
        for some in addresses.chunks(AT_A_TIME) {
            join_all(some.iter().map(|address| warm_one(&node, &slot, address.clone(), limit))).await;
        }
    }
}

async fn warm_one(node: &Arc<Node>, slot: &Arc<Slot>, address: Address, limit: Duration) {
    let deadline = node.clock.now().after(limit);
    let mut request: Request = Get::one(address.clone()).into();
    request.scope_mut().deadline = Some(deadline);
    // What fails is loaded when it is asked for.
    match node.cluster() {
        None => drop(node.run_here(slot, request).await),
        Some(cluster) if cluster.view().owns(address.stored()) => {
            drop(run_owned(node, cluster, slot, request, deadline).await);
        }
        Some(_) => {}
    }
}

/// Loads ahead beside the calls, if there is anything to load.
pub(crate) fn begin(node: &Arc<Node>) {
    if node.registry.all().iter().any(|local| !local.spec.0.warm_keys.is_empty()) {
        node.spawn(warm(Arc::downgrade(node)));
    }
}
