//! The clock that every hit asks.

use std::{any::TypeId, ops::Deref, sync::Arc, time::Duration};

use super::{Clock, SystemClock, Tick};

/// A clock, of which it is known whether it is the system's: that one is asked without the call through a table.
#[derive(Clone, Debug)]
pub(crate) struct Ticker {
    clock: Arc<dyn Clock>,
    by_system: bool,
}

impl Ticker {
    pub(crate) fn new<C: Clock>(clock: C) -> Self {
        Self { clock: Arc::new(clock), by_system: TypeId::of::<C>() == TypeId::of::<SystemClock>() }
    }

    /// Returns the current tick, and for who measures the call when it began, by asking the clock once.
    pub(crate) fn begin(&self) -> (Tick, Option<Duration>) {
        if !self.by_system {
            return (self.clock.now(), None);
        }
        let (now, begun) = SystemClock::reading();
        (now, Some(begun))
    }

    /// Returns [`Clock::upper_bound`].
    #[inline]
    pub(crate) fn upper_bound(&self) -> Tick {
        if self.by_system { SystemClock.upper_bound() } else { self.clock.upper_bound() }
    }
}

impl Default for Ticker {
    fn default() -> Self {
        Self::new(SystemClock::new())
    }
}

impl Deref for Ticker {
    type Target = Arc<dyn Clock>;

    fn deref(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
