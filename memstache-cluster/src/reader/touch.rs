//! Knowing that others see what this node sees, before anybody asks.

use std::sync::Weak;

use super::follow::retake;
use crate::engine::{Node, until};

/// How many others are asked at once: one that does not answer is not missed.
const ASKED: usize = 3;

/// Asks some other nodes now and then, so that no request has to wait for that, and notices when nobody agreed for too long.
pub(crate) async fn keep_in_touch(node: Weak<Node>) {
    loop {
        let Some(cluster) = node.upgrade().and_then(|node| node.cluster().cloned()) else { return };
        let next = cluster.clock.now().after(cluster.timing.lease / 2);
        let view = cluster.view();
        let mut others: Vec<_> = view.other_owners().collect();
        fastrand::shuffle(&mut others);
        others.truncate(ASKED);
        if !others.is_empty() {
            // If nobody agrees, all are asked when a request depends on it.
            let _ = until(&cluster.clock, next, cluster.one_agrees(&view, others.into_iter(), next)).await;
        }
        if let Some(node) = node.upgrade() {
            retake(&node);
        }
        cluster.clock.sleep_until(next).await;
    }
}
