//! Addresses, and what invalidations are about.

use memstache_core::{Address, Result, Sequence, Space, Tag, Target, TenantId};

use super::super::{
    names::text,
    reader::{Reader, malformed},
    writer::{Writer, unsupported},
};

/// The fewest bytes that an address takes.
pub(super) const LEAST: usize = 3;

/// The greatest sequence that is believed: far above any that was counted up to, and far below where counting ends.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 62;

// Address:
//   space
//   v  length of the name, doubled; odd if it is blind
//   n  name
//   v  length of the stored key            only if it is blind
//   n  stored key
//
// Space:
//   1  length of `tenant:keyspace:`; 0 for the space before
//   n  `tenant:keyspace:`
pub(super) fn put<'c>(w: &mut Writer<'_, 'c>, address: &'c Address) {
    w.space(address.space_key());
    let name = address.name();
    w.len(name.len() << 1 | usize::from(address.is_blind()));
    w.out.put(name);
    if address.is_blind() {
        let stored = address.stored();
        w.len(stored.len());
        w.out.put(stored);
    }
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Address> {
    let space = r.space()?;
    let head = r.number()?;
    let name = r.slice(usize::try_from(head >> 1).map_err(|_| malformed("a length"))?)?;
    if head & 1 == 0 {
        return Address::plain(&space, name).map_err(|_| malformed("a name"));
    }
    let len = r.len()?;
    Address::blind(&space, name, r.slice(len)?).map_err(|_| malformed("a stored key"))
}

pub(super) fn put_space<'c>(w: &mut Writer<'_, 'c>, space: &'c Space) {
    w.space(space.key());
}

pub(super) fn get_space(r: &mut Reader<'_>) -> Result<Space> {
    r.space()
}

// Target:
//   1  1 tag, 2 space, 3 tenant
//      1: space; 1 length, n tag
//      2: space
//      3: 1 length, n tenant
pub(super) fn put_target<'c>(w: &mut Writer<'_, 'c>, target: &'c Target) -> Result<()> {
    match target {
        Target::Tag(space, tag) => {
            w.out.byte(1);
            put_space(w, space);
            w.short(tag.as_str());
        }
        Target::Space(space) => {
            w.out.byte(2);
            put_space(w, space);
        }
        Target::Tenant(tenant) => {
            w.out.byte(3);
            w.short(tenant.as_str());
        }
        _ => return Err(unsupported("an invalidation of a new kind")),
    }
    Ok(())
}

pub(super) fn get_target(r: &mut Reader<'_>) -> Result<Target> {
    Ok(match r.byte()? {
        1 => {
            let space = r.space()?;
            Target::Tag(space, Tag::new(get_short(r)?).map_err(|_| malformed("a tag"))?)
        }
        2 => Target::Space(r.space()?),
        3 => Target::Tenant(TenantId::new(get_short(r)?).map_err(|_| malformed("a tenant"))?),
        _ => return Err(malformed("an invalidation")),
    })
}

pub(super) fn get_short<'a>(r: &mut Reader<'a>) -> Result<&'a str> {
    let len = usize::from(r.byte()?);
    text(r.slice(len)?)
}

pub(super) fn put_sequence(w: &mut Writer<'_, '_>, sequence: Sequence) {
    w.out.number(sequence.0);
}

pub(super) fn get_sequence(r: &mut Reader<'_>) -> Result<Sequence> {
    let sequence = r.number()?;
    if sequence > MAX_SEQUENCE { Err(malformed("a sequence")) } else { Ok(Sequence(sequence)) }
}
