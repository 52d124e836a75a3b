//! Keeping what is at hand up to date.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, join, select},
    stream,
};
use memstache_core::{BoxFuture, Error, ErrorKind, RecordEvent, RecordStream, Result, Tick};
use tokio::task::JoinHandle;

use super::{Inner, Keyring, keeper::Absent, lines::Kept, owner::KeyOwner, table::Reason};
use crate::key::{DataKey, NameKey};

/// How many lines are read at the same time: the fan-out of the AWS Encryption SDK's storm-tracking cache.
const FAN_OUT: usize = 20;
/// The pause after a refresh that failed.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// How often at most what requests miss is looked at.
const NUDGE_PAUSE: Duration = Duration::from_millis(100);

impl Keyring {
    /// Reads the branch keys and every line at hand again, and does what has come due: rotation and retirement by age,
    /// wrapping with a newer branch key.
    ///
    /// Everything is tried; the first error is returned. What could not be read stays in use for
    /// [`with_max_stale`](super::KeyringBuilder::with_max_stale).
    ///
    /// What the vaults of tenants protect is refreshed beside it, all at once: it waits for them, 20 seconds at most, but what
    /// fails there is an error of that tenant's requests alone, and counted by
    /// [`stats`](Self::stats).
    ///
    /// # Cancellation
    /// What was begun goes on in the background.
    pub async fn refresh(&self) -> Result<()> {
        join(self.0.refresh(), self.0.refresh_own()).await.0
    }

    /// Refreshes in the background, at the interval that was set and whenever records change, until what it returns is
    /// dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use = "dropping the task ends it"]
    pub fn run(&self) -> KeyringTask {
        let keyring = Arc::downgrade(&self.0);
        if let Some(vaults) = &self.0.vaults {
            vaults.start();
        }
        KeyringTask { task: tokio::spawn(run(Weak::clone(&keyring))), keyring }
    }
}

/// The background task of a [`Keyring`]; dropping it ends the task. It also ends with the last clone of the keyring.
#[derive(Debug)]
pub struct KeyringTask {
    task: JoinHandle<()>,
    keyring: Weak<Inner>,
}

impl Drop for KeyringTask {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(vaults) = self.keyring.upgrade().as_ref().and_then(|inner| inner.vaults.as_ref()) {
            vaults.stop();
        }
    }
}

impl Inner {
    pub(super) async fn refresh(self: &Arc<Self>) -> Result<()> {
        let branches = self.refresh_branches().await;
        let master = if branches.is_ok() { self.maintain_master().await } else { Ok(()) };
        let node = self.stay_registered().await;
        let data = self.refresh_all::<DataKey>().await;
        let names = self.refresh_all::<NameKey>().await;
        let outcome = branches.and(master).and(node).and(data).and(names);
        self.counters.refreshed(outcome.is_ok());
        outcome
    }

    async fn refresh_all<K: Kept>(self: &Arc<Self>) -> Result<()> {
        let owners = K::table(self).all().into_iter().map(|held| held.owner.clone());
        self.bring_all::<K>(owners.collect(), Reason::Refresh).await
    }

    /// Fetches the name keys that were asked for.
    async fn fetch_wanted(self: &Arc<Self>) -> Result<()> {
        let wanted = std::mem::take(&mut *self.wanted.lock());
        let mut here = Vec::new();
        for owner in wanted {
            match self.keeper_at_hand(owner.tenant_name(), |keeper| Arc::ptr_eq(keeper, self)) {
                Ok(true) => here.push(owner),
                // That of a vault is asked by its own task; this one waits for no other's vault.
                Ok(false) | Err(Absent::Failed(_)) => {}
                // Whoever wants it again finds who keeps it.
                Err(Absent::Ask) => self.begin_to_ask(&owner),
            }
        }
        self.bring_all::<NameKey>(here, Reason::Seal).await
    }

    /// Brings lines to hand, some at a time, and returns the first error.
    async fn bring_all<K: Kept>(self: &Arc<Self>, owners: Vec<KeyOwner>, reason: Reason) -> Result<()> {
        let brought = owners.into_iter().map(|owner| self.bring::<K>(owner, reason));
        let mut brought = stream::iter(brought).buffer_unordered(FAN_OUT);
        let mut all = Ok(());
        while let Some(one) = brought.next().await {
            if let Err(error) = one {
                all = all.and(Err(error));
            }
        }
        all
    }

    /// Somebody missed something: branch keys, or a name key.
    async fn nudged(self: &Arc<Self>) -> Result<()> {
        let branches = self.refresh_branches().await;
        branches.and(self.fetch_wanted().await)
    }

    /// Reads what an event says has changed.
    async fn follow(self: &Arc<Self>, event: RecordEvent) -> Result<()> {
        let (RecordEvent::Put { key: place, .. } | RecordEvent::Removed { key: place, .. }) = &event else {
            return self.refresh().await;
        };
        if let Some(order) = self.settings.environment.order_of(place) {
            return match &event {
                RecordEvent::Put { record, .. } => self.obey(order, record).await,
                _ => Ok(()),
            };
        }
        if *place == self.settings.environment.branch_key() {
            return self.refresh_branches_anew().await;
        }
        if let Some(held) = self.data.all().into_iter().find(|held| held.place == *place) {
            self.bring_anew::<DataKey>(held.owner.clone(), Reason::Open).await?;
        }
        if let Some(held) = self.names.all().into_iter().find(|held| held.place == *place) {
            self.bring_anew::<NameKey>(held.owner.clone(), Reason::Open).await?;
        }
        Ok(())
    }
}

/// What the task waits for.
enum Woken {
    Timer,
    Nudge,
    Event(RecordEvent),
    /// The watch ended.
    Ended,
}

async fn run(keyring: Weak<Inner>) {
    let Some(inner) = keyring.upgrade() else { return };
    let mut changes = None;
    let mut retry = FIRST_RETRY;
    let mut due = inner.clock.now().after(inner.settings.refresh);
    let mut nudged_at = None;
    let mut lacked = false;
    drop(inner);
    loop {
        let Some(inner) = keyring.upgrade() else { return };
        if changes.is_none() {
            let prefix = inner.settings.environment.prefix();
            changes = inner.records.watch(&prefix).await.ok();
            // Without being told of changes, or after a time without: everything is looked at soon.
            due = due.min(inner.clock.now().after(retry));
        }
        let timer = inner.clock.sleep_until(due);
        let nudge = nudge(&inner, nudged_at);
        // Not held while waiting: the task must not keep the keyring alive.
        drop(inner);
        let woken = wait(timer, nudge, &mut changes).await;
        let Some(inner) = keyring.upgrade() else { return };
        lacked |= !inner.has_branches();
        let refreshes = matches!(woken, Woken::Timer);
        let outcome = match woken {
            Woken::Timer => {
                // Begun, and not waited for: a tenant's vault has a task of its own.
                drop(inner.ask_again());
                let outcome = inner.refresh().await;
                retry = if outcome.is_ok() { FIRST_RETRY } else { (retry * 2).min(inner.settings.refresh) };
                let pause = if outcome.is_ok() { inner.settings.refresh } else { retry };
                due = inner.clock.now().after(pause);
                outcome
            }
            Woken::Nudge => {
                nudged_at = Some(inner.clock.now());
                inner.nudged().await
            }
            Woken::Event(event) => inner.follow(event).await,
            Woken::Ended => {
                changes = None;
                Err(Error::new(ErrorKind::Unavailable, "the watch of the records ended"))
            }
        };
        if lacked && inner.has_branches() {
            lacked = false;
            if !refreshes {
                // The lines expired with the branch keys: no request reads them again, and the timer may be far.
                due = inner.clock.now();
            }
        }
        if let Err(error) = &outcome {
            tracing::warn!(kind = error.kind().as_str(), "keys could not be refreshed");
            due = due.min(inner.clock.now().after(retry));
        }
    }
}

/// Completes when somebody missed something, but not more often than so.
fn nudge(inner: &Inner, last: Option<Tick>) -> BoxFuture<'static, ()> {
    let (clock, nudge) = (Arc::clone(&inner.clock), Arc::clone(&inner.nudge));
    Box::pin(async move {
        if let Some(last) = last {
            clock.sleep_until(last.after(NUDGE_PAUSE)).await;
        }
        nudge.notified().await;
    })
}

async fn wait(
    timer: BoxFuture<'static, ()>,
    nudge: BoxFuture<'static, ()>,
    changes: &mut Option<RecordStream>,
) -> Woken {
    let next = async {
        match changes {
            Some(changes) => changes.next().await.map_or(Woken::Ended, Woken::Event),
            None => std::future::pending().await,
        }
    };
    let woken = select(timer.map(|()| Woken::Timer), nudge.map(|()| Woken::Nudge));
    match select(woken, pin!(next)).await {
        Either::Left((woken, _)) => woken.factor_first().0,
        Either::Right((woken, _)) => woken,
    }
}
