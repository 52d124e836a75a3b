use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{
    Copies, NearConfig, NearFuture, NearStats, NearView,
    degraded::{settle, spare},
    follow::Follower,
    layer::Subscribe,
    tickets::Ticket,
};
use crate::{
    address::Address,
    clock::Tick,
    entry::Entry,
    error::{Error, Result},
    request::{
        Consistency, Explain, Get, GetItem, Lookup, OneOrMany, Reason, Request, Response, Scope, Target, TierReport,
        TouchKind,
    },
    service::{CacheService, oneshot},
};

/// A stack with a near cache in front of it. Clones share the copies.
///
/// # Cancellation
/// A dropped write drops the copies of what it wrote, whether or not it happened.
#[derive(Clone)]
pub struct Near<S> {
    inner: S,
    pub(super) copies: Arc<Copies>,
    follower: Arc<Follower>,
}

impl<S> Near<S> {
    pub(super) fn new(inner: S, config: NearConfig, subscribe: Subscribe) -> Self {
        let (copies, touches) = Copies::new(config);
        let follower = Arc::new(Follower::new(subscribe, touches));
        Self { inner, copies, follower }
    }

    /// Returns what is held and was counted.
    pub fn stats(&self) -> NearStats {
        self.copies.stats()
    }

    /// Returns the view by which [`ErasedService::with_try_hit`](crate::ErasedService::with_try_hit) answers hits at once.
    pub fn view(&self) -> NearView {
        NearView(Arc::clone(&self.copies))
    }
}

impl<S: CacheService> Service<Request> for Near<S> {
    type Response = Response;
    type Error = Error;
    type Future = NearFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        // A hit needs nothing from below; a miss waits for readiness itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> NearFuture {
        self.follower.start(&self.copies, &self.inner);
        match request {
            Request::Get(get) => self.read(get),
            Request::Invalidate(op) => {
                let targets: Vec<Target> = op.items.iter().cloned().collect();
                let (copies, below) = (Arc::clone(&self.copies), oneshot(self.inner.clone(), Request::Invalidate(op)));
                NearFuture::below(async move {
                    let mut unsure = DropUnlessTold { copies: &copies, targets: &targets, told: false };
                    let response = below.await?;
                    unsure.told = hide(&copies, &targets, &response);
                    Ok(response)
                })
            }
            Request::Explain(op) => self.explain(op),
            request => self.write(request),
        }
    }
}

impl<S: CacheService> Near<S> {
    fn read(&self, get: Get) -> NearFuture {
        let now = self.copies.clock.now();
        if get.scope.consistency == Consistency::Nearest {
            return NearFuture::ready(Response::Found(
                get.items.map_ref(|item| Ok(self.nearest(item, &get.scope, now))),
            ));
        }
        let found = get.items.map_ref(|item| match item.unless {
            None => self.copies.find(&item.address, &get.scope, now).map(Lookup::fresh),
            Some(_) => None,
        });
        if found.iter().all(Option::is_some) {
            let found = found.map(|lookup| Ok(lookup.expect("all of them")));
            return NearFuture::ready(Response::Found(found));
        }
        let (copies, inner) = (Arc::clone(&self.copies), self.inner.clone());
        NearFuture::below(read_below(copies, inner, get, found))
    }

    /// Answers with what is held here, and nothing else.
    fn nearest(&self, item: &GetItem, scope: &Scope, now: Tick) -> Lookup {
        let wanted = |entry: &Entry| item.unless != Some(entry.meta.version);
        let stale = || self.copies.find_stale(&item.address, scope, now).filter(|entry| !entry.meta.content.negative);
        match self.copies.find(&item.address, scope, now).filter(wanted) {
            Some(entry) => Lookup::fresh(entry),
            None => stale().filter(wanted).map_or(Lookup::Miss, |entry| Lookup::Stale(entry, None)),
        }
    }

    /// Puts what is held here above what is held below.
    fn explain(&self, op: Explain) -> NearFuture {
        let now = self.copies.clock.now();
        let here = op.items.map_ref(|address| self.copies.explain(address, &op.scope, now));
        let below = oneshot(self.inner.clone(), Request::Explain(op));
        NearFuture::below(async move {
            let below = match below.await {
                Ok(Response::Explained(below)) if below.len() == here.len() => below,
                Ok(_) => return Err(crate::util::protocol("a layer answered something else to Explain")),
                // What is held here is told even if nothing comes from below, unless it can be asked in another way.
                Err(error) if !error.is_retryable() || here.iter().all(Option::is_none) => return Err(error),
                Err(_) => here.map_ref(|_| Ok(vec![TierReport::absent("store", Reason::Unavailable)])),
            };
            let merged = here.into_iter().zip(below).map(|(here, below)| Ok(here.into_iter().chain(below?).collect()));
            Ok(Response::Explained(merged.collect()))
        })
    }

    /// Sends a write down, and drops the copies of what it writes when it ends in whatever way.
    fn write(&self, request: Request) -> NearFuture {
        let changes = match &request {
            Request::Touch(op) => {
                let live = op.items.iter().filter(|item| matches!(item.kind, TouchKind::Live(_)));
                live.map(|item| item.address.clone()).collect()
            }
            request => request.addresses().cloned().collect(),
        };
        // As of now: what is acknowledged while this write is under way must not be undone by what is kept of it.
        let spare = spare(&request, &self.copies);
        let guard = DropCopies { copies: Arc::clone(&self.copies), changes };
        let below = oneshot(self.inner.clone(), request);
        NearFuture::below(async move {
            let result = below.await;
            let failed = result.as_ref().map_or(true, |response| response.has_errors());
            let Some(spare) = spare.filter(|_| failed) else { return result };
            let (copies, addresses) = (Arc::clone(&guard.copies), guard.changes.clone());
            // What was here goes first.
            drop(guard);
            settle(&copies, &addresses, spare, result)
        })
    }
}

/// Asks below for what is missing here, and keeps copies of what comes up.
async fn read_below<S: CacheService>(
    copies: Arc<Copies>,
    inner: S,
    get: Get,
    here: OneOrMany<Option<Lookup>>,
) -> Result<Response> {
    let scope = get.scope;
    let missing = || here.iter().zip(get.items.iter()).filter(|(found, _)| found.is_none()).map(|(_, item)| item);
    let asked: OneOrMany<(GetItem, Ticket)> =
        missing().map(|item| (item.clone(), copies.ticket(&item.address))).collect();
    let below = Get { items: missing().cloned().collect(), on_miss: get.on_miss, scope };
    let answers = match oneshot(inner, Request::Get(below)).await {
        Ok(Response::Found(answers)) if answers.len() == asked.len() => answers,
        Ok(_) => return Err(crate::util::protocol("a layer answered something else to Get")),
        Err(error) => asked.map_ref(|_| Err(error.clone())),
    };
    let mut answers = answers.into_iter().zip(asked).map(|(answer, (item, ticket))| {
        keep(&copies, &item.address, &answer, &ticket);
        answer.or_else(|error| fall_back(&copies, &item, &scope, error))
    });
    let merged = here.map(|found| match found {
        Some(lookup) => Ok(lookup),
        None => answers.next().expect("one answer for each that was asked"),
    });
    Ok(Response::Found(merged))
}

fn keep(copies: &Copies, address: &Address, answer: &Result<Lookup>, ticket: &Ticket) {
    let entry = match answer {
        Ok(Lookup::Stale(entry, _)) if copies.has(address, entry) => return,
        // What is stale, for when the store goes before the value is fresh again.
        Ok(Lookup::Hit(entry) | Lookup::Stale(entry, _)) => entry.clone(),
        Ok(Lookup::Negative(meta)) => Entry { value: bytes::Bytes::new(), meta: meta.clone() },
        Ok(_) => return copies.drop_unverified(address),
        Err(_) => return,
    };
    if !copies.insert(address, entry, ticket) {
        // The store has answered all the same.
        copies.drop_unverified(address);
    }
}

/// Serves a copy, as stale, in place of a failure below that a copy can stand in for.
fn fall_back(copies: &Copies, item: &GetItem, scope: &Scope, error: Error) -> Result<Lookup> {
    if error.version().is_some() || !error.is_retryable() {
        return Err(error);
    }
    let now: Tick = copies.clock.now();
    match copies.find_stale(&item.address, scope, now).filter(|entry| !entry.meta.content.negative) {
        Some(entry) => {
            // The answer hides that a lease may have been granted.
            item.lease.filter(|_| error.may_have_effect()).into_iter().for_each(|lease| copies.note_lost(lease));
            Ok(Lookup::Stale(entry, None))
        }
        None => Err(error),
    }
}

/// Hides what was invalidated below; `false` if some of it is unknown.
fn hide(copies: &Copies, targets: &[Target], response: &Response) -> bool {
    let Response::Invalidated(done) = response else { return false };
    for (target, sequence) in targets.iter().zip(done) {
        if let Ok(sequence) = sequence {
            copies.hide(target, sequence.0);
        }
    }
    done.len() == targets.len() && done.iter().all(Result::is_ok)
}

/// Drops copies when a write ends, is refused, fails or is dropped.
struct DropCopies {
    copies: Arc<Copies>,
    changes: OneOrMany<Address>,
}

impl Drop for DropCopies {
    fn drop(&mut self) {
        self.changes.iter().for_each(|address| self.copies.drop_copy(address));
    }
}

/// Drops all that an invalidation may hide when it ends without its sequence: it may have happened.
struct DropUnlessTold<'a> {
    copies: &'a Copies,
    targets: &'a [Target],
    told: bool,
}

impl Drop for DropUnlessTold<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.copies.drop_all_of(self.targets);
        }
    }
}

impl<S> fmt::Debug for Near<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
