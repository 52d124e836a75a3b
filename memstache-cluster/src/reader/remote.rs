//! One part of a request, asked of its owner.

use std::{
    pin::{Pin, pin},
    sync::Arc,
};

use futures_util::future::{Either, join, select};
use memstache_core::{Address, Consistency, Entry, Error, ErrorKind, Get, Lookup, Request, Response, Result, Tick};

use super::{Cluster, View, copies::Asked};
use crate::{
    member::Member,
    owner::{Local, Refused},
    stats::count,
    wire::{Answer, Call, Fetched, Hot},
};

/// The tenths of the time left that a peer has, where there is a source to fall back to.
const PEERS_TENTHS: u32 = 6;

/// Returns until when an owner may take to answer, so that there is time left for the source.
pub(crate) fn time_of_peers(now: Tick, deadline: Tick) -> Tick {
    now.after(deadline.since(now) * PEERS_TENTHS / 10)
}

/// Asks the owner; one hop, and no further.
pub(super) async fn run(
    cluster: &Cluster,
    local: &Local,
    view: &View,
    owner: &Member,
    request: Request,
    deadline: Tick,
) -> Result<Response, Refused> {
    let now = cluster.clock.now();
    let until = if local.falls_back(&request) { time_of_peers(now, deadline) } else { deadline };
    let asked = Asked::of(local, &request, owner.id, view.number, now);
    let call = call(local, request);
    let answer = match asked.as_ref().filter(|asked| !asked.unheard.is_empty()) {
        None => cluster.call(owner, call, until).await,
        Some(asked) => {
            let seen = Call::Seen { keyspace: local.spec.name().clone(), items: asked.unheard.clone() };
            // That the owner does not hear of it costs a copy at most.
            Box::pin(join(cluster.call(owner, seen, until), cluster.call(owner, call, until))).await.1
        }
    };
    match answer {
        Ok(Answer::Ran { response, hot }) => {
            if let (Some(asked), Response::Found(found)) = (asked, &response) {
                asked.keep(local, found.as_slice(), &hot, cluster.clock.now());
            }
            Ok(response)
        }
        Ok(Answer::Fetched(items)) => {
            let hot = |(item, fetched): (usize, &Result<Fetched>)| {
                let promise = fetched.as_ref().ok()?.hot?;
                Some(Hot { item: u32::try_from(item).ok()?, promise })
            };
            let hot: Vec<Hot> = items.iter().enumerate().filter_map(hot).collect();
            let found = items.map(|fetched| fetched.map(|fetched| fetched.lookup));
            if let Some(asked) = asked {
                asked.keep(local, found.as_slice(), &hot, cluster.clock.now());
            }
            Ok(Response::Found(found))
        }
        Ok(Answer::WrongOwner { .. }) => Err(Refused::WrongOwner),
        Ok(Answer::NoKeyspace) => Err(Refused::Failed(no_keyspace())),
        Ok(Answer::Failed(error)) | Err(error) => Err(Refused::Failed(error)),
        Ok(_) => Err(Refused::Failed(Error::new(ErrorKind::Protocol, "a peer answered something else"))),
    }
}

/// Asks the owner of a read; a replica too, if the owner takes longer than owners mostly do. The first answer wins.
///
/// # Cancellation
/// The call that lost is cancelled, and both are when this is dropped.
pub(super) async fn run_hedged(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    owner: &Member,
    request: &Request,
    deadline: Tick,
) -> Result<Response, Refused> {
    let began = cluster.clock.elapsed();
    let asked = pin!(run(cluster, local, view, owner, request.clone(), deadline));
    let answer = match hedge(local, request) {
        None => return asked.await,
        Some(keys) => Box::pin(run_both(cluster, local, view, asked, keys, deadline)).await,
    };
    if answer.is_ok() {
        cluster.hedging.answered(cluster.clock.elapsed().saturating_sub(began));
    }
    answer
}

/// Returns what a replica can be asked for.
fn hedge(local: &Local, request: &Request) -> Option<Vec<Address>> {
    match request {
        Request::Get(op) if super::replica::answers(local, &op.items) && op.scope.consistency == Consistency::Near => {
            Some(op.items.iter().map(|item| item.address.clone()).collect())
        }
        _ => None,
    }
}

async fn run_both<F>(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    mut asked: Pin<&mut F>,
    keys: Vec<Address>,
    deadline: Tick,
) -> Result<Response, Refused>
where
    F: Future<Output = Result<Response, Refused>>,
{
    let Some(after) = cluster.hedging.begin() else { return asked.await };
    let slow = cluster.clock.now().after(after);
    if let Some(answer) = crate::engine::until(&cluster.clock, slow, asked.as_mut()).await {
        return answer;
    }
    if !cluster.hedging.may() {
        return asked.await;
    }
    count(&local.counters.hedged, keys.len());
    let copies = pin!(super::replica::ask(cluster, local, view, &keys, deadline));
    match select(asked, copies).await {
        Either::Left((answer, _)) => answer,
        // What a replica does not keep, only the owner knows.
        Either::Right((copies, asked)) => match copies.into_iter().collect::<Option<Vec<Entry>>>() {
            Some(entries) => {
                count(&local.counters.replica_loads, entries.len());
                Ok(Response::Found(entries.into_iter().map(|entry| Ok(Lookup::Hit(entry))).collect()))
            }
            None => asked.await,
        },
    }
}

/// What is asked: a plain read of a keyspace with a source is a fetch.
fn call(local: &Local, request: Request) -> Call {
    let keyspace = local.spec.name().clone();
    match request {
        Request::Get(Get { items, scope, .. })
            if local.has_source() && items.iter().all(|item| item.unless.is_none()) =>
        {
            let items = items.map(|item| item.address);
            Call::Fetch { keyspace, items, consistency: scope.consistency, max_staleness: scope.max_staleness }
        }
        request => Call::Run { keyspace, request },
    }
}

/// The owner was not told of the keyspace yet, or not any more.
pub(super) fn no_keyspace() -> Error {
    Error::new(ErrorKind::Unavailable, "the owner of the key does not know the keyspace").without_effect()
}
