//! A part of something bounded, taken for the time of a call.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    error::{Error, ErrorKind, Result},
    request::Request,
};

/// What calls share, and how much of it is taken. Lock-free.
pub(super) struct Share {
    taken: AtomicUsize,
    most: usize,
    refused: AtomicU64,
    /// Made once: refusing costs no more than answering.
    error: Error,
}

/// How much of a limit is taken, and how often it refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// What is taken now.
    pub taken: usize,
    /// What there is.
    pub most: usize,
    /// What is taken by reads that wait for the loads of others, of as much again.
    pub waiting: usize,
    /// Calls that were refused.
    pub refused: u64,
}

impl Share {
    pub(super) fn new(most: usize, refusal: &'static str) -> Self {
        let error = Error::new(ErrorKind::Overloaded, refusal).without_effect();
        Self { taken: AtomicUsize::new(0), most, refused: AtomicU64::new(0), error }
    }

    /// Takes a part until the answer is dropped, or nothing if it does not fit. More than there is counts as all of it.
    pub(super) fn try_take(self: &Arc<Self>, amount: usize) -> Option<Taken> {
        let amount = amount.min(self.most);
        let fits = |taken: usize| taken.checked_add(amount).filter(|sum| *sum <= self.most);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, fits).is_ok();
        taken.then(|| Taken { share: Arc::clone(self), amount })
    }

    /// Counts a call that is refused, and returns its error.
    pub(super) fn refuse(&self) -> Error {
        self.refused.fetch_add(1, Relaxed);
        self.error.clone()
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("taken", &self.taken).field("most", &self.most).finish_non_exhaustive()
    }
}

/// What a limit has for calls, and as much again for reads that wait for the loads of others.
///
/// Who waits for a load must not hold what others need, the fill that ends the wait among them: its own part of the
/// limit bounds it.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    pub(super) calls: Arc<Share>,
    waits: Arc<Share>,
}

impl Shares {
    pub(super) fn new(most: usize, refusal: &'static str) -> Self {
        let share = || Arc::new(Share::new(most, refusal));
        Self { calls: share(), waits: share() }
    }

    /// Takes what a call is charged with: nothing for what only carries on or ends loads.
    pub(super) fn admit(&self, request: &Request, charge: impl FnOnce() -> usize) -> Result<Option<Taken>> {
        if request.continues_loads() {
            return Ok(None);
        }
        let share = if request.waits() { &self.waits } else { &self.calls };
        share.try_take(charge()).map_or_else(|| Err(share.refuse()), |taken| Ok(Some(taken)))
    }

    pub(super) fn snapshot(&self) -> LimitSnapshot {
        let Self { calls, waits } = self;
        LimitSnapshot {
            taken: calls.taken.load(Relaxed),
            most: calls.most,
            waiting: waits.taken.load(Relaxed),
            refused: calls.refused.load(Relaxed).saturating_add(waits.refused.load(Relaxed)),
        }
    }
}

/// A part that is taken; given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    share: Arc<Share>,
    amount: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.share.taken.fetch_sub(self.amount, Relaxed);
    }
}
