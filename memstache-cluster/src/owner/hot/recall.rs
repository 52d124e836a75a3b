//! Having copies dropped before a write is acknowledged.

use futures_util::future::join_all;
use memstache_core::{Address, Request, TouchKind};

use super::holders::Held;
use crate::{
    engine::until,
    owner::Local,
    reader::Cluster,
    wire::{Answer, Call},
};

/// Returns which entries a request changes.
pub(in crate::owner) fn changed(request: &Request) -> Vec<Address> {
    match request {
        Request::Touch(op) => {
            let live = op.items.iter().filter(|item| matches!(item.kind, TouchKind::Live(_)));
            live.map(|item| item.address.clone()).collect()
        }
        request if request.is_read() => Vec::new(),
        request => request.addresses().cloned().collect(),
    }
}

/// Has copies dropped; returns once each holder has confirmed it, or its lease has run out.
///
/// # Cancellation
/// Who was not told yet answers with its copy until the lease runs out.
pub(in crate::owner) async fn recall(cluster: &Cluster, local: &Local, held: Vec<Held>) {
    join_all(held.into_iter().map(|held| recall_from(cluster, local, held))).await;
}

async fn recall_from(cluster: &Cluster, local: &Local, held: Held) {
    let Some(ends) = held.keys.iter().map(|(_, until)| *until).max() else { return };
    if told(cluster, local, &held, ends).await {
        local.hot.holders.dropped(&held);
    } else {
        cluster.clock.sleep_until(ends).await;
    }
}

/// Tells a holder; returns whether it has confirmed.
async fn told(cluster: &Cluster, local: &Local, held: &Held, ends: memstache_core::Tick) -> bool {
    #[cfg(any(test, feature = "test-util"))]
    if cluster.timing.faults.drops_invalidation() {
        return true;
    }
    let view = cluster.view();
    let Some(member) = view.members.get(held.by) else { return false };
    let items = held.keys.iter().map(|(address, _)| address.clone()).collect();
    let call = Call::Recall { keyspace: local.spec.name().clone(), number: held.number, items };
    let answer = until(&cluster.clock, ends, cluster.call(member, call, ends)).await;
    matches!(answer, Some(Ok(Answer::Done | Answer::NoKeyspace)))
}
