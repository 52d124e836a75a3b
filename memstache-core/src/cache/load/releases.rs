//! Leases that must be released, by hook or by crook: together, again and again, until they age out anyway.
//!
//! What went wrong when a lease was granted or given back is often wrong for a while: the store is away, or answers
//! late. One task a handle sends what is to be released, one bounded call at a time, so that a store in trouble sees
//! little of it.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use parking_lot::Mutex;

use super::{super::core::Core, flight::touch};
use crate::{
    address::Address,
    clock::Tick,
    request::{LeaseId, TouchKind},
};

/// How long a lease is tried to be released whose ttl nobody knows.
pub(super) const UNKNOWN_TTL: Duration = Duration::from_secs(10);

/// Most leases that wait for their release; those beyond age out.
const MOST: usize = 4096;

/// Most leases that one call releases.
const BATCH: usize = 256;

/// The first pause after a release that failed; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// A lease, and until when it is worth while to release it.
type Owed = (Address, LeaseId, Tick);

/// What is to be released.
#[derive(Debug, Default)]
pub(crate) struct Releases(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    owed: VecDeque<Owed>,
    /// Whether a task is at it.
    runs: bool,
}

impl Releases {
    /// Takes what is next; nothing if that is all.
    fn next(&self, now: Tick) -> Vec<Owed> {
        let mut queue = self.0.lock();
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(owed) = queue.owed.pop_front()
        {
            if now < owed.2 {
                batch.push(owed);
            }
        }
        queue.runs = !batch.is_empty();
        batch
    }

    /// Puts leases at the end; returns whether a task must be started for them.
    fn add(&self, owed: impl IntoIterator<Item = Owed>) -> bool {
        let mut queue = self.0.lock();
        for owed in owed {
            if queue.owed.len() == MOST {
                tracing::debug!("too many leases are to be released: one ages out");
                break;
            }
            queue.owed.push_back(owed);
        }
        !queue.owed.is_empty() && !std::mem::replace(&mut queue.runs, true)
    }
}

/// Releases leases in the background, each for as long as its ttl lasts.
pub(super) fn later(core: &Arc<Core>, leases: impl Iterator<Item = (Address, LeaseId, Duration)>) {
    let mut leases = leases.peekable();
    if leases.peek().is_none() {
        return;
    }
    // Without a runtime they age out.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let now = core.clock.now();
    if core.releases.add(leases.map(|(address, id, ttl)| (address, id, now.after(ttl)))) {
        let working = Working { core: Arc::clone(core), done: false };
        runtime.spawn(async move { working.work().await });
    }
}

/// The task that releases.
struct Working {
    core: Arc<Core>,
    /// Whether it has found nothing more to do: from then on another may be at work.
    done: bool,
}

impl Working {
    async fn work(mut self) {
        let core = Arc::clone(&self.core);
        let core = &core;
        let mut pause = FIRST_PAUSE;
        loop {
            let batch = core.releases.next(core.clock.now());
            if batch.is_empty() {
                self.done = true;
                return;
            }
            let items = batch.iter().map(|(address, id, _)| (address.clone(), TouchKind::Release(*id)));
            // A layer that panics is one more way in which a release does not get through.
            let done = AssertUnwindSafe(touch(core, items)).catch_unwind().await;
            let done = done.unwrap_or_else(|_| vec![false; batch.len()]);
            let failed: Vec<_> = batch.into_iter().zip(done).filter(|(_, done)| !done).map(|(owed, _)| owed).collect();
            if failed.is_empty() {
                pause = FIRST_PAUSE;
                continue;
            }
            core.releases.add(failed);
            core.clock.sleep_until(core.clock.now().after(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Drop for Working {
    /// Its runtime may end before it does.
    fn drop(&mut self) {
        if !self.done {
            self.core.releases.0.lock().runs = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyspaceName, Space};

    fn owed(count: u64, until: Tick) -> impl Iterator<Item = Owed> {
        let space = Space::new(None, &KeyspaceName::new("k").unwrap());
        (0..count).map(move |n| (Address::plain(&space, n.to_string()).unwrap(), LeaseId(n + 1), until))
    }

    #[test]
    fn one_task_takes_them_in_batches_in_the_order_they_came() {
        let (releases, now) = (Releases::default(), Tick::from_millis(1));
        assert!(releases.add(owed(300, Tick::NEVER)), "a task is started");
        assert!(!releases.add(owed(1, Tick::NEVER)), "it is at it");
        let ids = |batch: Vec<Owed>| batch.into_iter().map(|(_, id, _)| id.0).collect::<Vec<_>>();
        assert_eq!(ids(releases.next(now)), (1..=256).collect::<Vec<_>>());
        assert_eq!(ids(releases.next(now)), (257..=300).chain([1]).collect::<Vec<_>>());
        assert!(releases.next(now).is_empty(), "it ends");
        assert!(releases.add(owed(1, Tick::NEVER)), "and another is started");
    }

    #[test]
    fn what_has_aged_out_is_forgotten_and_all_of_it_is_bounded() {
        let (releases, end) = (Releases::default(), Tick::from_millis(10));
        releases.add(owed(MOST as u64 + 100, end));
        releases.add(owed(1, Tick::NEVER));
        assert_eq!(releases.0.lock().owed.len(), MOST);
        assert!(releases.next(end).is_empty());
        assert_eq!(releases.0.lock().owed.len(), 0);
        assert!(!releases.add([]), "nothing to do");
    }
}
