use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use memstache_core::{Clock, Error, Result, SystemClock};
use parking_lot::Mutex;

use super::{Current, Inner, Tenants, accounts::Accounts};
use crate::plan::Plans;

/// Most tenants that a registry can know.
const MOST: usize = 10_000_000;
const LONGEST_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Builds [`Tenants`].
#[derive(Clone, Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct TenantsBuilder {
    plans: Plans,
    clock: Arc<dyn Clock>,
    max_tenants: usize,
    idle_after: Duration,
}

impl TenantsBuilder {
    pub(super) fn new(plans: Plans) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { plans, clock, max_tenants: 250_000, idle_after: Duration::from_secs(600) }
    }

    /// Chooses the clock; it should be the stack's. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Bounds how many tenants are kept account of at once, about 200 bytes each: 1 to 10,000,000. With as many, others are
    /// [`Overloaded`](memstache_core::ErrorKind::Overloaded). Default: 250,000.
    pub const fn max_tenants(mut self, tenants: usize) -> Self {
        self.max_tenants = tenants;
        self
    }

    /// Sets after how long a tenant is forgotten that did nothing, holds nothing and has its whole burst: a second to a
    /// week. Default: ten minutes.
    pub const fn idle_after(mut self, idle: Duration) -> Self {
        self.idle_after = idle;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`Invalid`](memstache_core::ErrorKind::Invalid), with everything that is wrong.
    pub fn build(self) -> Result<Tenants> {
        let mut wrong = Vec::new();
        if !(1..=MOST).contains(&self.max_tenants) {
            wrong.push(Error::invalid("max_tenants", format_args!("from 1 to {MOST}"), self.max_tenants));
        }
        if !(Duration::from_secs(1)..=LONGEST_IDLE).contains(&self.idle_after) {
            let limits = format_args!("from 1s to {LONGEST_IDLE:?}");
            wrong.push(Error::invalid("idle_after", limits, format_args!("{:?}", self.idle_after)));
        }
        crate::plan::all_of(&wrong)?;
        let accounts = Accounts::new(self.max_tenants, self.idle_after, self.clock.elapsed());
        Ok(Tenants(Arc::new(Inner {
            accounts,
            current: ArcSwap::from_pointee(Current::first(self.plans)),
            reloading: Mutex::default(),
            clock: self.clock,
            held: Default::default(),
            weights: Default::default(),
            unknown: Default::default(),
            board: Mutex::default(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_at_once() {
        let builder = Tenants::builder(Plans::builder().build().unwrap());
        let error = builder.max_tenants(0).idle_after(Duration::ZERO).build().unwrap_err().to_string();
        assert_eq!(
            error,
            "max_tenants must be from 1 to 10000000, but 0 was given; \
             idle_after must be from 1s to 604800s, but 0ns was given"
        );
    }
}
