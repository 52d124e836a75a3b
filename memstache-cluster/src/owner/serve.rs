//! A request for keys that this node owns.

use std::sync::Arc;

use memstache_core::{Address, Error, Request, Response, Result, Tick};

use super::{handover, replicas};
use crate::{
    engine::{EngineError, Node, Slot, cut_off, until},
    reader::{Cluster, Held, Taking, View},
};

/// Why an owner did not answer.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It does not own all of it, as it sees it; nothing was done.
    WrongOwner,
    /// It failed as a whole.
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<EngineError> for Refused {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.into())
    }
}

/// Keys that came from previous owners who may still be asked for them.
pub(super) type Open = Vec<(Address, Arc<Taking>)>;

/// Runs a request for keys that this node owns; it is not sent on to anybody.
///
/// Keys that this node took over not long ago are answered for once the previous owner acknowledges nothing more. What the
/// previous owner holds is brought here before it is read, and dropped there before it is written.
pub(crate) async fn run_owned(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    request: Request,
    deadline: Tick,
) -> Result<Response, Refused> {
    loop {
        let view = cluster.view();
        let taken = claimed(&view, &request)?;
        cluster.vouch(&view, deadline).await.map_err(|_| Refused::WrongOwner)?;
        if let Some((_, taking)) = taken.iter().find(|(_, taking)| !taking.is_confirmed()) {
            let confirmed = until(&cluster.clock, deadline, taking.confirmed()).await;
            confirmed.ok_or_else(|| Refused::Failed(cut_off(request.is_read())))?;
            continue;
        }
        if let Request::Invalidate(op) = &request {
            let invalidated = cluster.rounds.invalidate(node, slot, &op.items, deadline).await;
            return Ok(Response::Invalidated(invalidated));
        }
        handover::prepare(cluster, slot, &request, taken, deadline).await?;
        if request.is_read() {
            let response = run_here(node, cluster, slot, request, deadline).await?;
            replicas::spread_loaded(node, cluster, slot, &view);
            return Ok(response);
        }
        let _writing = view.writes.begin();
        // After it was noted: who takes the key over either waits for this write or is seen here.
        if cluster.sees(&view) {
            let written = replicas::written(&*slot.current()?, &request);
            let response = run_here(node, cluster, slot, request, deadline).await?;
            return Ok(replicas::confirm(node, cluster, slot, &view, &written, response, deadline).await);
        }
    }
}

#[cfg_attr(not(any(test, feature = "test-util")), allow(unused_variables, reason = "for planted bugs"))]
async fn run_here(
    node: &Arc<Node>,
    cluster: &Cluster,
    slot: &Slot,
    request: Request,
    deadline: Tick,
) -> Result<Response> {
    #[cfg(any(test, feature = "test-util"))]
    if let Some(wrong) = super::planted::instead(node, cluster.timing.faults, slot, &request, deadline).await {
        return wrong;
    }
    node.run_here(slot, request).await
}

/// Checks that all of a request is this node's, and returns what came from others not long ago.
fn claimed(view: &View, request: &Request) -> Result<Vec<(Option<Address>, Arc<Taking>)>, Refused> {
    let mut taken = Vec::new();
    let mut claim = |held, address: Option<&Address>| match held {
        Held::NotMine => Err(Refused::WrongOwner),
        Held::Mine => Ok(()),
        Held::Taken(taking) => {
            taken.push((address.cloned(), taking));
            Ok(())
        }
    };
    for address in request.addresses() {
        claim(view.held(address.stored()), Some(address))?;
    }
    if let Request::Invalidate(op) = request {
        for target in &op.items {
            claim(view.held(&crate::reader::home_key(target)), None)?;
        }
    }
    Ok(taken)
}
