//! A part of something bounded, taken for the time of a call.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::error::{Error, ErrorKind, Result};

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
    /// Calls that were refused.
    pub refused: u64,
}

impl Share {
    pub(super) fn new(most: usize, refusal: &'static str) -> Self {
        let error = Error::new(ErrorKind::Overloaded, refusal);
        Self { taken: AtomicUsize::new(0), most, refused: AtomicU64::new(0), error }
    }

    /// Takes a part until the answer is dropped. More than there is counts as all of it.
    pub(super) fn try_take(self: &Arc<Self>, amount: usize) -> Result<Taken> {
        let amount = amount.min(self.most);
        let fits = |taken: usize| taken.checked_add(amount).filter(|sum| *sum <= self.most);
        match self.taken.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => Ok(Taken { share: Arc::clone(self), amount }),
            Err(_) => {
                self.refused.fetch_add(1, Relaxed);
                Err(self.error.clone())
            }
        }
    }

    pub(super) fn snapshot(&self) -> LimitSnapshot {
        LimitSnapshot { taken: self.taken.load(Relaxed), most: self.most, refused: self.refused.load(Relaxed) }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
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
