//! The background task by which dead entries leave a store that nobody writes to.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    policy::{EvictionPolicy, SlotId},
    shared::{Shard, Shared},
    slot::Whole,
};
use crate::clock::{Clock, Tick};

/// How often the task looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Entries looked at under one lock.
const STEPS: usize = 256;

/// How far one round over a shard has come.
#[derive(Default)]
struct Walk {
    next: u32,
    /// The last clear when the walk began; what came later is for the next walk.
    clear: u64,
}

/// The one task of a store, while there is something to wait for.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    running: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.task.get_mut().take().inspect(AbortHandle::abort);
    }
}

/// Says that the task is gone when its runtime goes, so that another runtime may start it again.
struct Running<P: EvictionPolicy>(Weak<Shared<P>>, bool);

impl<P: EvictionPolicy> Drop for Running<P> {
    fn drop(&mut self) {
        // A panic, as from a runtime without timers, would come again.
        if self.1
            && !std::thread::panicking()
            && let Some(store) = self.0.upgrade()
        {
            store.sweeper.running.store(false, Ordering::SeqCst);
        }
    }
}

impl<P: EvictionPolicy> Shared<P> {
    /// Starts the task if it does not run and there is a runtime to run it.
    ///
    /// Called after the change that the task is to see: it lowers its flag before it looks for the last time.
    pub(super) fn keep_swept(self: &Arc<Self>) {
        if self.sweeper.running.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.sweeper.running.swap(true, Ordering::SeqCst) {
            let task = runtime.spawn(sweep(Running(Arc::downgrade(self), true), Arc::clone(&self.clock)));
            *self.sweeper.task.lock() = Some(task.abort_handle());
        }
    }

    /// Lets everything that is due leave.
    pub(super) fn maintain(&self, now: Tick) {
        for at in 0..self.shards.len() {
            let mut walk = Walk::default();
            while self.sweep_piece(at, &mut walk, now).is_continue() {}
        }
    }

    /// Works on one shard for the time of one lock; says whether there is more to do at `now`.
    fn sweep_piece(&self, at: usize, walk: &mut Walk, now: Tick) -> ControlFlow<()> {
        let mut steps = STEPS;
        // Declared before the guard: dropping a lease wakes, and dropping a value may be somebody else's code.
        let (mut ended, mut dropped) = (Vec::new(), Vec::new());
        let mut guard = self.shards[at].write();
        let shard = &mut *guard;
        dropped.extend(std::iter::from_fn(|| self.expire_one(shard, now, &mut steps)));
        while let Some(lease) = self.age_one(shard, now, &mut steps) {
            ended.push(lease);
        }
        self.sweep_hidden(shard, walk, &mut steps, &mut dropped);
        drop(guard);
        if steps == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// After a clear, looks once at every entry: what is cleared must not be charged until it is evicted.
    fn sweep_hidden(&self, shard: &mut Shard<P>, walk: &mut Walk, steps: &mut usize, dropped: &mut Vec<Whole>) {
        if walk.next == 0 {
            walk.clear = self.lines.last_clear();
        }
        if shard.swept >= walk.clear {
            return;
        }
        while walk.next < shard.table.end().0 {
            if *steps == 0 {
                return;
            }
            *steps -= 1;
            let id = SlotId(walk.next);
            walk.next += 1;
            if shard.table.slot(id).is_some_and(|slot| self.is_hidden(slot)) {
                dropped.extend(self.take_hidden(shard, id));
                shard.counters.hidden += 1;
            }
        }
        shard.swept = walk.clear;
    }

    /// Returns whether anything will be due without another write.
    fn is_waiting(&self) -> bool {
        let waits = |shard: &Shard<P>| {
            shard.table.deadlines() > 0 || shard.leases.len() > 0 || shard.swept < self.lines.last_clear()
        };
        self.shards.iter().any(|shard| waits(&shard.read()))
    }
}

/// Runs until nothing is waited for any more, or the store is gone.
async fn sweep<P: EvictionPolicy>(mut running: Running<P>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now().after(PERIOD)).await;
        let Some(shards) = running.0.upgrade().map(|store| store.shards.len()) else { return };
        for at in 0..shards {
            let mut walk = Walk::default();
            loop {
                let Some(store) = running.0.upgrade() else { return };
                if store.sweep_piece(at, &mut walk, clock.now()).is_break() {
                    break;
                }
                drop(store);
                tokio::task::yield_now().await;
            }
        }
        let Some(store) = running.0.upgrade() else { return };
        if !store.is_waiting() {
            // Looked at again after the flag is down: a write in between either sees the flag or is seen here.
            store.sweeper.running.store(false, Ordering::SeqCst);
            if !store.is_waiting() || store.sweeper.running.swap(true, Ordering::SeqCst) {
                running.1 = false;
                return;
            }
        }
    }
}
