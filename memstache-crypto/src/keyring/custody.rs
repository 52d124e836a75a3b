//! Whose vault protects which tenant.

use std::sync::Arc;

use async_trait::async_trait;
use memstache_core::{Result, TenantId};

use crate::provider::KeyProvider;

/// Whose vault protects the keys of a tenant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Custody {
    /// The vault that the keyring was built with.
    House,
    /// A vault that the tenant brings. What its provider is called ([`KeyProvider::id`]) says which vault it is: another name
    /// is another vault, the same name is the same one.
    Own(Arc<dyn KeyProvider>),
}

/// Says which tenants bring a vault of their own: bring your own key.
///
/// It is asked once per tenant and node, when the tenant is first met, and again in the background after
/// [`with_max_age`](crate::KeyringBuilder::with_max_age). An answer is used for
/// [`with_max_stale`](crate::KeyringBuilder::with_max_stale) while newer ones fail. A call that takes longer than 20 seconds is given up.
///
/// An error is never taken for [`Custody::House`]: a tenant of whom it is not known who keeps the keys has none until it is.
///
/// Closures that answer from memory are implementations:
///
/// ```
/// use std::sync::Arc;
/// use memstache_core::{ErrorKind, KeyspaceName, MemoryRecords, Result, Space, TenantId};
/// use memstache_crypto::{Custody, DataKeys, KeyLookup, KeyProvider, Keyring, Secret, StaticProvider, SystemRandom};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// # let secret = || Secret::random(&SystemRandom::new());
/// let house = Arc::new(StaticProvider::dangerous_from_secrets([secret()?])?);
/// // The tenant's own Key Vault.
/// let of_acme: Arc<dyn KeyProvider> = Arc::new(StaticProvider::dangerous_from_secrets([secret()?])?);
///
/// let keyring = Keyring::builder("prod", Arc::new(MemoryRecords::new()), house)
///     .with_tenant_vaults(move |tenant: &TenantId| -> Result<Custody> {
///         Ok(match tenant.as_str() {
///             "acme" => Custody::Own(Arc::clone(&of_acme)),
///             _ => Custody::House,
///         })
///     })
///     .open()
///     .await?;
///
/// let space = Space::new(Some(&TenantId::new("acme")?), &KeyspaceName::new("products")?);
/// keyring.prepare(&space).await?;
/// let KeyLookup::Ready(key) = keyring.sealing(&space) else { panic!("it is at hand") };
/// assert!(key.is_committing());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait TenantVaults: Send + Sync + 'static {
    /// Returns whose vault protects the keys of a tenant.
    ///
    /// Errors: any; requests of this tenant are then told that its keys are
    /// [`Unavailable`](memstache_core::ErrorKind::Unavailable).
    async fn custody(&self, tenant: &TenantId) -> Result<Custody>;
}

#[async_trait]
impl<F: Fn(&TenantId) -> Result<Custody> + Send + Sync + 'static> TenantVaults for F {
    async fn custody(&self, tenant: &TenantId) -> Result<Custody> {
        self(tenant)
    }
}
