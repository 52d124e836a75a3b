//! One request of a caller of this node: to whom it goes, and what is answered.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use memstache_core::{
    Address, Entry, Error, ErrorKind, Found, Get, Lookup, OneOrMany, Request, Response, Result, Tick,
};

use super::{
    Cluster, View, copies, pieces,
    split::{Answered, Kind, Part, join},
};
use crate::{
    engine::{Node, Slot},
    owner::{Local, Refused},
    stats::count,
};

/// How often a part is sent to whom this node takes for its owner.
pub(super) const ATTEMPTS: usize = 2;
/// How long a node waits for another view when an owner says that it is none.
pub(super) const VIEW_PAUSE: Duration = Duration::from_millis(50);

/// Runs a request of a caller of this node: each part by its owner, all at once, one hop away.
pub(crate) async fn run(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    request: Request,
    deadline: Tick,
) -> Result<Response> {
    let (Some(kind), whole) = (Kind::of(&request), request.len()) else { return Err(unknown()) };
    let local = slot.current()?;
    let (mut answers, mut open) = copies::answer(&local, cluster.view().number, request, cluster.clock.now());
    for attempt in 0..ATTEMPTS {
        if open.is_empty() {
            break;
        }
        let view = cluster.view();
        let parts: Vec<Part> = open.drain(..).flat_map(|part| part.again(&view)).collect();
        let run = |part: Part| async {
            if part.owner == Some(cluster.me) {
                local.note_reads(&part.request);
                let answer = crate::owner::run_owned(node, cluster, slot, part.request.clone(), deadline).await;
                return vec![(part, answer)];
            }
            pieces::run(cluster, &local, &view, part, deadline).await
        };
        let mut parts = parts.into_iter();
        let ran = match (parts.next(), parts.len()) {
            // Most requests are about what one node owns: those are run where they are.
            (Some(only), 0) => run(only).await,
            (first, _) => join_all(first.into_iter().chain(parts).map(run)).await.into_iter().flatten().collect(),
        };
        let mut refused = Vec::new();
        for (part, answer) in ran {
            match answer {
                Ok(response) => answers.push((part.places, Ok(response))),
                Err(Refused::WrongOwner) => refused.push(part),
                Err(Refused::Failed(error)) => {
                    answers.push(Box::pin(settle(cluster, &local, &view, part, error, deadline)).await)
                }
            }
        }
        open = refused;
        if attempt + 1 < ATTEMPTS && !open.is_empty() {
            cluster.another_view(&view, VIEW_PAUSE).await;
        }
    }
    for part in open {
        answers.push(Box::pin(settle(cluster, &local, &cluster.view(), part, disagreeing(), deadline)).await);
    }
    if let [(places, _)] = answers.as_slice()
        && places.len() == whole
    {
        return answers.pop().map_or_else(|| Err(unknown()), |(_, answer)| answer);
    }
    Ok(join(kind, whole, answers))
}

/// Answers a part whose owner does not, for what is read: from replicas, and what they do not have from the source if there is
/// one.
async fn settle(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    part: Part,
    error: Error,
    deadline: Tick,
) -> Answered {
    let answer = match part.request {
        Request::Get(op) if is_out_of_reach(&error) && (local.has_source() || local.replica.is_some()) => {
            Ok(Response::Found(from_elsewhere(cluster, local, view, op, &error, deadline).await))
        }
        _ => Err(error),
    };
    (part.places, answer)
}

async fn from_elsewhere(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    op: Get,
    error: &Error,
    deadline: Tick,
) -> Found {
    let (items, on_miss, scope) = (op.items, op.on_miss, op.scope);
    let copies = if super::replica::answers(local, &items) {
        let keys: Vec<Address> = items.iter().map(|item| item.address.clone()).collect();
        super::replica::ask(cluster, local, view, &keys, deadline).await
    } else {
        vec![None; items.len()]
    };
    count(&local.counters.replica_loads, copies.iter().flatten().count());
    let missing = items.into_iter().zip(&copies).filter(|(_, copy)| copy.is_none()).map(|(item, _)| item);
    let missing: OneOrMany<_> = missing.collect();
    let mut rest = if missing.is_empty() {
        OneOrMany::Many(Vec::new())
    } else if local.has_source() {
        local.fall_back(Get { items: missing, on_miss, scope }, deadline).await
    } else {
        missing.map(|_| Err(error.clone()))
    }
    .into_iter();
    let answer = |copy: Option<Entry>| match copy {
        Some(entry) => Ok(Lookup::Hit(entry)),
        None => rest.next().unwrap_or_else(|| Err(error.clone())),
    };
    copies.into_iter().map(answer).collect()
}

fn is_out_of_reach(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Io | ErrorKind::Protocol)
}

pub(super) fn disagreeing() -> Error {
    Error::new(ErrorKind::Unavailable, "the nodes do not agree on who owns the key").without_effect()
}

fn unknown() -> Error {
    Error::new(ErrorKind::Unsupported, "the engine does not know this kind of request")
}
