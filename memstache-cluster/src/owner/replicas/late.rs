//! Writes that are acknowledged late: when no member that was lost, and told of nothing, answers from its copies any more.
//!
//! The write itself has ended by then. Who takes over waits for writes that are under way before it agrees to what the others see, and
//! the lost member answers until all agree: owners that lost the same one would wait for each other. So others may own the key by
//! then, and a write is acknowledged only if nobody can have owned it in between.

use std::sync::Arc;

use futures_util::future::join_all;
use memstache_core::{Address, Response, Result, Tick};

use super::unless_all;
use crate::{
    engine::{cut_off, until},
    owner::Local,
    placement::partition_of,
    reader::{Cluster, View},
};

/// Returns whether what a request has written by then is to be acknowledged late: somebody may have a copy of it, or others may have
/// left this node out meanwhile.
pub(in crate::owner) fn is_late(cluster: &Cluster, local: &Local, written: &[Address], began: Tick) -> bool {
    #[cfg(any(test, feature = "test-util"))]
    if cluster.timing.faults == crate::Faults::NeverWaitForGone {
        return false;
    }
    let now = cluster.clock.now();
    let may_keep = |address: &Address| cluster.gone.may_keep(now, partition_of(address.stored()), local.replicas());
    !written.is_empty() && (now.since(began) > cluster.timing.lease || written.iter().any(may_keep))
}

/// Waits until nobody has a copy any more of what a request has written over by `view`.
pub(in crate::owner) async fn wait_out(
    cluster: &Cluster,
    local: &Local,
    view: &View,
    written: &[Address],
    response: Response,
    deadline: Tick,
) -> Response {
    let waits = written.iter().map(|address| wait_out_one(cluster, local, view, address, deadline));
    let waited = join_all(waits).await;
    unless_all(response, waited)
}

async fn wait_out_one(cluster: &Cluster, local: &Local, view: &View, address: &Address, deadline: Tick) -> Result<()> {
    let no_more = cluster.gone.keep_no_more(&*cluster.clock, partition_of(address.stored()), local.replicas());
    until(&cluster.clock, deadline, no_more).await.ok_or_else(|| cut_off(false))?;
    loop {
        let now: Arc<View> = cluster.view();
        if !now.owns_since(view, address.stored()) {
            return Err(cut_off(false));
        }
        // While nobody agrees that a member is gone, others may agree with it.
        cluster.vouch(&now, deadline).await.map_err(|_| cut_off(false))?;
        // After that: what is contact now may have come after a gap.
        if cluster.has_lapsed(&now) {
            return Err(cut_off(false));
        }
        if cluster.sees(&now) {
            return Ok(());
        }
    }
}
