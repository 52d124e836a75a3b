//! One running operation for many callers.

mod flight;
mod joined;

use std::{fmt, future::Future, hash::Hash, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use dashmap::{DashMap, Entry};
use futures_util::{
    FutureExt,
    future::{Either, select},
};

pub(crate) use self::flight::Landing;
pub use self::joined::Joined;
use self::{flight::Flight, joined::join};
use crate::error::{Error, ErrorKind, Result};

/// Lets concurrent callers for a key share one running operation.
///
/// The operation is a task of its own: the caller that started it may be dropped and the others still get the value.
/// When it ends, its key is free again; nothing is kept. A panic is an error of kind
/// [`LoadPanicked`](ErrorKind::LoadPanicked) for everybody who waits, and the next caller starts anew. Clones share
/// their flights.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::Coalesce;
///
/// let squares: Coalesce<u32, u32> = Coalesce::new();
/// let (a, b) = tokio::join!(squares.run(7, || async { 49 }), squares.run(7, || async { unreachable!() }));
/// assert_eq!((a?, b?), (49, 49));
/// assert!(squares.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Coalesce<K, V> {
    flights: Arc<Flights<K, V>>,
}

type Flights<K, V> = DashMap<K, Flight<V>, foldhash::fast::RandomState>;

impl<K, V> Coalesce<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Creates one without flights.
    pub fn new() -> Self {
        Self { flights: Arc::default() }
    }

    /// Joins the operation that runs for `key`, or starts this one.
    ///
    /// The lookup and the start are one step. The operation begins at once, whether or not the result is awaited.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when there is an operation to start.
    ///
    /// # Cancellation
    /// Dropping the result cancels nothing: the operation goes on for the others and ends by itself. To stop one that
    /// nobody wants any more, call [`Joined::abandon`].
    pub fn run<F, O>(&self, key: K, operation: O) -> Joined<V>
    where
        F: Future<Output = V> + Send + 'static,
        O: FnOnce() -> F + Send + 'static,
    {
        let (landing, joined) = match self.flights.entry(key.clone()) {
            Entry::Occupied(entry) => return join(entry.get()),
            Entry::Vacant(entry) => {
                let (landing, flight) = Landing::open(Arc::clone(&self.flights), key, 0);
                let joined = join(&flight);
                entry.insert(flight);
                (landing, joined)
            }
        };
        // The closure runs inside the task, so that its panic is the flight's and not the caller's.
        tokio::spawn(fly(landing, async move { Ok(operation().await) }));
        joined
    }

    /// Joins the operation that runs for `key`, if there is one.
    pub fn join(&self, key: &K) -> Option<Joined<V>> {
        self.flights.get(key).map(|flight| join(&flight))
    }

    /// Lets the operation that runs for `key` go on for those who wait, and later callers start a new one.
    pub fn forget(&self, key: &K) {
        self.flights.remove(key);
    }

    /// Returns how many operations are running that can be joined.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Returns whether no operation is running that can be joined.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Joins the flight of `key` if it is the one with this id.
    pub(crate) fn join_as(&self, key: &K, id: u64) -> Option<Joined<V>> {
        self.flights.get(key).filter(|flight| flight.id == id).map(|flight| join(&flight))
    }

    /// Registers a flight under an id of the caller's; one with another id is forgotten.
    pub(crate) fn open_as(&self, key: K, id: u64) -> Opened<K, V> {
        match self.flights.entry(key.clone()) {
            Entry::Occupied(entry) if entry.get().id == id => Opened::Joined(join(entry.get())),
            entry => {
                let (landing, flight) = Landing::open(Arc::clone(&self.flights), key, id);
                let joined = join(&flight);
                entry.insert(flight);
                Opened::Leads(landing, joined)
            }
        }
    }

    /// Forgets the flight of `key` if it is the one with this id.
    pub(crate) fn forget_as(&self, key: &K, id: u64) {
        self.flights.remove_if(key, |_, flight| flight.id == id);
    }

    /// Forgets the flights that `keep` does not keep.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, u64) -> bool) {
        self.flights.retain(|key, flight| keep(key, flight.id));
    }
}

/// What [`Coalesce::open_as`] gives.
pub(crate) enum Opened<K: Eq + Hash, V> {
    /// There is such a flight.
    Joined(Joined<V>),
    /// The caller is to land a new one.
    Leads(Landing<K, V>, Joined<V>),
}

/// Runs an operation to its end, its panic or its abandonment, and lands it.
pub(crate) async fn fly<K, V>(landing: Landing<K, V>, operation: impl Future<Output = Result<V>>)
where
    K: Eq + Hash,
    V: Clone,
{
    let operation = pin!(AssertUnwindSafe(operation).catch_unwind());
    let outcome = match select(operation, pin!(landing.abandoned())).await {
        Either::Left((Ok(outcome), _)) => outcome,
        Either::Left((Err(_), _)) => Err(Error::new(ErrorKind::LoadPanicked, "the operation panicked")),
        Either::Right(((), _)) => Err(Error::new(ErrorKind::Timeout, "everybody gave up waiting for the operation")),
    };
    landing.land(outcome);
}

impl<K, V> Clone for Coalesce<K, V> {
    fn clone(&self) -> Self {
        Self { flights: Arc::clone(&self.flights) }
    }
}

impl<K, V> Default for Coalesce<K, V>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for Coalesce<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V> fmt::Debug for Landing<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Landing").finish_non_exhaustive()
    }
}

/// The result of an operation, as everybody who waits for it gets it.
type Landed<V> = Option<Result<V>>;

#[cfg(test)]
mod tests;
