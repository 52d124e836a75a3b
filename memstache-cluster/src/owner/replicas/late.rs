//! Writes that are acknowledged late: when no member that was lost, and told of nothing, answers from its copies any more.
//!
//! The write itself has ended by then. Who takes over waits for writes that are under way before it agrees to what the others see, and
//! the lost member answers until all agree: owners that lost the same one would wait for each other. So others may own the key by
//! then, and a write is acknowledged only if nobody can have owned it in between.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join;
use memstache_core::{Address, Response, Tick};

use super::unless_all;
use crate::{
    engine::{cut_off, until},
    owner::Local,
    placement::partition_of,
    reader::{Cluster, View},
};

/// How long it waits before it asks again whether others agree.
const AGAIN: Duration = Duration::from_millis(50);

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
    let now = cluster.clock.now();
    let may_keep = |address: &Address| cluster.gone.may_keep(now, partition_of(address.stored()), local.replicas());
    let may_be_kept: Vec<bool> = written.iter().map(may_keep).collect();
    let those = |kept| written.iter().zip(&may_be_kept).filter(move |(_, is)| **is == kept).map(|(address, _)| address);
    let (kept, free): (Vec<_>, Vec<_>) = (those(true).collect(), those(false).collect());
    let wait_for_kept = async {
        nobody_keeps(cluster, local, &kept, deadline).await?;
        agreed_owner(cluster, view, &kept, deadline).await
    };
    let (of_kept, of_free) = join(wait_for_kept, agreed_owner(cluster, view, &free, deadline)).await;
    let (of_kept, of_free) = (of_kept.as_deref(), of_free.as_deref());
    let confirmed = written.iter().zip(&may_be_kept).map(|(address, is_kept)| {
        let now = if *is_kept { of_kept } else { of_free };
        let is_mine = now.is_some_and(|now| now.owns_since(view, address.stored()));
        if is_mine { Ok(()) } else { Err(cut_off(false)) }
    });
    unless_all(response, confirmed.collect())
}

/// Waits until no member that was lost answers any more from a copy of these.
async fn nobody_keeps(cluster: &Cluster, local: &Local, written: &[&Address], deadline: Tick) -> Option<()> {
    let partitions: BTreeSet<_> = written.iter().map(|address| partition_of(address.stored())).collect();
    for partition in partitions {
        let no_more = cluster.gone.keep_no_more(&*cluster.clock, partition, local.replicas());
        until(&cluster.clock, deadline, no_more).await?;
    }
    Some(())
}

/// Returns what this node sees, once another agrees to it; nothing, if none of these can be its own all the time since `view`, or
/// nobody agrees in time.
async fn agreed_owner(cluster: &Cluster, view: &View, written: &[&Address], deadline: Tick) -> Option<Arc<View>> {
    loop {
        let now: Arc<View> = cluster.view();
        if !written.iter().any(|address| now.owns_since(view, address.stored())) {
            return None;
        }
        // While nobody agrees that a member is gone, others may agree with it.
        if cluster.vouch(&now, deadline).await.is_err() {
            if cluster.clock.now() >= deadline {
                return None;
            }
            // Others may see in a moment what this node sees.
            cluster.another_view(&now, AGAIN).await;
            continue;
        }
        // After that: what is contact now may have come after a gap.
        if cluster.has_lapsed(&now) {
            return None;
        }
        if cluster.sees(&now) {
            return Some(now);
        }
    }
}
