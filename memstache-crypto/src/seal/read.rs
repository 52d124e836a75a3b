//! Values on their way up.

use std::sync::Arc;

use bytes::Bytes;
use memstache_core::{
    Address, Entry, Error, ErrorKind, Found, Lookup, Meta, OneOrMany, Response, Result, Step, Tick, Version,
};

use super::{
    Layer,
    keys::{Source, Waits},
    policy::Policy,
    stats::bump,
};
use crate::{
    envelope::{self, EntryKey, Inner, Parsed, Reason},
    key::{DataKey, KeyFailure, KeyId},
};

/// Opens what can be opened of an answer; for the rest it is told which keys to wait for.
#[inline]
pub(super) fn open(layer: &Layer, asked: &OneOrMany<Address>, response: &mut Response) -> Result<Option<Waits>> {
    let Response::Found(found) = response else { return Err(super::foreign()) };
    if asked.len() != found.len() {
        return Err(Error::new(ErrorKind::Protocol, "the store answered another number of items"));
    }
    let mut waits = Waits::default();
    layer.open_all(asked, found, &mut Source::Ask(&*layer.keys, &mut waits));
    Ok((!waits.is_empty()).then_some(waits))
}

/// Opens the rest once its keys are here.
#[cold]
pub(super) fn later(
    layer: &Arc<Layer>,
    asked: OneOrMany<Address>,
    mut response: Response,
    waits: Waits,
) -> Step<Response> {
    bump(&layer.counters.waited);
    let layer = Arc::clone(layer);
    Step::Wait(Box::pin(async move {
        let got = waits.all().await;
        if let Response::Found(found) = &mut response {
            layer.open_all(&asked, found, &mut Source::Given(&got));
        }
        Ok(response)
    }))
}

impl Layer {
    /// Opens every item for whose key it does not have to wait.
    #[inline]
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
                let plain = self.spaces.with(address, |known| known.policy) == Policy::Plain && !meta.content.sealed;
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
    #[inline(always)]
    fn open(&self, address: &Address, entry: &mut Entry, source: &mut Source<'_>) -> Result<(), Reason> {
        if !entry.meta.content.sealed {
            if self.spaces.with(address, |known| known.policy) == Policy::Sealed {
                return Err(Reason::Downgrade);
            }
            bump(&self.counters.read_plain);
            return Ok(());
        }
        if entry.value.len() > self.settings.max_sealed {
            return Err(Reason::Length);
        }
        let (parsed, meta, mut value) = (envelope::parse(&entry.value)?, &mut entry.meta, None);
        let by_key = |key: &DataKey| {
            if key.is_committing() && !parsed.suite.is_committing() {
                return Err(Reason::Suite);
            }
            let derive = || EntryKey::derive(self.settings.backend, key, parsed.suite, parsed.salt);
            // What it says goes where it belongs from here, not through everybody who lent something for it.
            self.prepared.with(&parsed, derive, |key| self.unseal(&parsed, key, address, meta, &mut value))
        };
        let id = Some(KeyId::from_bytes(*parsed.key_id));
        let Some(opened) = self.spaces.with(address, |known| source.with(&known.space, id, by_key)) else {
            return Ok(());
        };
        opened.map_err(reason_of)??;
        entry.value = value.ok_or(Reason::KeyUnknown)?;
        self.counters.opened.bump();
        Ok(())
    }

    /// Decrypts a value, judges it, and notes what it says about itself.
    ///
    /// Not inlined: a key is some hundred bytes, which are moved unless they are made right where they are lent.
    #[inline(never)]
    fn unseal(
        &self,
        parsed: &Parsed<'_>,
        key: &EntryKey,
        address: &Address,
        meta: &mut Meta,
        value: &mut Option<Bytes>,
    ) -> Result<(), Reason> {
        let (inner, plain) = envelope::open(parsed, key, address)?;
        let (tick, now) = self.wall.now();
        self.judge(&inner, now)?;
        self.bound(meta, &inner, tick, now);
        meta.content = inner.content();
        *value = Some(plain);
        Ok(())
    }

    /// Judges what was authentic once.
    fn judge(&self, inner: &Inner, now: u64) -> Result<(), Reason> {
        if inner.generation < self.settings.generation {
            return Err(Reason::Generation);
        }
        if self.end(inner).is_some_and(|end| end <= now) {
            return Err(Reason::Expired);
        }
        Ok(())
    }

    /// When a value is no longer opened.
    fn end(&self, inner: &Inner) -> Option<u64> {
        Some(inner.deadline?.saturating_add(self.settings.max_skew))
    }

    /// Takes back what the store says about a value's age and life as far as the value itself knows better: a copy must not
    /// outlive it above.
    fn bound(&self, meta: &mut Meta, inner: &Inner, tick: Tick, now: u64) {
        let (age, tick) = (now.saturating_sub(inner.written_at), tick.as_millis());
        let told = tick.saturating_sub(meta.written_at.as_millis());
        if told.saturating_add(self.settings.max_skew) < age {
            meta.written_at = Tick::from_millis(tick.saturating_sub(age));
        }
        let Some(end) = self.end(inner) else { return };
        let end = Tick::from_millis(tick.saturating_add(end - now));
        meta.hard_until = meta.hard_until.min(end);
        meta.fresh_until = meta.fresh_until.min(end);
        if !meta.stale_for.is_zero() {
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
