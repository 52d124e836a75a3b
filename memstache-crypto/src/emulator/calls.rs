//! How often the emulator was called.

use std::{
    array, fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::operation::Operation;

/// Counts of calls since the emulator was built, for assertions such as "no call on any request's path".
#[derive(Clone)]
pub struct Calls {
    by_operation: [u64; Operation::COUNT],
    total: u64,
    challenged: u64,
    faulted: u64,
}

impl Calls {
    /// Returns how many calls arrived, whatever became of them.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns how many calls of one operation were let through to the vault: neither challenged nor hit by a fault.
    pub fn of(&self, operation: Operation) -> u64 {
        self.by_operation[operation as usize]
    }

    /// Returns how many calls were answered with 401: each client's first one is.
    pub fn challenged(&self) -> u64 {
        self.challenged
    }

    /// Returns how many calls a fault switch answered.
    pub fn faulted(&self) -> u64 {
        self.faulted
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Calls");
        out.field("total", &self.total).field("challenged", &self.challenged).field("faulted", &self.faulted);
        out.finish_non_exhaustive()
    }
}

/// The live counters.
#[derive(Debug)]
pub(super) struct Counters {
    by_operation: [AtomicU64; Operation::COUNT],
    pub(super) total: AtomicU64,
    pub(super) challenged: AtomicU64,
    pub(super) faulted: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            by_operation: array::from_fn(|_| AtomicU64::new(0)),
            total: AtomicU64::new(0),
            challenged: AtomicU64::new(0),
            faulted: AtomicU64::new(0),
        }
    }
}

impl Counters {
    pub(super) fn count(&self, operation: Operation) {
        self.by_operation[operation as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Calls {
        Calls {
            by_operation: array::from_fn(|at| self.by_operation[at].load(Relaxed)),
            total: self.total.load(Relaxed),
            challenged: self.challenged.load(Relaxed),
            faulted: self.faulted.load(Relaxed),
        }
    }
}
