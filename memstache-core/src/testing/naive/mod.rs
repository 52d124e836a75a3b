//! A store so simple that one can see that it is right.

mod lookup;
mod sabotage;
mod state;
mod stream;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::sabotage::Sabotage;
use self::state::State;
use crate::{
    clock::Clock,
    coherence::{Coherence, InvalidationStream},
    error::Result,
    request::{Found, Get, Invalidate, Invalidated, Lookup, Remove, Removed, Set, Stored, Touch, Touched},
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

    /// Looks up what is asked; under [`OnMiss::Wait`] again and again until nothing is busy.
    ///
    /// Each round is one step, and one that must wait gives back what it was granted: so two batches never wait for
    /// each other, and a dropped one leaves no lease behind.
    async fn find(&self, op: Get) -> Found {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.0.changed.notified();
            let now = self.0.clock.now();
            let late = op.scope.deadline.is_some_and(|deadline| now >= deadline);
            let (found, wake) = self.0.state.lock().look_up_all(&op, now);
            let Some(wake) = wake else { return found.map(Ok) };
            if late {
                return found.map(in_time);
            }
            let wake = op.scope.deadline.map_or(wake, |deadline| deadline.min(wake));
            until(&self.0.clock, Some(wake), changed).await;
        }
    }
}

/// Turns an answer of a read that waited up to its deadline into what its caller is told.
fn in_time(lookup: Lookup) -> Result<Lookup> {
    match lookup {
        Lookup::Busy(_) => Err(timed_out("the key was still being loaded at the deadline").without_effect()),
        lookup => Ok(lookup),
    }
}

impl fmt::Debug for NaiveStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NaiveStore").finish_non_exhaustive()
    }
}

impl Store for NaiveStore {
    async fn get(&self, op: Get) -> Result<Found> {
        let mut found = self.find(op).await;
        if self.0.state.lock().is(Sabotage::AnswersBackwards) {
            found.as_mut_slice().reverse();
        }
        Ok(found)
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
