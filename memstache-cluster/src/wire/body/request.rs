//! Requests of a stack.

use std::time::Duration;

use memstache_core::{
    Consistency, Explain, Get, GetItem, Invalidate, LeaseId, Lifetime, OnMiss, OneOrMany, Remove, Request, Result,
    Scope, Set, SetItem, Tick, Touch, TouchItem, TouchKind, Version, When,
};

use super::{
    super::{
        reader::{Reader, malformed},
        writer::{Writer, unsupported},
    },
    address, entry,
};

// Request:
//   1  1 get, 2 set, 3 remove, 4 touch, 5 invalidate, 6 explain
//   scope
//   1  what to do about misses             only of a get
//   v  number of items, each:
//      get:         address; 1 flags; v version; 8 lease
//      set:         address; condition; new entry
//      remove:      address
//      touch:       address; kind
//      invalidate:  target
//      explain:     address
pub(super) fn put<'c>(w: &mut Writer<'_, 'c>, request: &'c Request) -> Result<()> {
    w.out.byte(match request {
        Request::Get(_) => 1,
        Request::Set(_) => 2,
        Request::Remove(_) => 3,
        Request::Touch(_) => 4,
        Request::Invalidate(_) => 5,
        Request::Explain(_) => 6,
        _ => return Err(unsupported("a request of a new kind")),
    });
    // A moment of this process says nothing to another, and an owner reports what it finds.
    let Scope { deadline: _, begun: _, fresh_only: _, consistency, max_staleness } = request.scope();
    put_scope(w, *consistency, *max_staleness)?;
    match request {
        Request::Get(op) => {
            w.out.byte(match op.on_miss {
                OnMiss::Report => 0,
                OnMiss::Lease => 1,
                OnMiss::Wait => 2,
                _ => return Err(unsupported("a new way to treat misses")),
            });
            w.many(op.items.as_slice(), put_get)
        }
        Request::Set(op) => w.many(op.items.as_slice(), put_set),
        Request::Remove(Remove { items, .. }) | Request::Explain(Explain { items, .. }) => put_addresses(w, items),
        Request::Touch(op) => w.many(op.items.as_slice(), put_touch),
        Request::Invalidate(op) => w.many(op.items.as_slice(), address::put_target),
        _ => Err(unsupported("a request of a new kind")),
    }
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Request> {
    let kind = r.byte()?;
    let (consistency, max_staleness) = get_scope(r)?;
    let scope = Scope { deadline: r.deadline(), consistency, max_staleness, ..Scope::default() };
    Ok(match kind {
        1 => {
            let on_miss = match r.byte()? {
                0 => OnMiss::Report,
                1 => OnMiss::Lease,
                2 => OnMiss::Wait,
                _ => return Err(malformed("a way to treat misses")),
            };
            Get { items: items(r, address::LEAST + 1, get_get)?, on_miss, scope }.into()
        }
        2 => Set { items: items(r, address::LEAST + 10, get_set)?, scope }.into(),
        3 => Remove { items: addresses(r)?, scope }.into(),
        4 => Touch { items: items(r, address::LEAST + 1, get_touch)?, scope }.into(),
        5 => Invalidate { items: items(r, 2, address::get_target)?, scope }.into(),
        6 => Explain { items: addresses(r)?, scope }.into(),
        _ => return Err(malformed("a request")),
    })
}

pub(super) fn items<T>(
    r: &mut Reader<'_>,
    least: usize,
    get: impl FnMut(&mut Reader<'_>) -> Result<T>,
) -> Result<OneOrMany<T>> {
    let mut get = get;
    // One item costs no allocation.
    if r.is_one() {
        r.byte()?;
        r.charge(1)?;
        return get(r).map(OneOrMany::One);
    }
    r.many(least, get).map(OneOrMany::Many)
}

pub(super) fn put_addresses<'c>(w: &mut Writer<'_, 'c>, items: &'c OneOrMany<memstache_core::Address>) -> Result<()> {
    w.many(items.as_slice(), |w, item| {
        address::put(w, item);
        Ok(())
    })
}

pub(super) fn addresses(r: &mut Reader<'_>) -> Result<OneOrMany<memstache_core::Address>> {
    items(r, address::LEAST, address::get)
}

// Scope:
//   1  0 near, 1 nearest, 2 authority; with 0x80 if there is a greatest staleness
//   v  greatest staleness, ms, rounded down
pub(super) fn put_scope(
    w: &mut Writer<'_, '_>,
    consistency: Consistency,
    max_staleness: Option<Duration>,
) -> Result<()> {
    let code = match consistency {
        Consistency::Near => 0,
        Consistency::Nearest => 1,
        Consistency::Authority => 2,
        _ => return Err(unsupported("a new consistency")),
    };
    w.out.byte(code | if max_staleness.is_some() { 0x80 } else { 0 });
    if let Some(max) = max_staleness {
        w.out.number(u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
    }
    Ok(())
}

pub(super) fn get_scope(r: &mut Reader<'_>) -> Result<(Consistency, Option<Duration>)> {
    let byte = r.byte()?;
    let consistency = match byte & 0x7f {
        0 => Consistency::Near,
        1 => Consistency::Nearest,
        2 => Consistency::Authority,
        _ => return Err(malformed("a consistency")),
    };
    Ok((consistency, if byte & 0x80 == 0 { None } else { Some(r.span()?) }))
}

fn put_get<'c>(w: &mut Writer<'_, 'c>, item: &'c GetItem) -> Result<()> {
    address::put(w, &item.address);
    w.out.byte(u8::from(item.unless.is_some()) | u8::from(item.lease.is_some()) << 1);
    if let Some(version) = item.unless {
        w.out.number(version.0);
    }
    if let Some(lease) = item.lease {
        w.out.put(&lease.0.to_be_bytes());
    }
    Ok(())
}

fn get_get(r: &mut Reader<'_>) -> Result<GetItem> {
    let address = address::get(r)?;
    let flags = r.byte()?;
    if flags > 3 {
        return Err(malformed("flags"));
    }
    let unless = if flags & 1 == 0 { None } else { Some(Version(r.number()?)) };
    let lease = if flags & 2 == 0 { None } else { Some(LeaseId(r.fixed()?)) };
    Ok(GetItem { address, unless, lease })
}

// Condition:
//   1  0 always, 1 if absent, 2 if present, 3 if version, 4 if lease
//   v  version / 8 lease
fn put_set<'c>(w: &mut Writer<'_, 'c>, item: &'c SetItem) -> Result<()> {
    address::put(w, &item.address);
    match item.when {
        When::Always => w.out.byte(0),
        When::IfAbsent => w.out.byte(1),
        When::IfPresent => w.out.byte(2),
        When::IfVersion(version) => {
            w.out.byte(3);
            w.out.number(version.0);
        }
        When::IfLease(lease) => {
            w.out.byte(4);
            w.out.put(&lease.0.to_be_bytes());
        }
        _ => return Err(unsupported("a new condition")),
    }
    entry::put_new(w, &item.entry)
}

fn get_set(r: &mut Reader<'_>) -> Result<SetItem> {
    let address = address::get(r)?;
    let when = match r.byte()? {
        0 => When::Always,
        1 => When::IfAbsent,
        2 => When::IfPresent,
        3 => When::IfVersion(Version(r.number()?)),
        4 => When::IfLease(LeaseId(r.fixed()?)),
        _ => return Err(malformed("a condition")),
    };
    Ok(SetItem { address, when, entry: entry::get_new(r)? })
}

// Kind of a touch:
//   1  0 probe, 1 slide, 2 live, 3 renew, 4 release
//      live: 1 flags (1 ttl, 2 sliding); v ttl; v sliding; v stale_for, all ms
//      renew, release: 8 lease
fn put_touch<'c>(w: &mut Writer<'_, 'c>, item: &'c TouchItem) -> Result<()> {
    address::put(w, &item.address);
    match item.kind {
        TouchKind::Probe => w.out.byte(0),
        TouchKind::Slide => w.out.byte(1),
        TouchKind::Live(lifetime) => {
            w.out.byte(2);
            put_lifetime(w, lifetime);
        }
        TouchKind::Renew(lease) => {
            w.out.byte(3);
            w.out.put(&lease.0.to_be_bytes());
        }
        TouchKind::Release(lease) => {
            w.out.byte(4);
            w.out.put(&lease.0.to_be_bytes());
        }
        _ => return Err(unsupported("a new touch")),
    }
    Ok(())
}

fn get_touch(r: &mut Reader<'_>) -> Result<TouchItem> {
    let address = address::get(r)?;
    let kind = match r.byte()? {
        0 => TouchKind::Probe,
        1 => TouchKind::Slide,
        2 => TouchKind::Live(get_lifetime(r)?),
        3 => TouchKind::Renew(LeaseId(r.fixed()?)),
        4 => TouchKind::Release(LeaseId(r.fixed()?)),
        _ => return Err(malformed("a touch")),
    };
    Ok(TouchItem { address, kind })
}

fn put_lifetime(w: &mut Writer<'_, '_>, lifetime: Lifetime) {
    w.out.byte(u8::from(lifetime.ttl().is_some()) | u8::from(lifetime.sliding().is_some()) << 1);
    entry::put_lifetime(w, lifetime);
}

fn get_lifetime(r: &mut Reader<'_>) -> Result<Lifetime> {
    let flags = r.byte()?;
    if flags > 3 {
        return Err(malformed("flags"));
    }
    entry::get_lifetime(r, flags & 1 != 0, flags & 2 != 0)
}

/// When the call gives up: the sooner of what the context and the request say.
pub(crate) fn deadline_of(request: &Request, deadline: Option<Tick>) -> Option<Tick> {
    match (request.scope().deadline, deadline) {
        (Some(own), Some(call)) => Some(own.min(call)),
        (own, call) => own.or(call),
    }
}
