//! An accountant that is fair between tenants, by weight, within limits.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use dashmap::{DashMap, Entry};
use foldhash::quality::RandomState;

use super::{Allowance, WhenOver};
use crate::{
    accountant::{Accountant, Charge},
    error::{Error, ErrorKind, Result},
    name::TenantId,
};

/// An accountant that is fair between tenants, by weight, and holds each to its limits.
///
/// While a store has room, who asks first is served. Once it is full, nobody loses an entry to a tenant that holds more
/// for its weight: a flood evicts its own entries. Who needs less than its share lends the rest to the others; a lone
/// tenant may fill the store. The shared space counts as a tenant. The share of a tenant is by weight among those that
/// hold anything.
///
/// Limits are exact: a tenant never holds more than its [`Allowance`], however many threads write. They may be changed
/// at any time; a tenant that then holds more is brought back by its next write.
///
/// Cheap to clone; clones are the same accounts. With several stores they hold for all of these together; a store evicts what it holds itself,
/// though, so that a tenant which is over its share by what it holds in another loses its entries here in vain: give each store its own. A tenant that
/// holds nothing and has no allowance of its own takes no memory; any other about a hundred bytes.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{Allowance, FairShare, KeyspaceName, Lifetime, MemoryStore, NewEntry, Parts, Space, TenantId};
///
/// let fair = FairShare::new(Allowance::new().with_max_entries(2))?;
/// let (acme, initech) = (TenantId::new("acme")?, TenantId::new("initech")?);
/// fair.allow(Some(&initech), Allowance::new().with_weight(5))?;
/// let store = MemoryStore::builder().max_bytes(16 << 20).accountant(fair.clone()).build()?;
///
/// let space = Space::new(Some(&acme), &KeyspaceName::new("products")?);
/// for name in ["1", "2", "3"] {
///     store.set_now(&Parts::new(&space, name.as_bytes())?, NewEntry::new("tea", Lifetime::new(Duration::from_secs(60))?))?;
/// }
/// assert_eq!(fair.held(Some(&acme)).entries, 2);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct FairShare(Arc<Accounts>);

struct Accounts {
    /// By tenant; the shared space has no name. Those who hold something, or have an allowance of their own.
    accounts: DashMap<Box<str>, Account, RandomState>,
    standard: Allowance,
    /// Of all who hold something.
    bytes: AtomicUsize,
    weight: AtomicU64,
}

struct Account {
    held: Charge,
    allowance: Allowance,
}

impl Account {
    fn is_idle(&self) -> bool {
        self.held == Charge::default()
    }
}

impl FairShare {
    /// Allows every tenant the same, until [told otherwise](Self::allow).
    ///
    /// An allowance out of its limits is one [`Invalid`](ErrorKind::Invalid) error that names all that is wrong.
    pub fn new(standard: Allowance) -> Result<Self> {
        standard.check()?;
        let (accounts, bytes, weight) = (DashMap::default(), AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self(Arc::new(Accounts { accounts, standard, bytes, weight })))
    }

    /// Allows a tenant (`None`: the shared space) this from now on; the standard, to forget what it had of its own.
    ///
    /// Errors as those of [`new`](Self::new).
    pub fn allow(&self, tenant: Option<&TenantId>, allowance: Allowance) -> Result<()> {
        allowance.check()?;
        let name = tenant.map_or("", TenantId::as_str);
        {
            let new = || Account { held: Charge::default(), allowance };
            let mut account = self.0.accounts.entry(name.into()).or_insert_with(new);
            if !account.is_idle() {
                self.0.weight.fetch_add(allowance.weight.into(), Relaxed);
                self.0.weight.fetch_sub(account.allowance.weight.into(), Relaxed);
            }
            account.allowance = allowance;
        }
        self.0.forget_idle(name);
        Ok(())
    }

    /// Returns what a tenant (`None`: the shared space) holds.
    pub fn held(&self, tenant: Option<&TenantId>) -> Charge {
        let account = self.0.accounts.get(tenant.map_or("", TenantId::as_str));
        account.map_or_else(Charge::default, |account| account.held)
    }

    /// Returns how many tenants are known: those that hold something, and those with an allowance of their own.
    pub fn tenants(&self) -> usize {
        self.0.accounts.len()
    }
}

impl Accounts {
    fn add(&self, account: &mut Account, charge: Charge) -> Result<()> {
        let held = Charge {
            bytes: account.held.bytes.saturating_add(charge.bytes),
            entries: account.held.entries.saturating_add(charge.entries),
        };
        let Allowance { max_bytes, max_entries, .. } = account.allowance;
        if held.bytes > max_bytes {
            return Err(over("max_bytes", max_bytes, held.bytes));
        }
        if held.entries > max_entries {
            return Err(over("max_entries", max_entries, held.entries));
        }
        if account.is_idle() && held != account.held {
            self.weight.fetch_add(account.allowance.weight.into(), Relaxed);
        }
        account.held = held;
        self.bytes.fetch_add(charge.bytes, Relaxed);
        Ok(())
    }

    fn forget_idle(&self, name: &str) {
        self.accounts.remove_if(name, |_, account| account.is_idle() && account.allowance == self.standard);
    }
}

fn over(field: &str, limit: usize, given: usize) -> Error {
    let detail = format!("{field} of a tenant must be at most {limit}, but it would be {given}");
    Error::new(ErrorKind::Overloaded, detail)
}

impl Accountant for FairShare {
    fn charge(&self, tenant: Option<&str>, charge: Charge) -> Result<()> {
        let name = tenant.unwrap_or("");
        if let Some(mut account) = self.0.accounts.get_mut(name) {
            return self.0.add(&mut account, charge);
        }
        match self.0.accounts.entry(name.into()) {
            Entry::Occupied(mut account) => self.0.add(account.get_mut(), charge),
            Entry::Vacant(place) => {
                let mut account = Account { held: Charge::default(), allowance: self.0.standard };
                self.0.add(&mut account, charge)?;
                place.insert(account);
                Ok(())
            }
        }
    }

    fn release(&self, tenant: Option<&str>, charge: Charge) {
        let name = tenant.unwrap_or("");
        let Some(mut account) = self.0.accounts.get_mut(name) else { return };
        if account.is_idle() {
            return;
        }
        account.held.bytes -= charge.bytes;
        account.held.entries -= charge.entries;
        self.0.bytes.fetch_sub(charge.bytes, Relaxed);
        if account.is_idle() {
            self.0.weight.fetch_sub(account.allowance.weight.into(), Relaxed);
            drop(account);
            self.0.forget_idle(name);
        }
    }

    fn evicts_own(&self, tenant: Option<&str>, charge: Charge) -> bool {
        let own = self.0.accounts.get(tenant.unwrap_or("")).map(|account| account.allowance);
        let Allowance { max_bytes, max_entries, when_over, .. } = own.unwrap_or(self.0.standard);
        when_over == WhenOver::EvictOwn && charge.bytes <= max_bytes && charge.entries <= max_entries
    }

    fn load(&self, tenant: Option<&str>) -> Option<f64> {
        let account = self.0.accounts.get(tenant.unwrap_or(""));
        let own = account.map_or(0.0, |account| account.held.bytes as f64 / f64::from(account.allowance.weight));
        let (bytes, weight) = (self.0.bytes.load(Relaxed), self.0.weight.load(Relaxed));
        Some(if bytes == 0 { 0.0 } else { own * weight as f64 / bytes as f64 })
    }
}

impl fmt::Debug for FairShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairShare")
            .field("standard", &self.0.standard)
            .field("tenants", &self.tenants())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: usize) -> Charge {
        Charge::entry(bytes)
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn load_is_what_a_tenant_holds_against_its_weighted_share() {
        let fair = FairShare::new(Allowance::new()).unwrap();
        fair.allow(Some(&tenant("gold")), Allowance::new().with_weight(3)).unwrap();
        assert_eq!(fair.load(Some("gold")), Some(0.0), "nobody holds anything");
        fair.charge(Some("gold"), bytes(300)).unwrap();
        assert_eq!(fair.load(Some("gold")), Some(1.0), "whoever is alone has just its share");
        fair.charge(None, bytes(100)).unwrap();
        assert_eq!((fair.load(Some("gold")), fair.load(None)), (Some(1.0), Some(1.0)));
        fair.charge(None, bytes(400)).unwrap();
        assert_eq!((fair.load(Some("gold")), fair.load(None), fair.load(Some("x"))), (Some(0.5), Some(2.5), Some(0.0)));
        // Weights change for what is held already.
        fair.allow(None, Allowance::new().with_weight(5)).unwrap();
        assert_eq!((fair.load(Some("gold")), fair.load(None)), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn who_holds_nothing_takes_no_memory_unless_it_has_an_allowance_of_its_own() {
        let fair = FairShare::new(Allowance::new().with_max_bytes(10)).unwrap();
        fair.charge(Some("a"), bytes(10)).unwrap();
        fair.charge(Some("b"), bytes(11)).unwrap_err();
        assert_eq!((fair.tenants(), fair.held(Some(&tenant("a"))), fair.held(None)), (1, bytes(10), Charge::default()));
        fair.release(Some("a"), bytes(10));
        fair.release(Some("never"), bytes(10));
        assert_eq!((fair.tenants(), fair.load(Some("a"))), (0, Some(0.0)));
        fair.allow(Some(&tenant("a")), Allowance::new()).unwrap();
        assert_eq!(fair.tenants(), 1);
        fair.allow(Some(&tenant("a")), Allowance::new().with_max_bytes(10)).unwrap();
        assert_eq!(fair.tenants(), 0, "the standard again");
    }

    #[test]
    fn others_may_go_only_for_what_can_fit() {
        let fair = FairShare::new(Allowance::new().with_max_bytes(100).with_max_entries(2)).unwrap();
        assert!(fair.evicts_own(Some("a"), bytes(100)) && !fair.evicts_own(Some("a"), bytes(101)));
        fair.allow(Some(&tenant("a")), Allowance::new().with_when_over(WhenOver::Refuse)).unwrap();
        assert!(!fair.evicts_own(Some("a"), bytes(1)) && fair.evicts_own(None, bytes(1)));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_tenant_is_named() {
        let wrong = Allowance::new().with_weight(0).with_max_bytes(0).with_max_entries(0);
        let error = FairShare::new(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        for part in [
            "weight must be 1 to 1000000, but 0 was given",
            "max_bytes must be at least 1, but 0 was given",
            "max_entries must be at least 1, but 0 was given",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let fair = FairShare::new(Allowance::default()).unwrap();
        fair.allow(None, Allowance::new().with_weight(1_000_001)).unwrap_err();
        fair.charge(Some("acme"), bytes(7)).unwrap();
        let shown = format!("{fair:?}");
        assert!(shown.contains("tenants: 1") && !shown.contains("acme"), "{shown}");
    }

    #[test]
    fn threads_agree_on_what_is_held() {
        let fair = FairShare::new(Allowance::new().with_max_entries(5)).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let fair = &fair;
                scope.spawn(move || {
                    let name = ["a", "b"][thread % 2];
                    for _ in 0..5000 {
                        if fair.charge(Some(name), bytes(3)).is_ok() {
                            assert!(fair.held(Some(&tenant(name))).entries <= 5);
                            fair.release(Some(name), bytes(3));
                        }
                    }
                });
            }
        });
        let Accounts { bytes, weight, .. } = &*fair.0;
        assert_eq!((fair.tenants(), bytes.load(Relaxed), weight.load(Relaxed)), (0, 0, 0));
    }
}
