//! Values on their way up.

use std::{sync::Arc, time::Duration};

use memstache_core::{
    Address, Entry, Error, ErrorKind, Found, Lookup, Meta, OneOrMany, Response, Result, Step, Version,
};

use super::{
    Layer,
    keys::{Source, Waits, Wanted, checked},
    policy::Policy,
    stats::bump,
    write::{millis, millis_since_epoch},
};
use crate::{
    envelope::{self, EntryKey, Inner, Reason},
    key::KeyFailure,
};

/// Opens an answer; at once if every key is at hand.
pub(super) fn response(layer: &Arc<Layer>, asked: OneOrMany<Address>, mut found: Found) -> Step<Response> {
    if asked.len() != found.len() {
        let error = Error::new(ErrorKind::Protocol, "the store answered another number of items");
        return Step::Now(Err(error));
    }
    let mut waits = Waits::default();
    layer.open_all(&asked, &mut found, &mut Source::Ask(&*layer.keys, &mut waits));
    if waits.is_empty() {
        return Step::Now(Ok(Response::Found(found)));
    }
    bump(&layer.counters.waited);
    let layer = Arc::clone(layer);
    Step::Wait(Box::pin(async move {
        let got = waits.all().await;
        layer.open_all(&asked, &mut found, &mut Source::Given(&got));
        Ok(Response::Found(found))
    }))
}

impl Layer {
    /// Opens every item for whose key it does not have to wait.
    fn open_all(&self, asked: &OneOrMany<Address>, found: &mut Found, source: &mut Source<'_>) {
        let again = matches!(source, Source::Given(_));
        for (address, item) in asked.iter().zip(found.iter_mut()) {
            // The second time only what waited: everything else is no longer sealed.
            if !again || is_sealed(item) {
                self.open_item(address, item, source);
            }
        }
    }

    /// Opens an item in its place; what cannot be opened is an error there, or a lease where there is one.
    fn open_item(&self, address: &Address, item: &mut Result<Lookup>, source: &mut Source<'_>) {
        let (version, opened) = match item {
            Ok(Lookup::Hit(entry) | Lookup::Stale(entry, _)) => (entry.meta.version, self.open(address, entry, source)),
            Ok(Lookup::Negative(meta)) => {
                let plain = self.spaces.of(address).1 == Policy::Plain && !meta.content.sealed;
                if plain {
                    bump(&self.counters.read_plain);
                }
                (meta.version, if plain { Ok(()) } else { Err(Reason::Downgrade) })
            }
            Ok(Lookup::Miss | Lookup::Leased(_) | Lookup::Busy(_)) | Err(_) => return,
            Ok(_) => {
                *item = Err(Error::new(ErrorKind::Unsupported, "the store answered what the seal does not know"));
                return;
            }
        };
        match opened {
            Ok(()) => tell_negative(item),
            Err(reason) => {
                self.counters.rejected(reason);
                *item = refused(item, version);
            }
        }
    }

    /// Opens an entry in its place, or leaves it as it is if its key must be waited for.
    fn open(&self, address: &Address, entry: &mut Entry, source: &mut Source<'_>) -> Result<(), Reason> {
        let (space, policy) = self.spaces.of(address);
        if !entry.meta.content.sealed {
            if policy == Policy::Sealed {
                return Err(Reason::Downgrade);
            }
            bump(&self.counters.read_plain);
            return Ok(());
        }
        if entry.value.len() > self.settings.max_sealed {
            return Err(Reason::Length);
        }
        let parsed = envelope::parse(&entry.value)?;
        let wanted = Wanted { space, id: Some(parsed.key_id) };
        let Some(got) = source.get(wanted) else { return Ok(()) };
        let key = checked(got, Some(parsed.key_id)).map_err(reason_of)?;
        if key.is_committing() && !parsed.suite.is_committing() {
            return Err(Reason::Suite);
        }
        let derive = || EntryKey::derive(self.settings.backend, &key, parsed.suite, parsed.salt);
        let open = |entry_key: &EntryKey| envelope::open(&parsed, entry_key, address);
        let (inner, value) = self.prepared.with(&parsed, derive, open)?;
        let now = self.judge(&inner)?;
        self.bound(&mut entry.meta, &inner, now);
        bump(&self.counters.opened);
        entry.value = value;
        entry.meta.content = inner.content();
        Ok(())
    }

    /// Judges what was authentic once; returns the wall-clock time by which it was judged.
    fn judge(&self, inner: &Inner) -> Result<u64, Reason> {
        let now = millis_since_epoch(self.clock.wall());
        if inner.generation < self.settings.generation {
            return Err(Reason::Generation);
        }
        if self.end(inner).is_some_and(|end| end <= now) {
            return Err(Reason::Expired);
        }
        Ok(now)
    }

    /// When a value is no longer opened.
    fn end(&self, inner: &Inner) -> Option<u64> {
        Some(inner.deadline?.saturating_add(millis(self.settings.max_skew)))
    }

    /// Takes back what the store says about a value's age and life as far as the value itself knows better: a copy must not
    /// outlive it above.
    fn bound(&self, meta: &mut Meta, inner: &Inner, now: u64) {
        let tick = self.clock.upper_bound();
        let age = Duration::from_millis(now.saturating_sub(inner.written_at));
        if tick.since(meta.written_at).saturating_add(self.settings.max_skew) < age {
            meta.written_at = tick.before(age);
        }
        if let Some(end) = self.end(inner) {
            let end = tick.after(Duration::from_millis(end - now));
            meta.hard_until = meta.hard_until.min(end);
            meta.fresh_until = meta.fresh_until.min(end);
            meta.stale_for = meta.stale_for.min(end.since(meta.fresh_until));
        }
    }
}

fn is_sealed(item: &Result<Lookup>) -> bool {
    matches!(item, Ok(Lookup::Hit(entry) | Lookup::Stale(entry, _)) if entry.meta.content.sealed)
}

/// Tells a negative record apart, now that it is open.
fn tell_negative(item: &mut Result<Lookup>) {
    if let Ok(Lookup::Hit(entry)) = item
        && entry.meta.content.negative
        && !entry.meta.content.sealed
    {
        *item = Ok(Lookup::Negative(entry.meta.clone()));
    }
}

/// The answer for a value that cannot be opened: whoever was to refresh it is to load it.
fn refused(item: &Result<Lookup>, version: Version) -> Result<Lookup> {
    match item {
        Ok(Lookup::Stale(_, Some(lease))) => Ok(Lookup::Leased(*lease)),
        _ => Err(Error::rejected(version)),
    }
}

fn reason_of(failure: KeyFailure) -> Reason {
    match failure {
        KeyFailure::Unknown => Reason::KeyUnknown,
        KeyFailure::Retired => Reason::KeyRetired,
        KeyFailure::Revoked => Reason::KeyRevoked,
        KeyFailure::Unavailable { .. } => Reason::KeyUnavailable,
    }
}
