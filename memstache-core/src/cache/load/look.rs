//! Asking the store about one key until it is clear who loads.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{
    super::{Cache, core::not_one, counters::Outcome, fetched::Fetched, read::ReadOptions, read::is_unreadable},
    ask::{Granted, ask, named},
    flight::{Landed, Right},
};
use crate::{
    address::Address,
    clock::Tick,
    coalesce::Joined,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    format::Format,
    request::{Get, GetItem, Lease, Lookup, OnMiss, OneOrMany},
    util::timed_out,
    version::Version,
};

/// How often a call asks again because what it found cannot be opened, before it loads without asking.
const MAX_UNREADABLE: u32 = 8;

/// Into how many pieces a store's time is cut for waiting.
const PIECES: u32 = 4;

/// How long a call rests before it asks a store again that does not know how to wait.
const REST: Duration = Duration::from_millis(20);

/// A caller's conversation with the store about one key.
pub(super) struct Look<'a, F> {
    pub(super) cache: &'a Cache<F>,
    pub(super) address: &'a Address,
    pub(super) ask: ReadOptions,
    pub(super) give_up: Tick,
    unless: Option<Version>,
    unreadable: u32,
    wait: bool,
    /// When it asked last.
    asked: Tick,
}

/// Where it led.
pub(super) enum Verdict<T> {
    /// Answered from the cache.
    Hit(Fetched<T>, Entry),
    /// Answered from the cache, stale; with a lease, this caller refreshes.
    Stale(Fetched<T>, Entry, Option<Lease>),
    /// The source is known to have no such key.
    Negative(Fetched<T>),
    /// This caller loads.
    Load(Right),
    /// Another caller of this process loads.
    Join(Joined<Landed>),
}

impl<'a, F: Format> Look<'a, F> {
    pub(super) fn new(cache: &'a Cache<F>, address: &'a Address, ask: ReadOptions, give_up: Tick) -> Self {
        Self { cache, address, ask, give_up, unless: None, unreadable: 0, wait: false, asked: Tick::default() }
    }

    /// Asks until there is a verdict, or an error that no load would mend.
    pub(super) async fn verdict<T: DeserializeOwned>(&mut self) -> Result<Verdict<T>> {
        loop {
            self.asked = self.cache.core.clock.now();
            let found = self.ask().await;
            let granted = Granted::of(&self.cache.core, [(self.address, &found)]);
            let verdict = self.judge(found).await;
            granted.taken();
            if let Some(verdict) = verdict? {
                return Ok(verdict);
            }
        }
    }

    async fn ask(&self) -> Result<Lookup> {
        let (core, items) = (&self.cache.core, OneOrMany::One(self.item()));
        if self.wait {
            // In pieces: whoever waits may hold permits of layers below, which the awaited fill may need.
            let piece = self.asked.after(core.settings.store_timeout / PIECES);
            let get =
                Get { items, on_miss: OnMiss::Wait, scope: self.ask.scope_until(core, Some(piece.min(self.give_up))) };
            // The store ends the piece; its answer, which may be a lease, has its own time to arrive.
            let arrival = core.store_deadline(piece, Some(self.give_up));
            let found = ask(core, get, Some(arrival)).await?;
            return found.into_one().unwrap_or_else(|| Err(not_one()));
        }
        let deadline = Some(core.store_deadline(core.clock.now(), Some(self.give_up)));
        let scope = self.ask.scope_until(core, deadline);
        let found = ask(core, Get { items, on_miss: OnMiss::Lease, scope }, deadline).await?;
        found.into_one().unwrap_or_else(|| Err(not_one()))
    }

    /// What the store is asked for, under a name of its own each time: what an earlier one was granted may be on its way
    /// back.
    pub(super) fn item(&self) -> GetItem {
        named(GetItem::from(self.address.clone()).unless(self.unless))
    }

    /// Until when this caller waits for a refresh of what it could serve stale.
    pub(super) fn patience(&self, entry: &Entry, soft_timeout: Duration) -> Tick {
        let core = &self.cache.core;
        let served = self.ask.served_until(core, &entry.meta);
        core.clock.now().after(soft_timeout).min(served).min(self.give_up)
    }

    /// Judges an answer; `None` to ask again.
    pub(super) async fn judge<T: DeserializeOwned>(&mut self, found: Result<Lookup>) -> Result<Option<Verdict<T>>> {
        let now = self.cache.core.clock.now();
        Ok(Some(match found {
            Ok(Lookup::Hit(entry)) => match self.cache.open(&entry) {
                Ok(value) => Verdict::Hit(Fetched::cached(Some(value), Outcome::Hit, &entry.meta, now), entry),
                Err(_) => return Ok(self.unreadable(entry.meta.version, None)),
            },
            Ok(Lookup::Stale(entry, lease)) => match self.cache.open(&entry) {
                Ok(value) => {
                    Verdict::Stale(Fetched::cached(Some(value), Outcome::Stale, &entry.meta, now), entry, lease)
                }
                Err(_) => return Ok(self.unreadable(entry.meta.version, lease)),
            },
            Ok(Lookup::Negative(meta)) => Verdict::Negative(Fetched::cached(None, Outcome::Negative, &meta, now)),
            Ok(Lookup::Leased(lease)) => Verdict::Load(Right::Lease(lease)),
            Ok(Lookup::Miss) => Verdict::Load(Right::Unleased),
            Ok(Lookup::Busy(id)) => {
                let flight = id.and_then(|id| self.cache.core.flights.join_as(self.address, id.0));
                match flight {
                    Some(flight) => {
                        self.cache.core.counters.joined();
                        Verdict::Join(flight)
                    }
                    None => return self.busy(now).await.map(|()| None),
                }
            }
            Err(error) if is_unreadable(&error) => {
                let version = self.cache.core.rejected(error).version().unwrap_or_default();
                return Ok(self.unreadable(version, None));
            }
            Err(error) if self.wait && error.kind() == ErrorKind::Timeout => {
                return self.unanswered(now).await.map(|()| None);
            }
            Err(error) if is_degraded(&error) && now < self.give_up => Verdict::Load(Right::Degraded),
            Err(error) => return Err(error),
        }))
    }

    /// What is there cannot be opened: it is asked for as if it were missing, and after many such loaded anyway.
    fn unreadable<T>(&mut self, version: Version, lease: Option<Lease>) -> Option<Verdict<T>> {
        self.unless = Some(version);
        self.unreadable += 1;
        self.wait = false;
        match lease {
            Some(lease) => Some(Verdict::Load(Right::Lease(lease))),
            None if self.unreadable > MAX_UNREADABLE => Some(Verdict::Load(Right::Unleased)),
            None => None,
        }
    }

    /// Somebody else loads: from now on the store is asked to wait.
    async fn busy(&mut self, now: Tick) -> Result<()> {
        self.check_patience(now)?;
        if self.wait {
            self.rest(now).await;
        }
        self.wait = true;
        Ok(())
    }

    /// A piece of the wait is over, here or in a layer that bounds attempts. That says nothing about the store: it is
    /// asked without waiting, and a store that is out of reach shows then.
    async fn unanswered(&mut self, now: Tick) -> Result<()> {
        self.check_patience(now)?;
        if now == self.asked {
            self.rest(now).await;
        }
        self.wait = false;
        Ok(())
    }

    fn check_patience(&self, now: Tick) -> Result<()> {
        if now < self.give_up { Ok(()) } else { Err(timed_out("another load did not end in time")) }
    }

    async fn rest(&self, now: Tick) {
        self.cache.core.clock.sleep_until(now.after(REST).min(self.give_up)).await;
    }
}

/// Whether an error means that the store is out of reach, so that the loader is all there is.
pub(super) fn is_degraded(error: &Error) -> bool {
    error.is_out_of_reach()
}
