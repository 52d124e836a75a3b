//! A tenant's keyspace: the unit that is cleared at once and that has a sequence of its own.

use std::{
    fmt,
    hash::BuildHasher,
    sync::{Arc, OnceLock},
};

use foldhash::quality::RandomState;

use crate::name::{KeyspaceName, TenantId};

/// One (tenant, keyspace) pair; without a tenant, the shared one.
///
/// Tags and clears belong to a space. Cheap to clone.
///
/// ```
/// use memstache_core::{KeyspaceName, Space};
///
/// let space = Space::new(None, &KeyspaceName::new("products")?);
/// assert_eq!((space.tenant(), space.keyspace()), (None, "products"));
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Space {
    /// `tenant:keyspace:`, what every plain stored key begins with.
    key: Arc<[u8]>,
    /// Of the key, for the hashes of all addresses in the space.
    hash: u64,
    tenant_len: u8,
}

impl Space {
    /// Creates the space of a tenant's keyspace, or of a shared one.
    pub fn new(tenant: Option<&TenantId>, keyspace: &KeyspaceName) -> Self {
        let tenant = tenant.map_or("", TenantId::as_str);
        let key = [tenant, ":", keyspace.as_str(), ":"].concat().into_bytes();
        let hash = hash_of(&key);
        Self { key: key.into(), hash, tenant_len: u8::try_from(tenant.len()).expect("a tenant has at most 64 bytes") }
    }

    pub(super) fn from_key(key: Arc<[u8]>, hash: u64, tenant_len: u8) -> Self {
        Self { key, hash, tenant_len }
    }

    pub(super) fn hash_part(&self) -> u64 {
        self.hash
    }

    /// Returns the tenant's name; `None` for the shared space.
    pub fn tenant(&self) -> Option<&str> {
        (self.tenant_len > 0).then(|| text(&self.key[..usize::from(self.tenant_len)]))
    }

    /// Returns the keyspace's name.
    pub fn keyspace(&self) -> &str {
        text(&self.key[usize::from(self.tenant_len) + 1..self.key.len() - 1])
    }

    /// Returns `tenant:keyspace:`, the space's identity and the beginning of its plain stored keys.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn tenant_len(&self) -> u8 {
        self.tenant_len
    }
}

/// Returns what stands for a space's key in the hash of an address; random for each process.
pub(crate) fn hash_of(key: &[u8]) -> u64 {
    static STATE: OnceLock<RandomState> = OnceLock::new();
    STATE.get_or_init(RandomState::default).hash_one(key)
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("tenanted", &(self.tenant_len > 0)).field("keyspace", &self.keyspace()).finish()
    }
}

pub(super) fn text(label: &[u8]) -> &str {
    std::str::from_utf8(label).expect("labels are ASCII")
}
