//! Invalidations as names of keys that are there for a moment: listeners are told the name.

use bytes::Bytes;
use memstache_core::{Invalidation, KeyspaceName, Sequence, Space, Tag, Target, TenantId};

/// How a target is written into scripts and markers.
pub(crate) struct Marker<'a> {
    /// `t` a tag, `s` a space, `a` all of the tenant.
    pub(crate) kind: &'static str,
    pub(crate) space: &'a str,
    pub(crate) tag: &'a str,
    /// `<kind>:<tenant>:<space>:<tag>`; labels have no colon, the tag comes last.
    pub(crate) end: String,
}

impl<'a> Marker<'a> {
    /// `None` for a target that this release does not know.
    pub(crate) fn of(target: &'a Target) -> Option<Self> {
        let (kind, space, tag) = match target {
            Target::Tag(space, tag) => ("t", space.keyspace(), tag.as_str()),
            Target::Space(space) => ("s", space.keyspace(), ""),
            Target::Tenant(_) => ("a", "", ""),
            _ => return None,
        };
        let end = format!("{kind}:{}:{space}:{tag}", target.tenant().unwrap_or_default());
        Some(Self { kind, space, tag, end })
    }
}

/// Reads what stands behind the tag of a marker's key: `<sequence>:<kind>:<tenant>:<space>:<tag>`.
pub(crate) fn parse(rest: &Bytes) -> Option<Invalidation> {
    let text = std::str::from_utf8(rest).ok()?;
    let mut parts = text.splitn(5, ':');
    let sequence = Sequence(parts.next()?.parse().ok()?);
    let (kind, tenant, space, tag) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let tenant = if tenant.is_empty() { None } else { Some(TenantId::new(tenant).ok()?) };
    let space = || Some(Space::new(tenant.as_ref(), &KeyspaceName::new(space).ok()?));
    Some(match kind {
        "t" => Invalidation::Tag(space()?, Tag::new(tag).ok()?, sequence),
        "s" => Invalidation::Space(space()?, sequence),
        "a" => Invalidation::Tenant(tenant?, sequence),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_told_as_it_was_made() {
        let acme = TenantId::new("acme").unwrap();
        for tenant in [None, Some(&acme)] {
            let space = Space::new(tenant, &KeyspaceName::new("items").unwrap());
            let tag = Tag::new("a:b: ü}{").unwrap();
            let sequence = Sequence(17);
            for (target, told) in [
                (Target::Tag(space.clone(), tag.clone()), Invalidation::Tag(space.clone(), tag, sequence)),
                (Target::Space(space.clone()), Invalidation::Space(space, sequence)),
                (Target::Tenant(acme.clone()), Invalidation::Tenant(acme.clone(), sequence)),
            ] {
                let marker = Marker::of(&target).unwrap();
                assert_eq!(parse(&Bytes::from(format!("17:{}", marker.end))), Some(told));
            }
        }
    }

    #[test]
    fn what_is_no_marker_is_none() {
        for text in ["", "x", "17", "17:t:acme:items", "x:t:acme:items:a", "17:z:a:b:c", "17:a::items:", "17:t:a:b:"] {
            assert_eq!(parse(&Bytes::from(text)), None, "{text}");
        }
        assert_eq!(parse(&Bytes::from(&b"\xff"[..])), None);
    }
}
