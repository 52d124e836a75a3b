//! Reading through a source.
//!
//! What is held is answered at once. Else the typed handle of the core loads it, under the store's lease: once for all who
//! ask, fenced against removals, by a task of its own. Then the entry is read as it is held, with its tags and lifetimes.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use memstache_core::{
    Address, Entry, Error, ErrorKind, Found, Get, GetItem, Lifetime, Lookup, Meta, NewEntry, OnMiss, OneOrMany,
    Operation, Outcome, Result, Scope, Sequence, Space, Tick, Version, expiry, observe::Ending, resilience::Refused,
};

use super::{
    local::{Loads, Local},
    octets::Octets,
};
use crate::{
    keyspace::Key,
    stats::count,
    wire::{DataSourceError, Fetched, Origin},
};

impl Local {
    /// Answers a read as a store does, with what is missing loaded.
    pub(super) async fn read_through(&self, op: Get) -> Found {
        self.fetch(op.items, op.scope).await.map(|fetched| fetched.map(|fetched| fetched.lookup))
    }

    /// Answers keys from what is held, and loads the others.
    ///
    /// # Cancellation
    /// A load that was begun goes on for the others who wait, and is stored.
    pub(crate) async fn fetch(&self, items: OneOrMany<GetItem>, scope: Scope) -> OneOrMany<Result<Fetched>> {
        count(&self.counters.gets, items.len());
        let Some(loads) = &self.loads else {
            return items.map(|_| Err(Error::new(ErrorKind::Unsupported, "the keyspace has no source to fetch from")));
        };
        let held = self.held(loads, items.clone(), scope).await;
        if let OneOrMany::One(item) = &items {
            return OneOrMany::One(self.fetched(loads, item, held, scope).await);
        }
        let mut missing = Vec::new();
        let mut answers: Vec<Option<Result<Fetched>>> = Vec::with_capacity(items.len());
        for (place, (item, lookup)) in items.iter().zip(held).enumerate() {
            let settled = self.settled(&item.address, lookup);
            if settled.is_none() {
                missing.push((place, &item.address));
            }
            answers.push(settled);
        }
        count(&self.counters.cache_hits, items.len() - missing.len());
        count(&self.counters.loads, missing.len());
        self.tell_held(&answers);
        match missing.as_slice() {
            [] => {}
            [(place, address)] => answers[*place] = Some(Box::pin(self.load(loads, address, scope, None)).await),
            many => {
                for (place, answer) in Box::pin(self.load_many(loads, many, scope)).await {
                    answers[place] = Some(answer);
                }
            }
        }
        let answer = |answer: Option<Result<Fetched>>| answer.unwrap_or_else(|| Err(unanswered()));
        answers.into_iter().map(answer).collect()
    }

    /// Answers one key from what is held, or loads it.
    async fn fetched(&self, loads: &Loads, item: &GetItem, held: Found, scope: Scope) -> Result<Fetched> {
        let lookup = held.into_one().unwrap_or_else(|| Err(unanswered()));
        let settled = self.settled(&item.address, lookup);
        count(&self.counters.cache_hits, usize::from(settled.is_some()));
        self.tell_held(std::slice::from_ref(&settled));
        match settled {
            Some(settled) => settled,
            None => {
                count(&self.counters.loads, 1);
                Box::pin(self.load(loads, &item.address, scope, None)).await
            }
        }
    }

    /// Tells what was answered without a load; the handle tells the rest.
    fn tell_held(&self, answers: &[Option<Result<Fetched>>]) {
        let Some(recorder) = &self.recorder else { return };
        let (mut hits, mut negative) = (0, 0);
        for fetched in answers.iter().flatten().flatten() {
            match fetched.lookup {
                Lookup::Negative(_) => negative += 1,
                _ => hits += 1,
            }
        }
        for (ending, count) in [(Ending::Hit, hits), (Ending::Negative, negative)] {
            if count > 0 {
                recorder.request(ending, count);
            }
        }
    }

    /// Looks at what is held, changing nothing but what a read changes.
    async fn held(&self, loads: &Loads, items: OneOrMany<GetItem>, scope: Scope) -> Found {
        let count = items.len();
        let found = loads.service.dispatch(Get { items, on_miss: OnMiss::Report, scope }).await;
        match found.and_then(<Get as Operation>::output) {
            Ok(found) if found.len() == count => found,
            Ok(_) => (0..count).map(|_| Err(unanswered())).collect(),
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }

    /// Returns the answer that needs no load.
    fn settled(&self, address: &Address, lookup: Result<Lookup>) -> Option<Result<Fetched>> {
        match lookup {
            _ if address.is_blind() => Some(Err(blind())),
            Ok(Lookup::Hit(entry)) if !self.is_due(&entry.meta) => Some(held(Lookup::Hit(entry))),
            Ok(Lookup::Negative(meta)) => Some(held(Lookup::Negative(meta))),
            // What cannot be opened is loaded under a lease, by the handle.
            _ => None,
        }
    }

    fn is_due(&self, meta: &Meta) -> bool {
        let settings = &self.spec.0;
        let ahead = settings.refresh_ahead.is_some_and(|part| expiry::due_ahead(meta, self.clock.now(), part));
        // By chance: whether it is due is drawn by the handle.
        ahead || settings.early_refresh.is_some()
    }

    /// Has the source be asked again for a value that is held and ends some time, beside its readers; loads one that is missing.
    pub(crate) async fn refresh(&self, address: Address, deadline: Tick) {
        let Some(loads) = &self.loads else { return };
        let scope = Scope { deadline: Some(deadline), ..Scope::default() };
        // What fails is counted; the value that is there stays.
        drop(self.load(loads, &address, scope, Some(f64::MIN_POSITIVE)).await);
    }

    /// Loads a key, or answers with what is held by then; one of which this fraction of its life has passed is refreshed.
    async fn load(&self, loads: &Loads, address: &Address, scope: Scope, ahead: Option<f64>) -> Result<Fetched> {
        let cache = loads.handle(&address.space())?;
        let (led, guard, key) = (Arc::new(AtomicBool::new(false)), Arc::clone(&loads.guard), Key::new(address.clone()));
        let leads = Arc::clone(&led);
        let loader = move |_| {
            leads.store(true, Relaxed);
            async move { guard.fetch(key).await }
        };
        let mut read = cache.get_or_load::<Octets, _, _, _, _, _>(address.name(), loader).entry();
        if let Some(left) = self.left(scope)? {
            read = read.timeout(left);
        }
        if let Some(age) = scope.max_staleness {
            read = read.max_staleness(age);
        }
        if let Some(part) = ahead {
            read = read.refresh_ahead(part);
        }
        let fetched = read.await.map_err(told)?;
        let origin = match (fetched.outcome, led.load(Relaxed)) {
            (_, true) => Origin::Loaded,
            (Outcome::Miss, false) => Origin::Shared,
            (_, false) => Origin::Held,
        };
        count(&self.counters.loads_deduped, usize::from(origin == Origin::Loaded));
        if origin == Origin::Loaded {
            self.note_loaded(std::iter::once(address));
        }
        let held = self.held(loads, OneOrMany::One(address.clone().into()), scope).await.into_one();
        Ok(Fetched { lookup: self.as_held(held, fetched.value), origin, hot: None })
    }

    async fn load_many(
        &self,
        loads: &Loads,
        missing: &[(usize, &Address)],
        scope: Scope,
    ) -> Vec<(usize, Result<Fetched>)> {
        let mut spaces: HashMap<Space, Vec<(usize, &Address)>> = HashMap::new();
        for (place, address) in missing {
            spaces.entry(address.space()).or_default().push((*place, address));
        }
        let mut answers = Vec::with_capacity(missing.len());
        // One space after the other: a batch has one, but for callers who mix them by hand.
        for (space, group) in spaces {
            let values = self.load_group(loads, &space, &group, scope).await;
            self.note_loaded(group.iter().map(|(_, address)| *address));
            let addresses: OneOrMany<GetItem> = group.iter().map(|(_, address)| (*address).clone().into()).collect();
            let held = self.held(loads, addresses, scope).await;
            for (((place, _), value), held) in group.into_iter().zip(values).zip(held) {
                let answer =
                    value.map(|(value, origin)| Fetched { lookup: self.as_held(Some(held), value), origin, hot: None });
                answers.push((place, answer));
            }
        }
        answers
    }

    /// Loads keys of one space.
    async fn load_group(
        &self,
        loads: &Loads,
        space: &Space,
        group: &[(usize, &Address)],
        scope: Scope,
    ) -> Vec<Result<(Option<Octets>, Origin)>> {
        let fail = |error: Error| group.iter().map(|_| Err(error.clone())).collect();
        let (cache, left) = match loads.handle(space).and_then(|cache| Ok((cache, self.left(scope)?))) {
            Ok(ready) => ready,
            Err(error) => return fail(error),
        };
        let keys: Vec<Key> = group.iter().map(|(_, address)| Key::new((*address).clone())).collect();
        let (guard, counters) = (Arc::clone(&loads.guard), Arc::clone(&self.counters));
        let loader = move |keys: Vec<Key>| {
            count(&counters.loads_deduped, keys.len());
            let guard = Arc::clone(&guard);
            async move { guard.fetch_many(keys).await }
        };
        let mut read = cache.get_many_or_load::<Octets, _, _, _, _, _, _>(keys, loader);
        if let Some(left) = left {
            read = read.timeout(left);
        }
        if let Some(age) = scope.max_staleness {
            read = read.max_staleness(age);
        }
        match read.await {
            Ok(found) => {
                found.into_iter().map(|found| found.map(|value| (value, Origin::Loaded)).map_err(told)).collect()
            }
            Err(error) => fail(told(error)),
        }
    }

    /// Returns how long the caller still waits; the error is that it does not any more.
    fn left(&self, scope: Scope) -> Result<Option<Duration>> {
        let Some(deadline) = scope.deadline else { return Ok(None) };
        match deadline.since(self.clock.now()) {
            Duration::ZERO => Err(deadline_exceeded()),
            left => Ok(Some(left.min(memstache_core::MAX_TTL))),
        }
    }

    /// Prefers what is held now to the bare value that was loaded.
    fn as_held(&self, held: Option<Result<Lookup>>, loaded: Option<Octets>) -> Lookup {
        match (held, loaded) {
            (Some(Ok(held @ (Lookup::Hit(_) | Lookup::Stale(..)))), _) => held,
            (_, Some(Octets(value))) => Lookup::Hit(self.unkept(value)),
            (Some(Ok(negative @ Lookup::Negative(_))), None) => negative,
            (_, None) => Lookup::Miss,
        }
    }

    /// An entry for a value that was not kept: answered once, and never fresh to anybody else.
    pub(crate) fn unkept(&self, value: Bytes) -> Entry {
        let now = self.clock.now();
        let mut entry = NewEntry::new(value, Lifetime::UNLIMITED).into_entry(now, Version(0), Sequence(0));
        entry.meta.content.format = self.spec.0.format;
        (entry.meta.fresh_until, entry.meta.hard_until) = (now, now);
        entry
    }
}

fn held(lookup: Lookup) -> Result<Fetched> {
    Ok(Fetched { lookup, origin: Origin::Held, hot: None })
}

/// Gives the error of a load the names that a caller can match.
pub(super) fn told(error: Error) -> Error {
    if error.find_source::<Refused>().is_some() {
        let open = Error::new(ErrorKind::Unavailable, "the circuit breaker of the data source is open");
        let open = open.with_source(DataSourceError::CircuitOpen);
        return match error.retry_after() {
            Some(after) => open.with_retry_after(after),
            None => open,
        };
    }
    match (error.kind(), error.find_source::<Error>()) {
        // What protects the source says so by an error of its own kind, within that of the load.
        (ErrorKind::Load, Some(own)) if own.find_source::<DataSourceError>().is_some() => own.clone(),
        (ErrorKind::Timeout, _) => deadline_exceeded(),
        _ => error,
    }
}

pub(super) fn deadline_exceeded() -> Error {
    Error::new(ErrorKind::Timeout, "the data source did not answer before the deadline")
        .with_source(DataSourceError::DeadlineExceeded)
}

fn blind() -> Error {
    Error::new(ErrorKind::Unsupported, "a keyspace with a source is asked for plain names, not for blind ones")
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Protocol, "a layer of the keyspace answered something else than it was asked")
}
