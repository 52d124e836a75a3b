use memstache_core::Stack;

use super::QuotaLayer;

/// Has a [`Stack`] meter tenants, in the one place where that is right.
///
/// ```
/// use memstache_core::{MemoryStore, Stack};
/// use memstache_tenancy::{MeterTenants, Plans, Tenants};
///
/// let tenants = Tenants::new(Plans::builder().build()?);
/// let store = MemoryStore::builder().accountant(tenants.clone()).build()?;
/// let stack = Stack::over(store).meter(tenants.quota()).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub trait MeterTenants {
    /// The stack with the layer.
    type Metered;

    /// Puts the layer above the near cache, and the registry between all loads and their sources; its health is watched.
    fn meter(self, quota: QuotaLayer) -> Self::Metered;
}

impl<S, N, O, Q, M, C, E, R, T, B> MeterTenants for Stack<S, N, O, Q, M, C, E, R, T, B> {
    type Metered = Stack<S, N, O, QuotaLayer, M, C, E, R, T, B>;

    fn meter(self, quota: QuotaLayer) -> Self::Metered {
        let tenants = quota.tenants().clone();
        self.watch(tenants.clone()).gate_loads(tenants).quota(quota)
    }
}
