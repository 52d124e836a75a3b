//! Keys that were given by hand.

use std::{collections::HashMap, fmt, sync::Arc};

use memstache_core::{Error, Result, Space, TenantId};

use super::{DataKey, DataKeys, KeyFailure, KeyId, KeyLookup, NameKey, Secret};
use crate::derive;

/// The label of the name keys that are derived from a tenant's secret.
const FIXED_NAME: &[u8] = b"mst1/fixed-name";

/// Keys made of secrets that the caller holds: for tests and examples.
///
/// Nothing rotates, nothing is wrapped, and a secret that is a constant in a program is none.
///
/// ```
/// use memstache_crypto::{FixedKeys, Secret, SystemRandom};
///
/// let keys = FixedKeys::dangerous_one_for_all(Secret::random(&SystemRandom::new())?);
/// # let _ = keys;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct FixedKeys(Arc<Inner>);

enum Inner {
    ForAll { data: Arc<DataKey>, secret: Secret },
    PerTenant(HashMap<Box<str>, Keys>),
}

struct Keys {
    data: Arc<DataKey>,
    names: Arc<NameKey>,
}

impl FixedKeys {
    /// Uses one secret for the values of all tenants, and of the shared space.
    pub fn dangerous_one_for_all(secret: Secret) -> Self {
        let data = Arc::new(DataKey::new(secret.clone()));
        Self(Arc::new(Inner::ForAll { data, secret }))
    }

    /// Uses a secret for each tenant; others, and the shared space, have none.
    ///
    /// Errors: [`Invalid`](memstache_core::ErrorKind::Invalid) for a tenant that is given twice.
    pub fn dangerous_per_tenant(secrets: impl IntoIterator<Item = (TenantId, Secret)>) -> Result<Self> {
        Self::per_tenant(secrets, false)
    }

    /// Like [`dangerous_per_tenant`](Self::dangerous_per_tenant), with keys that the tenants chose: only committing
    /// suites are used.
    pub fn dangerous_brought_by_tenants(secrets: impl IntoIterator<Item = (TenantId, Secret)>) -> Result<Self> {
        Self::per_tenant(secrets, true)
    }

    fn per_tenant(secrets: impl IntoIterator<Item = (TenantId, Secret)>, committing: bool) -> Result<Self> {
        let mut keys = HashMap::new();
        for (tenant, secret) in secrets {
            let names = Arc::new(name_key(&secret, Some(tenant.as_str())));
            let data = Arc::new(DataKey::new(secret).committing(committing));
            if keys.insert(tenant.as_str().into(), Keys { data, names }).is_some() {
                return Err(Error::invalid("tenants", "different", "one twice"));
            }
        }
        Ok(Self(Arc::new(Inner::PerTenant(keys))))
    }

    fn data(&self, space: &Space) -> Option<&Arc<DataKey>> {
        match &*self.0 {
            Inner::ForAll { data, .. } => Some(data),
            Inner::PerTenant(keys) => Some(&keys.get(space.tenant()?)?.data),
        }
    }
}

impl DataKeys for FixedKeys {
    fn sealing(&self, space: &Space) -> KeyLookup {
        self.data(space).map_or(KeyLookup::Failed(KeyFailure::Unknown), |key| KeyLookup::Ready(Arc::clone(key)))
    }

    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
        let key = self.data(space).filter(|key| key.id() == id);
        key.map_or(KeyLookup::Failed(KeyFailure::Unknown), |key| KeyLookup::Ready(Arc::clone(key)))
    }

    fn naming(&self, space: &Space) -> Option<Arc<NameKey>> {
        match &*self.0 {
            Inner::ForAll { secret, .. } => Some(Arc::new(name_key(secret, space.tenant()))),
            Inner::PerTenant(keys) => Some(Arc::clone(&keys.get(space.tenant()?)?.names)),
        }
    }
}

/// Derives the key of a tenant's names.
fn name_key(secret: &Secret, tenant: Option<&str>) -> NameKey {
    let mut bytes = [0; Secret::LEN];
    derive::expand(&derive::prk(secret), &[FIXED_NAME, tenant.unwrap_or_default().as_bytes()], &mut bytes);
    NameKey::new(Secret::from_bytes(bytes))
}

impl fmt::Debug for FixedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedKeys").finish_non_exhaustive()
    }
}
