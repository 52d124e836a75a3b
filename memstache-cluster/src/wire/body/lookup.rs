//! What a read found, and items that failed.

use memstache_core::{Lease, LeaseId, Lookup, Result, Sequence};

use super::{
    super::{
        reader::{Reader, malformed},
        writer::{Writer, unsupported},
    },
    entry, error,
};

/// Stands in the place of an item's first byte if the item failed; an error follows.
pub(super) const FAILED: u8 = 0xff;

/// Writes an item, whose own first byte is never [`FAILED`], or its error.
pub(super) fn put_item<'c, T>(
    w: &mut Writer<'_, 'c>,
    item: &'c Result<T>,
    put: impl FnOnce(&mut Writer<'_, 'c>, &'c T) -> Result<()>,
) -> Result<()> {
    match item {
        Ok(item) => put(w, item),
        Err(failed) => {
            w.out.byte(FAILED);
            error::put(w, failed);
            Ok(())
        }
    }
}

/// Reads an item by its first byte, or its error.
pub(super) fn get_item<T>(r: &mut Reader<'_>, get: impl FnOnce(&mut Reader<'_>, u8) -> Result<T>) -> Result<Result<T>> {
    match r.byte()? {
        FAILED => error::get(r).map(Err),
        first => get(r, first).map(Ok),
    }
}

// Lookup:
//   1  0 miss, 1 hit, 2 stale, 3 stale to be refreshed, 4 negative, 5 leased, 6 busy, 7 busy with a lease good enough
//      1, 2: entry
//      3: entry; lease
//      4: meta
//      5: lease
//      7: 8 lease's id
//
// Lease:
//   8  id
//   v  sequence
//   v  ttl, ms
pub(super) fn put(w: &mut Writer<'_, '_>, lookup: &Lookup) -> Result<()> {
    match lookup {
        Lookup::Miss => w.out.byte(0),
        Lookup::Hit(entry) => {
            w.out.byte(1);
            return entry::put(w, entry);
        }
        Lookup::Stale(entry, None) => {
            w.out.byte(2);
            return entry::put(w, entry);
        }
        Lookup::Stale(entry, Some(lease)) => {
            w.out.byte(3);
            entry::put(w, entry)?;
            put_lease(w, lease);
        }
        Lookup::Negative(meta) => {
            w.out.byte(4);
            return entry::put_meta(w, meta);
        }
        Lookup::Leased(lease) => {
            w.out.byte(5);
            put_lease(w, lease);
        }
        Lookup::Busy(None) => w.out.byte(6),
        Lookup::Busy(Some(lease)) => {
            w.out.byte(7);
            w.out.put(&lease.0.to_be_bytes());
        }
        _ => return Err(unsupported("a finding of a new kind")),
    }
    Ok(())
}

pub(super) fn get(r: &mut Reader<'_>, first: u8) -> Result<Lookup> {
    Ok(match first {
        0 => Lookup::Miss,
        1 => Lookup::Hit(entry::get(r)?),
        2 => Lookup::Stale(entry::get(r)?, None),
        3 => {
            let entry = entry::get(r)?;
            Lookup::Stale(entry, Some(get_lease(r)?))
        }
        4 => Lookup::Negative(entry::get_meta(r)?),
        5 => Lookup::Leased(get_lease(r)?),
        6 => Lookup::Busy(None),
        7 => Lookup::Busy(Some(LeaseId(r.fixed()?))),
        _ => return Err(malformed("a finding")),
    })
}

fn put_lease(w: &mut Writer<'_, '_>, lease: &Lease) {
    w.out.put(&lease.id.0.to_be_bytes());
    w.out.number(lease.sequence.0);
    w.span(lease.ttl);
}

fn get_lease(r: &mut Reader<'_>) -> Result<Lease> {
    Ok(Lease { id: LeaseId(r.fixed()?), sequence: Sequence(r.number()?), ttl: r.span()? })
}
