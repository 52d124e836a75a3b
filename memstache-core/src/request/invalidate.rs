//! Hiding many entries at once, whatever their number.

use super::{OneOrMany, Scope};
use crate::{
    address::Space,
    error::Result,
    name::{Tag, TenantId},
    version::Sequence,
};

/// Invalidates tags, keyspaces or tenants; O(1) each.
#[derive(Clone, Debug)]
pub struct Invalidate {
    /// What to invalidate.
    pub items: OneOrMany<Target>,
    /// What is asked of every layer.
    pub scope: Scope,
}

/// What an invalidation hides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The entries of a space that carry a tag.
    Tag(Space, Tag),
    /// All entries of a space.
    Space(Space),
    /// All entries of a tenant, in all its keyspaces.
    Tenant(TenantId),
}

impl Target {
    /// Returns the tenant's name; `None` for the shared space.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tag(space, _) | Self::Space(space) => space.tenant(),
            Self::Tenant(tenant) => Some(tenant.as_str()),
        }
    }

    /// Returns whether it can hide an entry of a space (`tenant:keyspace:`), whatever its tags.
    #[cfg(feature = "near")]
    pub(crate) fn covers(&self, space_key: &[u8]) -> bool {
        match self {
            Self::Tag(space, _) | Self::Space(space) => space.key() == space_key,
            // Labels have no colon, so the first one ends the tenant.
            Self::Tenant(tenant) => {
                space_key.strip_prefix(tenant.as_str().as_bytes()).is_some_and(|rest| rest.starts_with(b":"))
            }
        }
    }
}

/// The answers to an [`Invalidate`], in the order asked: the sequence under which it stands.
pub type Invalidated = OneOrMany<Result<Sequence>>;

impl Invalidate {
    /// Creates an invalidation of one target.
    pub fn one(target: Target) -> Self {
        Self { items: OneOrMany::One(target), scope: Scope::default() }
    }
}
