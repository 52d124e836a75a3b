//! This node's entry at discovery: made when it joins, however often that takes, and taken back when it leaves.

use std::sync::Arc;

use memstache_core::{Clock, Error, ErrorKind, Result, Tick};
use parking_lot::Mutex;

use super::{
    driver::first,
    parameters::{DEREGISTER, DISCOVERY},
};
use crate::{member::Member, membership::Discovery};

/// How far the entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Entry {
    /// Not wanted yet, or no more.
    #[default]
    None,
    Wanted,
    Made,
}

#[derive(Debug)]
pub(super) struct Registration {
    discovery: Arc<dyn Discovery>,
    clock: Arc<dyn Clock>,
    entry: Mutex<Entry>,
}

impl Registration {
    pub(super) fn new(discovery: Arc<dyn Discovery>, clock: Arc<dyn Clock>) -> Self {
        Self { discovery, clock, entry: Mutex::default() }
    }

    /// Makes the entry, unless it is made. If that fails, it stays wanted.
    pub(super) async fn make(&self, me: &Member) -> Result<()> {
        {
            let mut entry = self.entry.lock();
            if *entry == Entry::Made {
                return Ok(());
            }
            *entry = Entry::Wanted;
        }
        self.try_again(me).await
    }

    /// Whether the entry is to be made, and is not made yet.
    pub(super) fn is_wanted(&self) -> bool {
        *self.entry.lock() == Entry::Wanted
    }

    /// Makes the entry if it is wanted and not made.
    pub(super) async fn try_again(&self, me: &Member) -> Result<()> {
        if !self.is_wanted() {
            return Ok(());
        }
        let deadline = self.clock.now().after(DISCOVERY);
        self.within(deadline, self.discovery.register(me), "register this node").await?;
        let mut entry = self.entry.lock();
        // Somebody may have taken it back meanwhile.
        if *entry == Entry::Wanted {
            *entry = Entry::Made;
        }
        Ok(())
    }

    /// Takes the entry back, if it was ever wanted: a call that failed may have made it all the same.
    pub(super) async fn take_back(&self, me: &Member) -> Result<()> {
        if std::mem::take(&mut *self.entry.lock()) == Entry::None {
            return Ok(());
        }
        let deadline = self.clock.now().after(DEREGISTER);
        self.within(deadline, self.discovery.deregister(me), "forget this node").await
    }

    async fn within(&self, deadline: Tick, work: impl Future<Output = Result<()>>, what: &str) -> Result<()> {
        let late =
            || Error::new(ErrorKind::Unavailable, format!("discovery did not {what} in time")).with_retryable(true);
        first(work, self.clock.sleep_until(deadline)).await.unwrap_or_else(|| Err(late()))
    }
}
