//! What tenants hold in stores that keep account.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, Acquire},
    },
};

use memstache_core::{Accountant, Charge, Error, ErrorKind, Result};

use super::{Tenants, account::Account};

/// Keeps exact account of what each tenant holds in a memory store, and holds it to its plan:
/// `MemoryStore::builder().accountant(tenants.clone())`.
///
/// A store that is full shares what it has by the plans' weights: a tenant that floods it evicts its own entries first, and
/// what others do not use is lent.
///
/// What is invalidated or cleared stays charged until the store frees it. One registry may keep account of several stores:
/// then limits are for all of them together. A store only evicts what it holds itself, though: a tenant that is over its plan
/// by what it holds in another one loses its entries here and is refused all the same, so give each store a registry of its own where
/// tenants are to be kept by `EvictOwn`.
///
/// # Errors
/// [`Overloaded`](ErrorKind::Overloaded) for more than the plan allows; the [layer](Tenants::quota) above adds when to come
/// back, a guess by how long the tenant's entries live. And [`Invalid`](ErrorKind::Invalid) for a tenant
/// that is not known.
impl Accountant for Tenants {
    fn charge(&self, tenant: Option<&str>, charge: Charge) -> Result<()> {
        let charged = self.with(tenant, |account, limits| {
            account.charge(limits, charge).map(|()| self.settle(account, limits.weight))
        })?;
        charged.map_err(|_| full())?;
        self.0.held.fetch_add(charge.bytes as u64, AcqRel);
        Ok(())
    }

    fn release(&self, tenant: Option<&str>, charge: Charge) {
        self.0.accounts.with(tenant, |account| {
            account.release(charge);
            if account.entries() == 0 {
                self.settle(account, account.weight());
            }
        });
        let less = |held: u64| Some(held.saturating_sub(charge.bytes as u64));
        let _ = self.0.held.fetch_update(AcqRel, Acquire, less);
    }

    fn evicts_own(&self, tenant: Option<&str>, charge: Charge) -> bool {
        self.peek(tenant, |account, limits| account.makes_room(limits, charge)).unwrap_or(false)
    }

    fn load(&self, tenant: Option<&str>) -> Option<f64> {
        let of = |account: &Arc<Account>| account.bytes() as f64 / f64::from(account.weight().max(1));
        let own = self.0.accounts.with(tenant, of).unwrap_or(0.0);
        let (held, weights) = (self.0.held.load(Acquire), self.0.weights.load(Acquire));
        Some(if held == 0 { 0.0 } else { own * weights as f64 / held as f64 })
    }
}

impl Tenants {
    /// Counts a tenant with this weight among those that hold something, or not at all if it holds nothing.
    ///
    /// Entries may come and go meanwhile, and others may weigh: what is true in the end is counted.
    pub(super) fn settle(&self, account: &Account, mut weight: u32) {
        loop {
            let holds = account.entries() > 0;
            let before = self.weigh(account, if holds { weight } else { 0 });
            if before > 0 && weight == 0 {
                weight = before;
            }
            if (account.entries() > 0) == holds || weight == 0 {
                return;
            }
        }
    }

    /// Sets the weight of a tenant, and returns the one before.
    fn weigh(&self, account: &Account, weight: u32) -> u32 {
        let before = account.weigh(weight);
        if before != weight {
            // Wraps around where it becomes less.
            self.0.weights.fetch_add(u64::from(weight).wrapping_sub(before.into()), AcqRel);
        }
        before
    }
}

/// What marks the error of an entry for which its tenant has no room.
#[derive(Debug)]
struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("over the plan's bytes or entries")
    }
}

impl std::error::Error for Full {}

/// Makes the error of an entry for which its tenant has no room. To repeat the write would not help.
pub(super) fn full() -> Error {
    let error = Error::new(ErrorKind::Overloaded, "the tenant holds as much as its plan allows");
    error.with_source(Full).with_retryable(false)
}

/// Returns whether an error says that a tenant has no room.
pub(crate) fn is_full(error: &Error) -> bool {
    error.kind() == ErrorKind::Overloaded && error.find_source::<Full>().is_some()
}
