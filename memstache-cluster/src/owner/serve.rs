//! A request for keys that this node owns.

use std::sync::Arc;

use memstache_core::{Address, Error, OneOrMany, Remove, Request, Response, Result, Scope, Tick};

use super::{Local, handover, hot, replicas};
use crate::{
    engine::{EngineError, Node, Slot, cut_off, until},
    reader::{Cluster, Held, Taking, View, retake, time_of_peers},
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
/// A write is answered once nobody has a copy of what was there before.
pub(crate) async fn run_owned(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    request: Request,
    deadline: Tick,
) -> Result<Response, Refused> {
    let (response, copies) = apply(node, cluster, slot, request, deadline).await?;
    if let Some((local, copies)) = copies {
        // Whatever came of it: what was there may be gone.
        Box::pin(hot::recall(cluster, &local, copies)).await;
    }
    Ok(response?)
}

/// Removes keys that this node owns, and waits for no copies; returns how many nodes may still have one. They are told.
pub(crate) async fn forget_owned(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    items: OneOrMany<Address>,
    deadline: Tick,
) -> Result<usize, Refused> {
    let scope = Scope { deadline: Some(deadline), ..Scope::default() };
    let remove = Remove { items, scope };
    let (response, copies) = apply(node, cluster, slot, remove.into(), deadline).await?;
    let unacked = copies.as_ref().map_or(0, |(_, copies)| copies.len());
    if let Some((local, copies)) = copies.filter(|(_, copies)| !copies.is_empty()) {
        let cluster = Arc::clone(cluster);
        node.spawn(async move { hot::recall(&cluster, &local, copies).await });
    }
    response?;
    Ok(unacked)
}

/// Who may have copies of what was changed.
type Copies = (Arc<Local>, Vec<hot::Held>);

/// Runs a request for keys that this node owns, and returns who may have copies of what it changed.
///
/// Keys that this node took over not long ago are answered for once the previous owner acknowledges nothing more. What the
/// previous owner holds is brought here before it is read, and dropped there before it is written.
async fn apply(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    request: Request,
    deadline: Tick,
) -> Result<(Result<Response>, Option<Copies>), Refused> {
    let ready = if slot.current()?.falls_back(&request) {
        // There is time left for the source then, in case that this node cannot answer yet.
        time_of_peers(cluster.clock.now(), deadline)
    } else {
        deadline
    };
    loop {
        let view = cluster.view();
        let taken = claimed(&view, &request)?;
        cluster.vouch(&view, ready).await.map_err(|_| Refused::WrongOwner)?;
        // After that: what is contact now may have come after a gap.
        if cluster.has_lapsed(&view) {
            retake(node);
            continue;
        }
        if let Some((_, taking)) = taken.iter().find(|(_, taking)| !taking.is_confirmed()) {
            let confirmed = until(&cluster.clock, ready, taking.confirmed()).await;
            confirmed.ok_or_else(|| Refused::Failed(cut_off(request.is_read())))?;
            continue;
        }
        if let Request::Invalidate(op) = &request {
            let invalidated = Box::pin(cluster.rounds.invalidate(node, slot, &op.items, deadline)).await;
            let kept = cluster.view().keeps_since(&view);
            return Ok((if kept { Ok(Response::Invalidated(invalidated)) } else { Err(cut_off(false)) }, None));
        }
        if !taken.is_empty() {
            Box::pin(handover::prepare(cluster, slot, &request, taken, deadline)).await?;
        }
        if request.is_read() {
            let response = run_here(node, cluster, slot, request, deadline).await;
            if response.is_ok() {
                replicas::spread_loaded(node, cluster, slot, &view);
            }
            return Ok((response, None));
        }
        let writing = view.writes.begin();
        // After it was noted: who takes the key over either waits for this write or is seen here.
        if cluster.sees(&view) {
            let (local, began) = (slot.current()?, cluster.clock.now());
            let (written, changed) = (replicas::written(&local, &request), hot::changed(&request));
            let mut response = match run_here(node, cluster, slot, request, deadline).await {
                Ok(response) if written.is_empty() => Ok(response),
                Ok(response) => {
                    let confirm = replicas::confirm(node, cluster, slot, &view, &written, response, deadline);
                    Ok(Box::pin(confirm).await)
                }
                Err(error) => Err(error),
            };
            if response.is_ok() && replicas::is_late(cluster, &local, &written, began) {
                // The write has ended; owners that lost the same member would wait for each other.
                drop(writing);
                let wait = |response| replicas::wait_out(cluster, &local, &view, &written, response, deadline);
                response = Ok(Box::pin(wait(response?)).await);
            }
            // Where it waited while this node let go of what it holds, it may be kept nowhere.
            let kept = |response| if cluster.view().keeps_since(&view) { Ok(response) } else { Err(cut_off(false)) };
            let response = response.and_then(kept);
            let copies = slot.current().ok().map(|local| {
                let held = local.hot.held(&changed);
                (local, held)
            });
            return Ok((response, copies));
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
    if cluster.timing.faults != super::Faults::None {
        let instead = super::planted::instead(node, cluster.timing.faults, slot, &request, deadline);
        if let Some(wrong) = Box::pin(instead).await {
            return wrong;
        }
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
