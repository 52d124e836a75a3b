//! An operation in the air: what the table holds, and what its runner holds.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, watch};

use super::{Flights, Landed};
use crate::error::Result;

/// What the table holds of a running operation.
pub(super) struct Flight<V> {
    pub(super) id: u64,
    pub(super) result: watch::Receiver<Landed<V>>,
    pub(super) waiting: Arc<Waiting>,
}

/// Who still wants the result.
#[derive(Default)]
pub(super) struct Waiting {
    callers: AtomicUsize,
    abandoned: Notify,
}

impl Waiting {
    pub(super) fn join(&self) {
        self.callers.fetch_add(1, Ordering::Relaxed);
    }

    /// Leaves; the last one to leave may stop the operation.
    pub(super) fn leave(&self, abandon: bool) {
        if self.callers.fetch_sub(1, Ordering::Relaxed) == 1 && abandon {
            self.abandoned.notify_one();
        }
    }

    fn is_over(&self) -> bool {
        self.callers.load(Ordering::Relaxed) == 0
    }
}

/// The duty to end a flight. Dropping it, by a panic or with its runtime, ends it as an error.
pub(crate) struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    result: watch::Sender<Landed<V>>,
    waiting: Arc<Waiting>,
}

impl<K: Eq + Hash, V> Landing<K, V> {
    pub(super) fn open(flights: Arc<Flights<K, V>>, key: K, id: u64) -> (Self, Flight<V>) {
        let (sender, result) = watch::channel(None);
        let waiting = Arc::<Waiting>::default();
        let flight = Flight { id, result, waiting: Arc::clone(&waiting) };
        (Self { flights, key, result: sender, waiting }, flight)
    }

    /// Gives everybody the result.
    pub(crate) fn land(self, result: Result<V>) {
        // The key is freed first: who asks from now on must not get a result from before.
        self.free();
        self.result.send_replace(Some(result));
    }

    /// Completes when the last caller has given up; from then on nobody can join.
    pub(crate) async fn abandoned(&self) {
        loop {
            self.waiting.abandoned.notified().await;
            // Joining happens under the table's lock: whoever was first there keeps the operation going.
            self.flights.remove_if(&self.key, |_, flight| self.owns(flight) && self.waiting.is_over());
            let joinable = self.flights.get(&self.key).is_some_and(|flight| self.owns(&flight));
            if !joinable && self.waiting.is_over() {
                return;
            }
        }
    }

    fn free(&self) {
        self.flights.remove_if(&self.key, |_, flight| self.owns(flight));
    }

    fn owns(&self, flight: &Flight<V>) -> bool {
        Arc::ptr_eq(&flight.waiting, &self.waiting)
    }
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.free();
    }
}
