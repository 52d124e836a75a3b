//! Who holds how much of a store, told as it changes.

use std::{fmt, sync::Arc};

use crate::{clock::BoxFuture, error::Result, name::TenantId};

/// Watches and limits what each tenant holds in a store, exactly.
///
/// Called inside the store's critical sections: be short, never block, never call the store.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use memstache_core::{Accountant, Charge, Error, ErrorKind, Result};
///
/// /// Lets all tenants together hold at most a hundred entries.
/// #[derive(Debug, Default)]
/// struct Hundred(AtomicUsize);
///
/// impl Accountant for Hundred {
///     fn charge(&self, _: Option<&str>, _: Charge) -> Result<()> {
///         let free = |held| (held < 100).then_some(held + 1);
///         let full = |_| Error::new(ErrorKind::Overloaded, "the store holds a hundred entries");
///         self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).map_err(full)?;
///         Ok(())
///     }
///     fn release(&self, _: Option<&str>, charge: Charge) {
///         self.0.fetch_sub(charge.entries, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Accountant: fmt::Debug + Send + Sync + 'static {
    /// Takes note that a tenant (`None`: the shared space) is about to hold more; an error refuses the write.
    fn charge(&self, tenant: Option<&str>, charge: Charge) -> Result<()>;

    /// Takes note that a tenant holds less.
    fn release(&self, tenant: Option<&str>, charge: Charge);

    /// Returns whether a charge that was refused is one that other entries of the same tenant should go for.
    ///
    /// The store evicts them one by one, and asks for the charge again each time. Say no if it would be refused even
    /// then. Default: no.
    fn evicts_own(&self, _tenant: Option<&str>, _charge: Charge) -> bool {
        false
    }

    /// Returns what a tenant holds, as a multiple of its fair share of what all hold: 1.0 is just that, 0.0 nothing.
    ///
    /// A full store evicts for a write entries of its own tenant, or of one that is loaded at least as much. Default:
    /// `None`, whatever its policy names. Either for all tenants or for none.
    fn load(&self, _tenant: Option<&str>) -> Option<f64> {
        None
    }
}

impl<A: Accountant + ?Sized> Accountant for Arc<A> {
    fn charge(&self, tenant: Option<&str>, charge: Charge) -> Result<()> {
        A::charge(self, tenant, charge)
    }

    fn release(&self, tenant: Option<&str>, charge: Charge) {
        A::release(self, tenant, charge);
    }

    fn evicts_own(&self, tenant: Option<&str>, charge: Charge) -> bool {
        A::evicts_own(self, tenant, charge)
    }

    fn load(&self, tenant: Option<&str>) -> Option<f64> {
        A::load(self, tenant)
    }
}

/// What one entry takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// Bytes: key, value, tags and the store's overhead.
    pub bytes: usize,
    /// Entries.
    pub entries: usize,
}

impl Charge {
    /// Creates the charge of one entry.
    pub const fn entry(bytes: usize) -> Self {
        Self { bytes, entries: 1 }
    }
}

/// Charges nobody.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoAccountant;

impl Accountant for NoAccountant {
    fn charge(&self, _: Option<&str>, _: Charge) -> Result<()> {
        Ok(())
    }

    fn release(&self, _: Option<&str>, _: Charge) {}
}

/// Estimates what a tenant holds in a store that cannot say so exactly: where keys expire silently, such as Redis.
///
/// Whoever meters tenants by what they write asks it now and then, and goes on from its answer.
///
/// ```
/// use memstache_core::{BoxFuture, Result, SampledUse, TenantId, UsageSampler};
///
/// /// What somebody counted elsewhere.
/// #[derive(Debug)]
/// struct Told(u64, u64);
///
/// impl UsageSampler for Told {
///     fn sample<'a>(&'a self, _tenant: &'a TenantId) -> BoxFuture<'a, Result<SampledUse>> {
///         Box::pin(async { Ok(SampledUse::new(self.0, self.1)) })
///     }
/// }
/// ```
pub trait UsageSampler: fmt::Debug + Send + Sync + 'static {
    /// Estimates what a tenant holds now. The implementation says how far it may be off.
    ///
    /// Errors: those of the store.
    ///
    /// # Cancellation
    /// Dropping the future ends the sampling; nothing is changed by it.
    fn sample<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<SampledUse>>;
}

impl<U: UsageSampler + ?Sized> UsageSampler for Arc<U> {
    fn sample<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<SampledUse>> {
        U::sample(self, tenant)
    }
}

/// What a tenant is thought to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SampledUse {
    /// Bytes: key, value and the store's overhead.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

impl SampledUse {
    /// Creates what somebody found.
    pub const fn new(bytes: u64, entries: u64) -> Self {
        Self { bytes, entries }
    }
}
