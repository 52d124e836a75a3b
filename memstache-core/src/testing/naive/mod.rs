//! A store so simple that one can see that it is right.

mod lookup;
mod sabotage;
mod state;
mod stream;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::sabotage::Sabotage;
use self::state::State;
use crate::{
    clock::Clock,
    coherence::{Coherence, InvalidationStream},
    error::Result,
    request::{
        Found, Get, GetItem, Invalidate, Invalidated, Lookup, OnMiss, Remove, Removed, Scope, Set, Stored, Touch,
        Touched,
    },
    store::{Store, StoreService},
    util::{timed_out, until},
};

/// A reference [`Store`]: one lock over plain maps, nothing shared, nothing clever.
///
/// It keeps every rule of the contract, and the conformance suite holds it to them; it is the store to put under a
/// layer in a test. It is unbounded and forgets nothing but what is removed. Clones are the same store.
///
/// ```
/// use memstache_core::{Address, ErasedService, Get, KeyspaceName, Lifetime, Lookup, NewEntry, Operation, Set, Space};
/// use memstache_core::testing::{ManualClock, NaiveStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let store = NaiveStore::new(ManualClock::new());
/// let service = ErasedService::new(store.service());
/// let tea = Address::plain(&Space::new(None, &KeyspaceName::new("drinks")?), "tea")?;
/// service.dispatch(Set::one(tea.clone(), NewEntry::new("hot", Lifetime::UNLIMITED))).await?;
/// let found = service.dispatch(Get::one(tea)).await?;
/// assert!(matches!(Get::output(found)?.into_one(), Some(Ok(Lookup::Hit(entry))) if entry.value == "hot"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NaiveStore(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Told of every change; whoever waits looks again.
    changed: Notify,
}

impl NaiveStore {
    /// For how long its leases live unless they are renewed.
    pub const LEASE_TTL: Duration = Duration::from_secs(10);

    /// How many changes a subscriber may be behind before it gets a gap.
    pub const STREAM_CAPACITY: usize = 1024;

    /// Creates an empty store.
    pub fn new(clock: impl Clock) -> Self {
        Self::build(Arc::new(clock), None)
    }

    /// Creates a store that breaks one rule, to check that a test finds it.
    #[doc(hidden)]
    pub fn sabotaged(clock: impl Clock, sabotage: Sabotage) -> Self {
        Self::build(Arc::new(clock), Some(sabotage))
    }

    fn build(clock: Arc<dyn Clock>, sabotage: Option<Sabotage>) -> Self {
        Self(Arc::new(Shared { clock, state: Mutex::new(State::new(sabotage)), changed: Notify::new() }))
    }

    /// Returns the store as the leaf of a stack.
    pub fn service(&self) -> StoreService<Self> {
        StoreService::new(self.clone())
    }

    /// Changes the state in one step, then lets whoever waits look again.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock();
        let output = change(&mut state);
        let (one, silent) = (state.is(Sabotage::WakesOneWaiter), state.is(Sabotage::LosesWakeUps));
        drop(state);
        match (one, silent) {
            (true, _) => self.0.changed.notify_one(),
            (false, false) => self.0.changed.notify_waiters(),
            (false, true) => {}
        }
        output
    }

    /// Looks one item up; under [`OnMiss::Wait`] again and again until it is not busy.
    async fn find(&self, item: GetItem, on_miss: OnMiss, scope: Scope) -> Result<Lookup> {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.0.changed.notified();
            let now = self.0.clock.now();
            let (lookup, ends) = {
                let mut state = self.0.state.lock();
                (state.look_up(&item, on_miss, &scope, now), state.lease_end(&item.address))
            };
            if on_miss != OnMiss::Wait || !matches!(lookup, Lookup::Busy(_)) {
                return Ok(lookup);
            }
            if scope.deadline.is_some_and(|deadline| now >= deadline) {
                return Err(timed_out("the key was still being loaded at the deadline"));
            }
            let wake = scope.deadline.map_or(ends, |deadline| deadline.min(ends));
            until(&self.0.clock, Some(wake), changed).await;
        }
    }
}

impl fmt::Debug for NaiveStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NaiveStore").finish_non_exhaustive()
    }
}

impl Store for NaiveStore {
    async fn get(&self, op: Get) -> Result<Found> {
        let items = op.items.into_iter().map(|item| self.find(item, op.on_miss, op.scope));
        let mut found = join_all(items).await;
        if self.0.state.lock().is(Sabotage::AnswersBackwards) {
            found.reverse();
        }
        Ok(found.into_iter().collect())
    }

    async fn set(&self, op: Set) -> Result<Stored> {
        let now = self.0.clock.now();
        Ok(self.change(|state| op.items.map(|item| state.set(item, now))))
    }

    async fn remove(&self, op: Remove) -> Result<Removed> {
        let now = self.0.clock.now();
        Ok(self.change(|state| op.items.map(|address| Ok(state.remove(&address, now)))))
    }

    async fn touch(&self, op: Touch) -> Result<Touched> {
        let now = self.0.clock.now();
        Ok(self.change(|state| op.items.map(|item| Ok(state.touch(&item, now)))))
    }

    async fn invalidate(&self, op: Invalidate) -> Result<Invalidated> {
        Ok(self.change(|state| op.items.map(|target| Ok(state.invalidate(target)))))
    }
}

impl Coherence for NaiveStore {
    fn subscribe(&self) -> InvalidationStream {
        stream::changes(self.0.state.lock().subscribe())
    }
}
