//! What a case works with: spaces of its own, time, and callers.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use super::{
    expect::{Failure, Outcome, Seen, broken},
    subject::{AnySubject, Capabilities},
};
use crate::{
    address::{Address, Parts, Space},
    clock::{Clock, Tick},
    coherence::InvalidationStream,
    entry::{Entry, NewEntry, Tags},
    error::{Error, ErrorKind, Result},
    expiry,
    lifetime::Lifetime,
    name::{KeyspaceName, Tag, TenantId},
    request::{
        Consistency, Explain, Found, Get, GetItem, Invalidate, Lease, LeaseId, Lookup, OnMiss, OneOrMany, Operation,
        Remove, Request, Scope, Set, SetItem, Target, Touch, TouchItem, TouchKind, When, Written,
    },
    service::ErasedService,
    version::{Sequence, Version},
};

/// One case in one mode.
pub(super) struct Case<'a> {
    subject: &'a dyn AnySubject,
    consistency: Consistency,
    pub(super) capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    /// In every name, so that no two cases and no two runs over a shared server meet.
    id: u64,
}

impl<'a> Case<'a> {
    pub(super) fn new(subject: &'a dyn AnySubject, consistency: Consistency, capabilities: Capabilities) -> Self {
        Self { subject, consistency, capabilities, clock: subject.clock(), id: fastrand::u64(..) }
    }

    /// Returns another handle on the same entries.
    pub(super) async fn caller(&self) -> Caller<'_> {
        Caller { case: self, service: self.subject.service().await }
    }

    pub(super) fn tenant(&self, name: &str) -> Result<TenantId> {
        TenantId::new(format!("{name}-{:x}", self.id))
    }

    /// Returns a space of a tenant; the shared one for "".
    pub(super) fn space(&self, tenant: &str, keyspace: &str) -> Result<Space> {
        let tenant = if tenant.is_empty() { None } else { Some(self.tenant(tenant)?) };
        Ok(Space::new(tenant.as_ref(), &KeyspaceName::new(format!("{keyspace}-{:x}", self.id))?))
    }

    /// Returns the space in which a case works that needs but one.
    pub(super) fn home(&self) -> Result<Space> {
        self.space("acme", "items")
    }

    /// Returns an address in [`home`](Self::home).
    pub(super) fn key(&self, name: impl AsRef<[u8]>) -> Result<Address> {
        Address::plain(&self.home()?, name)
    }

    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Returns so many units of time.
    pub(super) fn units(&self, count: u32) -> Duration {
        self.capabilities.unit * count
    }

    pub(super) fn ttl(&self, units: u32) -> Result<Lifetime> {
        Lifetime::new(self.units(units))
    }

    pub(super) async fn advance(&self, span: Duration) {
        self.subject.advance(span).await;
    }

    /// Lets time pass until the last moment before `start + span`.
    pub(super) async fn just_before(&self, start: Tick, span: Duration) {
        let early = Duration::from_millis(1) + self.capabilities.slack;
        self.advance(start.after(span).before(early).since(self.now())).await;
    }

    /// Lets time pass until the first moment of `start + span`.
    pub(super) async fn until(&self, start: Tick, span: Duration) {
        self.advance(start.after(span + self.capabilities.slack).since(self.now())).await;
    }

    pub(super) async fn settle(&self) {
        self.subject.settle().await;
    }

    pub(super) fn subscribe(&self) -> Outcome<InvalidationStream> {
        self.subject.subscribe().ok_or(Failure::Skipped("no changes are told"))
    }

    pub(super) fn needs_sliding(&self) -> Outcome {
        if self.capabilities.sliding { Ok(()) } else { Err(Failure::Skipped("no sliding entries")) }
    }

    pub(super) fn needs_negative(&self) -> Outcome {
        if self.capabilities.negative { Ok(()) } else { Err(Failure::Skipped("no negative records")) }
    }

    pub(super) fn needs_unsealed(&self) -> Outcome {
        if self.capabilities.seals { Err(Failure::Skipped("the stack seals")) } else { Ok(()) }
    }
}

/// An entry of text without an end.
pub(super) fn value(text: &str) -> NewEntry {
    NewEntry::new(text.to_owned(), Lifetime::UNLIMITED)
}

pub(super) fn lasting(text: &str, lifetime: Lifetime) -> NewEntry {
    NewEntry::new(text.to_owned(), lifetime)
}

pub(super) fn tagged(text: &str, tags: &[&str]) -> Result<NewEntry> {
    let tags = tags.iter().map(Tag::new).collect::<Result<Vec<_>>>()?;
    Ok(value(text).with_tags(Tags::new(tags)?))
}

/// One handle, used as the case's mode says.
pub(super) struct Caller<'a> {
    case: &'a Case<'a>,
    service: ErasedService,
}

impl Caller<'_> {
    /// Sends an operation as it is.
    pub(super) async fn run<O: Operation>(&self, op: O) -> Result<O::Output> {
        let mut request: Request = op.into();
        request.scope_mut().consistency = self.case.consistency;
        O::output(self.service.dispatch(request).await?)
    }

    /// Sends a read, once what was changed before has arrived in the near caches.
    pub(super) async fn read(&self, op: Get) -> Outcome<Vec<Result<Lookup>>> {
        if self.case.consistency == Consistency::Near {
            self.case.settle().await;
        }
        Ok(self.run(op).await?.into_iter().collect())
    }

    async fn read_one(&self, op: Get) -> Outcome<Seen> {
        one(self.read(op).await?.into_iter().collect())
    }

    /// Reads a key, by the near tier's short cut if it has the entry.
    pub(super) async fn get(&self, key: &Address) -> Outcome<Seen> {
        self.get_within(key, None).await
    }

    /// Reads a key, accepting nothing that was confirmed longer ago.
    pub(super) async fn get_within(&self, key: &Address, max_staleness: Option<Duration>) -> Outcome<Seen> {
        if self.case.consistency == Consistency::Near {
            self.case.settle().await;
        }
        self.get_at_once(key, max_staleness).await
    }

    /// Reads a key without waiting for what was changed through other handles.
    pub(super) async fn get_at_once(&self, key: &Address, max_staleness: Option<Duration>) -> Outcome<Seen> {
        let scope = Scope { consistency: self.case.consistency, max_staleness, ..Scope::default() };
        let space = key.space();
        let near = self.service.try_hit(&Parts::new(&space, key.name())?, &scope, self.case.now());
        if let Some(entry) = near {
            return Ok(Seen(Lookup::fresh(entry)));
        }
        let mut op = Get::one(key.clone());
        op.scope = scope;
        one(self.run(op).await?)
    }

    /// Reads a key, and asks for its lease if it is missing.
    pub(super) async fn ask(&self, key: &Address) -> Outcome<Seen> {
        self.read_one(asking(key, None, OnMiss::Lease)).await
    }

    /// Reads a key, and asks for its lease under an id if it is missing.
    pub(super) async fn ask_under(&self, key: &Address, lease: LeaseId) -> Outcome<Seen> {
        let mut op = asking(key, None, OnMiss::Lease);
        op.items = OneOrMany::One(GetItem::from(key.clone()).under(lease));
        self.read_one(op).await
    }

    /// Asks for the lease of a key whose value of this version cannot be read.
    pub(super) async fn ask_unless(&self, key: &Address, version: Version) -> Outcome<Seen> {
        self.read_one(asking(key, Some(version), OnMiss::Lease)).await
    }

    /// Starts to wait for a key that is being loaded.
    pub(super) async fn wait(&self, key: &Address) -> Pending {
        self.wait_until(key, None).await
    }

    pub(super) async fn wait_until(&self, key: &Address, deadline: Option<Tick>) -> Pending {
        let mut op = asking(key, None, OnMiss::Wait);
        op.scope.deadline = deadline;
        let pending = self.start(op);
        self.case.settle().await;
        pending
    }

    /// Starts a read of one key as a task of its own.
    pub(super) fn start(&self, mut op: Get) -> Pending {
        op.scope.consistency = self.case.consistency;
        let answer = self.service.dispatch(op);
        Pending(tokio::spawn(async move {
            let lookup = Get::output(answer.await?)?.into_one();
            lookup.unwrap_or_else(|| Err(Error::new(ErrorKind::Protocol, "another number of answers than of items")))
        }))
    }

    /// Starts a read of many keys as a task of its own.
    pub(super) fn start_many(&self, mut op: Get) -> Pending<Found> {
        op.scope.consistency = self.case.consistency;
        let answer = self.service.dispatch(op);
        Pending(tokio::spawn(async move { Get::output(answer.await?) }))
    }

    /// Asks many times at once.
    pub(super) async fn crowd(&self, op: &Get, count: usize) -> Outcome<Vec<Seen>> {
        let pending: Vec<_> = (0..count).map(|_| self.start(op.clone())).collect();
        let mut seen = Vec::with_capacity(count);
        for pending in pending {
            seen.push(pending.seen().await?);
        }
        Ok(seen)
    }

    pub(super) async fn set(&self, key: &Address, entry: NewEntry) -> Outcome<Version> {
        match self.set_when(key, entry, When::Always).await? {
            Written::Stored(version) => Ok(version),
            Written::Refused => Err(broken("an unconditional write was refused")),
            Written::NearOnly => Err(broken("a write was kept in a near cache only")),
        }
    }

    pub(super) async fn set_when(&self, key: &Address, entry: NewEntry, when: When) -> Outcome<Written> {
        let items = OneOrMany::One(SetItem { address: key.clone(), entry, when });
        only(self.run(Set { items, scope: Scope::default() }).await?)
    }

    pub(super) async fn fill(&self, key: &Address, lease: &Lease, entry: NewEntry) -> Outcome<Written> {
        self.set_when(key, entry, When::IfLease(lease.id)).await
    }

    pub(super) async fn remove(&self, key: &Address) -> Outcome<bool> {
        only(self.run(Remove::one(key.clone())).await?)
    }

    pub(super) async fn touch(&self, key: &Address, kind: TouchKind) -> Outcome<bool> {
        let items = OneOrMany::One(TouchItem { address: key.clone(), kind });
        only(self.run(Touch { items, scope: Scope::default() }).await?)
    }

    /// Returns whether the authority for a key is said to answer it.
    pub(super) async fn explains(&self, key: &Address) -> Outcome<bool> {
        self.case.settle().await;
        let tiers = only(self.run(Explain::one(key.clone())).await?)?;
        let last = tiers.last().ok_or_else(|| broken("no tier said anything"))?;
        let dead = |entry: &Entry| expiry::dead_at(&entry.meta) <= self.case.now();
        Ok(last.reason.is_none() && !last.entry.as_ref().is_some_and(dead))
    }

    pub(super) async fn invalidate(&self, target: Target) -> Outcome<Sequence> {
        only(self.run(Invalidate::one(target)).await?)
    }

    pub(super) async fn invalidate_tag(&self, space: &Space, tag: &str) -> Outcome<Sequence> {
        self.invalidate(Target::Tag(space.clone(), Tag::new(tag)?)).await
    }
}

/// Makes a read of one key.
pub(super) fn asking(key: &Address, unless: Option<Version>, on_miss: OnMiss) -> Get {
    let items = OneOrMany::One(GetItem::from(key.clone()).unless(unless));
    Get { items, on_miss, scope: Scope::default() }
}

fn only<T>(items: OneOrMany<Result<T>>) -> Outcome<T> {
    Ok(items.into_one().ok_or_else(|| broken("another number of answers than of items"))??)
}

fn one(items: OneOrMany<Result<Lookup>>) -> Outcome<Seen> {
    only(items).map(Seen)
}

/// A read under way. Dropping it cancels the read.
pub(super) struct Pending<T = Lookup>(JoinHandle<Result<T>>);

impl<T> Pending<T> {
    pub(super) fn is_waiting(&self) -> bool {
        !self.0.is_finished()
    }

    pub(super) async fn answer(mut self) -> Result<T> {
        let lost = |_| Error::new(ErrorKind::Protocol, "the read panicked");
        (&mut self.0).await.map_err(lost)?
    }
}

impl Pending {
    pub(super) async fn seen(self) -> Outcome<Seen> {
        Ok(Seen(self.answer().await?))
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
