//! Knowing that others see what this node sees, before anybody asks.

use std::sync::Weak;

use crate::engine::{Node, until};

/// Asks some other node now and then, so that no request has to wait for that.
pub(crate) async fn keep_in_touch(node: Weak<Node>) {
    loop {
        let Some(cluster) = node.upgrade().and_then(|node| node.cluster().cloned()) else { return };
        let next = cluster.clock.now().after(cluster.timing.suspicion / 3);
        let view = cluster.view();
        let others: Vec<_> = view.others().collect();
        if let Some(member) = fastrand::choice(&others) {
            // One who does not agree is asked again when a request depends on it, and all others with it.
            let _ = until(&cluster.clock, next, cluster.agrees(&view, member, next)).await;
        }
        cluster.clock.sleep_until(next).await;
    }
}
