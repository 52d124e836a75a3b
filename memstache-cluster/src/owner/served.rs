//! What a node answers its peers.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use memstache_core::{
    BoxFuture, Error, ErrorKind, Get, GetItem, Lookup, OnMiss, Request, Response, Result, Scope, Sequence, Tick,
    TouchKind,
};

use tracing::Instrument as _;

use super::{Local, Refused, changes::Told, forget_owned, run_owned};
use crate::{
    engine::{EngineError, Node, Slot, State, cut_off, until},
    member::NodeId,
    reader::{Cluster, View, hear_of_splits},
    stats::count,
    wire::{Answer, Call, CallContext, Fetched, Handler, Hot, Origin, PeerInfo},
};

/// How long a node waits to see the members as the one does that takes over from it, before it says that it does not.
const PATIENCE: Duration = Duration::from_millis(200);

/// After how long one who asks for changes is told that there are none.
const SILENCE: Duration = Duration::from_millis(400);

/// Answers the calls of peers for a node, as long as it lives.
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Weak<Node>);

impl Handler for Served {
    fn handle(&self, from: &Arc<PeerInfo>, call: Call, context: CallContext) -> BoxFuture<'static, Answer> {
        let (node, from) = (self.0.upgrade(), Arc::clone(from));
        let span = tracing::debug_span!(
            "memstache.serve",
            otel.kind = "server",
            memstache.call = call.name(),
            memstache.parent = context.trace.map(tracing::field::display),
        );
        let served = async move {
            let Some(node) = node else { return Answer::Failed(EngineError::Stopped.into()) };
            match node.serve(&from, call, context).await {
                Ok(answer) => answer,
                Err(Refused::WrongOwner) => {
                    let epoch = node.cluster().map_or(0, |cluster| cluster.view().epoch);
                    Answer::WrongOwner { epoch }
                }
                Err(Refused::Failed(error)) if is_no_keyspace(&error) => Answer::NoKeyspace,
                Err(Refused::Failed(error)) => Answer::Failed(error),
            }
        };
        if span.is_disabled() { Box::pin(served) } else { Box::pin(served.instrument(span)) }
    }
}

fn is_no_keyspace(error: &Error) -> bool {
    error.find_source::<EngineError>() == Some(&EngineError::KeyspaceNotFound)
}

/// Who asks, and whom it sees.
#[derive(Clone, Copy)]
struct Caller<'a> {
    peer: &'a PeerInfo,
    epoch: u64,
}

impl Caller<'_> {
    /// Runs a change for it, unless it was lost, before or meanwhile: it may see others, which this node does not see, and which were
    /// not told.
    async fn unless_lost<T>(
        self,
        cluster: &Cluster,
        change: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        if self.is_lost(cluster) {
            return Err(Refused::WrongOwner);
        }
        let done = change.await?;
        if self.is_lost(cluster) {
            return Err(cut_off(false).into());
        }
        Ok(done)
    }

    fn is_lost(self, cluster: &Cluster) -> bool {
        cluster.has_lost(self.peer, self.epoch)
    }

    /// Checks that it sees the same owners as this node.
    fn sees_the_same(self, view: &View) -> Result<(), Refused> {
        if self.epoch == view.epoch { Ok(()) } else { Err(Refused::WrongOwner) }
    }

    /// Checks that it tells all that this node sees; also if it does not know yet that this node drains.
    fn tells_all(self, view: &View) -> Result<(), Refused> {
        if view.is_of(self.epoch) { Ok(()) } else { Err(Refused::WrongOwner) }
    }

    /// Returns what it tells something of: if that is not here, only to who tells all.
    fn told<T>(self, view: &View, found: Result<T>) -> Result<T, Refused> {
        found.or_else(|error| self.tells_all(view).and(Err(error.into())))
    }

    /// Says that all have heard what it tells, as far as this node knows: of others, which the caller does not see, it would have to
    /// tell them. What is told is hidden either way.
    async fn heard(self, cluster: &Cluster, view: &Arc<View>, local: &Local) -> Result<Answer, Refused> {
        self.tells_all(view)?;
        local.hot.end_of_others(view).await;
        if cluster.sees(view) { Ok(Answer::Done) } else { Err(Refused::WrongOwner) }
    }
}

impl Node {
    /// Answers one call of a peer.
    async fn serve(self: &Arc<Self>, peer: &PeerInfo, call: Call, context: CallContext) -> Result<Answer, Refused> {
        let _under_way = self.under_way.begin();
        match call {
            // It has acknowledged nothing, and holds nothing.
            Call::TakeOver { splits, .. } if self.state() == State::New => {
                let _holds_nothing = hear_of_splits(self, peer, splits);
                return Ok(Answer::Done);
            }
            // What is known of keyspaces is asked for and told by nodes that start, too.
            Call::Registry { .. } | Call::Gossip(_) | Call::Ping if self.state() == State::New => {}
            _ => self.ready()?,
        }
        let Some(cluster) = self.cluster() else { return Err(EngineError::NotStarted.into()) };
        let deadline = context.deadline.unwrap_or_else(|| self.clock.now().after(self.times.read));
        let from = Caller { peer, epoch: context.epoch };
        let slot = |keyspace: &memstache_core::KeyspaceName| self.registry.slot(keyspace.as_str());
        match call {
            Call::Run { keyspace, request } => {
                let (response, hot) = self.run_for_peer(cluster, from, &slot(&keyspace)?, request, deadline).await?;
                Ok(Answer::Ran { response, hot })
            }
            Call::Fetch { keyspace, items, consistency, max_staleness } => {
                let scope = Scope { deadline: Some(deadline), consistency, max_staleness, ..Scope::default() };
                let get = Get { items: items.map(GetItem::from), on_miss: OnMiss::Report, scope };
                let (response, hot) = self.run_for_peer(cluster, from, &slot(&keyspace)?, get.into(), deadline).await?;
                match response {
                    Response::Found(items) => {
                        let mut hot = hot.into_iter().peekable();
                        let mut place = 0;
                        let mut fetched = |lookup: Result<Lookup>| {
                            let promise = hot.next_if(|hot| hot.item == place).map(|hot| hot.promise);
                            place += 1;
                            lookup.map(|lookup| Fetched { lookup, origin: Origin::Held, hot: promise })
                        };
                        Ok(Answer::Fetched(items.into_iter().map(&mut fetched).collect()))
                    }
                    response => Ok(Answer::Ran { response, hot }),
                }
            }
            other => Box::pin(self.serve_rare(cluster, from, other, deadline)).await,
        }
    }

    /// Answers what is not asked for by each read and write: a call is as long as the longest that it may become.
    async fn serve_rare(
        self: &Arc<Self>,
        cluster: &Arc<Cluster>,
        from: Caller<'_>,
        call: Call,
        deadline: Tick,
    ) -> Result<Answer, Refused> {
        let slot = |keyspace: &memstache_core::KeyspaceName| self.registry.slot(keyspace.as_str());
        match call {
            Call::Ping => Ok(Answer::Done),
            // Answered above.
            Call::Run { .. } | Call::Fetch { .. } => {
                Err(Refused::Failed(Error::new(ErrorKind::Unsupported, "no rare call")))
            }
            Call::Peek { keyspace, items } => Ok(Answer::Peeked(slot(&keyspace)?.current()?.peek(items).await)),
            Call::Push { keyspace, stamp, items } => {
                let local = slot(&keyspace)?.current()?;
                let Some(copies) = &local.replica else { return Ok(Answer::NoKeyspace) };
                if copies.take(cluster, (from.peer, from.epoch, stamp), items, local.replicas()) {
                    Ok(Answer::Done)
                } else {
                    Err(Refused::WrongOwner)
                }
            }
            Call::Copies { keyspace, items } => {
                let (local, view) = (slot(&keyspace)?.current()?, cluster.view());
                from.sees_the_same(&view)?;
                let held = cluster.copies(&local, &view, items, deadline).await;
                held.map(Answer::Peeked).ok_or(Refused::WrongOwner)
            }
            Call::Revoke { keyspace, items } => {
                slot(&keyspace)?.current()?.drop_held(items).await;
                Ok(Answer::Done)
            }
            Call::Recall { keyspace, number, items } => {
                slot(&keyspace)?.current()?.copies.recall(from.peer.id, from.peer.incarnation, number, &items);
                Ok(Answer::Done)
            }
            Call::Follow { keyspace, log, after } => {
                // Others of whom one does not know may change what is followed.
                from.sees_the_same(&cluster.view())?;
                let local = slot(&keyspace)?.current()?;
                local.keep_changes(self);
                let now = self.clock.now();
                let silence = now.after((deadline.since(now) / 2).min(SILENCE));
                until(&self.clock, silence, local.changes.newer(log, after)).await;
                let Told { log, after, items } = local.changes.since(log, after);
                Ok(Answer::Changes { log, after, items })
            }
            Call::Forget { keyspace, items } => {
                let slot = slot(&keyspace)?;
                let forget = forget_owned(self, cluster, &slot, items, deadline);
                let unacked = from.unless_lost(cluster, forget).await?;
                Ok(Answer::Partial { unacked: u32::try_from(unacked).unwrap_or(u32::MAX) })
            }
            Call::Seen { keyspace, items } => {
                let local = slot(&keyspace)?.current()?;
                items.iter().for_each(|(address, reads)| local.hot.reads.count_of_copies(address, *reads));
                Ok(Answer::Done)
            }
            Call::Spread { keyspace, items } => {
                let view = cluster.view();
                let local = from.told(&view, slot(&keyspace).and_then(|slot| slot.current()))?;
                if let Err(current) = local.hide(&items) {
                    return Ok(Answer::Sequences(vec![current]));
                }
                from.heard(cluster, &view, &local).await
            }
            Call::Sequences { keyspace, spaces } => {
                let current = slot(&keyspace)?.current()?.sequence();
                Ok(Answer::Sequences(vec![current; spaces.len()]))
            }
            Call::TakeOver { epoch, splits } => {
                if !hear_of_splits(self, from.peer, splits) {
                    let often = "the node has just been told of another split";
                    return Err(Error::new(ErrorKind::Unavailable, often).without_effect().into());
                }
                // It may hear in a moment of what the caller knows.
                let now = self.clock.now();
                let soon = now.after((deadline.since(now) / 2).min(PATIENCE));
                let view = cluster.view_of(epoch, soon).await.ok_or(Refused::WrongOwner)?;
                view.settled().await;
                self.end_leases(from.peer.id, &view).await;
                // It may never have seen who left: what this node waits for, it is to wait for itself.
                let unacked = u32::from(cluster.gone.may_answer(self.clock.now()));
                Ok(if unacked == 0 { Answer::Done } else { Answer::Partial { unacked } })
            }
            Call::Flush { keyspace, at: Sequence(0) } => {
                let slot = slot(&keyspace)?;
                let flush = self.flush_as_home(cluster, &slot, deadline);
                let at = from.unless_lost(cluster, flush).await?;
                Ok(Answer::Sequences(vec![at]))
            }
            Call::Flush { keyspace, at } => {
                let view = cluster.view();
                let slot = from.told(&view, slot(&keyspace))?;
                let local = from.told(&view, slot.current())?;
                match self.flush_for_home(&slot, at)? {
                    Answer::Done => from.heard(cluster, &view, &local).await,
                    refused => Ok(refused),
                }
            }
            Call::Registry { digest, records } => Ok(self.answer_of_keyspaces(digest, records)),
            Call::Gossip(state) => Ok(Answer::Gossip(self.receive_members(&state)?)),
        }
    }

    /// Drops what a new owner may have given in an earlier life, and waits until nobody but the members has a copy of what this
    /// node gave; what members keep of another view than theirs is good for nothing.
    async fn end_leases(&self, owner: NodeId, view: &View) {
        let locals = self.registry.all();
        locals.iter().for_each(|local| local.copies.drop_from(owner));
        for local in &locals {
            local.hot.forget_others(view);
            local.hot.end_of_others(view).await;
        }
    }

    /// Runs a peer's request for keys that this node owns.
    async fn run_for_peer(
        self: &Arc<Self>,
        cluster: &Arc<Cluster>,
        from: Caller<'_>,
        slot: &Arc<Slot>,
        mut request: Request,
        deadline: Tick,
    ) -> Result<(Response, Vec<Hot>), Refused> {
        let local = slot.current()?;
        request.scope_mut().deadline = Some(deadline);
        let Request::Get(op) = &mut request else {
            let changes = !request.is_read() && !is_release(&request);
            let run = run_owned(self, cluster, slot, request, deadline);
            let response = if changes { from.unless_lost(cluster, run).await } else { run.await };
            return Ok((response?, Vec::new()));
        };
        if op.on_miss != OnMiss::Report && from.is_lost(cluster) {
            // It could not fill under a lease: the key would be busy for nothing.
            op.on_miss = OnMiss::Report;
        }
        count(&local.counters.server_requests, op.items.len());
        let promises = local.promise(op, from.peer.id, cluster);
        let response = run_owned(self, cluster, slot, request, deadline).await?;
        let hot = promises.map_or_else(Vec::new, |promises| promises.of(&response, cluster));
        Ok((response, hot))
    }
}

/// Whether it only ends leases: whoever has one may do so.
fn is_release(request: &Request) -> bool {
    matches!(request, Request::Touch(op) if op.items.iter().all(|item| matches!(item.kind, TouchKind::Release(_))))
}
