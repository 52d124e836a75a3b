//! Keys that were given by hand.

use std::{collections::HashMap, fmt, sync::Arc};

use memstache_core::{Error, Result, Space, TenantId};
use zeroize::Zeroizing;

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

    fn lend(&self, space: &Space, id: Option<KeyId>, to: &mut dyn FnMut(&DataKey)) -> bool {
        self.data(space).filter(|key| id.is_none_or(|id| key.id() == id)).map(|key| to(key)).is_some()
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
    let mut bytes = Zeroizing::new([0; Secret::LEN]);
    derive::expand(&derive::prk(secret), &[FIXED_NAME, tenant.unwrap_or_default().as_bytes()], &mut *bytes);
    NameKey::new(Secret::from_bytes(*bytes))
}

impl fmt::Debug for FixedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::KeyspaceName;

    use super::*;

    fn space(tenant: Option<&TenantId>) -> Space {
        Space::new(tenant, &KeyspaceName::new("k").unwrap())
    }

    fn ready(lookup: KeyLookup) -> Option<KeyId> {
        match lookup {
            KeyLookup::Ready(key) => Some(key.id()),
            KeyLookup::Failed(failure) => {
                assert_eq!(failure, KeyFailure::Unknown);
                None
            }
            KeyLookup::Wait(_) => panic!("nothing is fetched"),
        }
    }

    #[test]
    fn tenants_have_their_own_keys_and_nobody_elses() {
        let [one, two, other] = ["one", "two", "other"].map(|name| TenantId::new(name).unwrap());
        let secrets = |seed| Secret::from_bytes([seed; 32]);
        let keys = FixedKeys::dangerous_per_tenant([(one.clone(), secrets(1)), (two.clone(), secrets(2))]).unwrap();
        let (first, second) = (KeyId::of(&secrets(1)), KeyId::of(&secrets(2)));
        assert_eq!(ready(keys.sealing(&space(Some(&one)))), Some(first));
        assert_eq!(ready(keys.opening(&space(Some(&two)), second)), Some(second));
        assert_eq!(ready(keys.opening(&space(Some(&one)), second)), None, "a key of another tenant");
        for nobody in [Some(&other), None] {
            assert_eq!(ready(keys.sealing(&space(nobody))), None);
            assert!(keys.naming(&space(nobody)).is_none());
        }
        let names = |tenant| keys.naming(&space(Some(tenant))).unwrap().id();
        assert_ne!(names(&one), names(&two));
        let twice = FixedKeys::dangerous_per_tenant([(one.clone(), secrets(1)), (one, secrets(2))]);
        assert_eq!(twice.unwrap_err().to_string(), "tenants must be different, but one twice was given");
    }

    #[test]
    fn keys_that_tenants_bring_are_committing() {
        let tenant = TenantId::new("one").unwrap();
        let keys = FixedKeys::dangerous_brought_by_tenants([(tenant.clone(), Secret::from_bytes([1; 32]))]).unwrap();
        assert!(matches!(keys.sealing(&space(Some(&tenant))), KeyLookup::Ready(key) if key.is_committing()));
    }

    #[test]
    fn one_secret_for_all_has_a_name_key_for_each_tenant() {
        let keys = FixedKeys::dangerous_one_for_all(Secret::from_bytes([1; 32]));
        let tenant = TenantId::new("one").unwrap();
        let names = |tenant| keys.naming(&space(tenant)).unwrap().id();
        assert_ne!(names(None), names(Some(&tenant)));
        assert_eq!(ready(keys.sealing(&space(None))), ready(keys.sealing(&space(Some(&tenant)))));
    }
}
