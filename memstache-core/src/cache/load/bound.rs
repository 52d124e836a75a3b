//! How many loads run at a time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use super::super::core::Core;
use crate::{
    error::{Error, ErrorKind, Result},
    health::PartHealth,
};

/// Most loads at a time, unless a handle is told otherwise.
pub(crate) const DEFAULT: usize = 1024;

/// Most that a handle may be told.
pub(crate) const MOST: usize = 1 << 20;

/// The places of loads.
#[derive(Debug)]
pub(crate) struct LoadBound {
    most: usize,
    running: AtomicUsize,
    refused: AtomicU64,
}

impl LoadBound {
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, running: AtomicUsize::new(0), refused: AtomicU64::new(0) }
    }

    pub(crate) fn check(most: usize) -> Result<()> {
        if (1..=MOST).contains(&most) {
            return Ok(());
        }
        Err(Error::invalid("max_loads", format_args!("from 1 to {MOST}"), most))
    }

    /// Tells how near to the bound the loads are: degraded from seven eighths on.
    pub(crate) fn judge(&self, part: PartHealth) -> PartHealth {
        let running = self.running.load(Relaxed);
        let part =
            part.with("running", running).with("max_loads", self.most).with("refused", self.refused.load(Relaxed));
        if running >= self.most {
            part.degraded("as many loads are running as there may be: further ones are refused")
        } else if running >= self.most - self.most / 8 {
            part.degraded("almost as many loads are running as there may be")
        } else {
            part
        }
    }
}

/// The place of one load, from before its source is asked until its value is stored.
pub(super) struct Place(Arc<Core>);

impl Place {
    /// Takes a place; nobody queues for one.
    pub(super) fn take(core: &Arc<Core>) -> Result<Self> {
        let bound = &core.bound;
        let fits = |running: usize| (running < bound.most).then_some(running + 1);
        if bound.running.fetch_update(Relaxed, Relaxed, fits).is_err() {
            bound.refused.fetch_add(1, Relaxed);
            return Err(
                Error::new(ErrorKind::Overloaded, "as many loads are running as max_loads lets").without_effect()
            );
        }
        Ok(Self(Arc::clone(core)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.bound.running.fetch_sub(1, Relaxed);
    }
}
