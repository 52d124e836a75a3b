//! What waits to be written: bounded, one entry a product.

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Counts, Settings};
use crate::database::Product;

/// The queue; shared by writers and the one who empties it.
pub(super) struct Queue {
    settings: Settings,
    state: Mutex<State>,
    /// A permit for each product that may come.
    room: Arc<Semaphore>,
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<String, Waiting>,
    /// The order in which they came; those that are being written are not in it.
    order: VecDeque<String>,
    counts: Counts,
    closed: bool,
}

struct Waiting {
    product: Product,
    /// Which write of the product this is: raised when a newer one takes its place.
    write: u64,
}

/// Room for one product; dropped, it is there for another.
pub(super) struct Room(OwnedSemaphorePermit);

/// One product of a batch, and which write of it.
#[derive(Clone)]
pub(super) struct Taken {
    pub(super) product: Product,
    write: u64,
}

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There was no room in time.
    Full,
    /// It was shut down.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many writes wait for the database",
            Self::Closed => "no more writes are taken",
        })
    }
}

impl Error for Refused {}

impl Queue {
    pub(super) fn new(settings: Settings) -> Self {
        let room = Arc::new(Semaphore::new(settings.capacity));
        Self { settings, state: Mutex::default(), room, changed: Notify::new() }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room. Dropping the future takes none.
    pub(super) async fn room(&self) -> Result<Room, Refused> {
        let permit = timeout(self.settings.patience, Arc::clone(&self.room).acquire_owned()).await;
        Ok(Room(permit.map_err(|_| Refused::Full)?.map_err(|_| Refused::Closed)?))
    }

    /// Puts a product in; gives it back if there is no room, none was brought, and no older one waits.
    pub(super) fn put(&self, product: Product, room: Option<Room>) -> Result<Option<Product>, Refused> {
        let mut state = self.lock();
        // Room that is not needed goes back.
        let Some(product) = state.merge(product)? else { return Ok(None) };
        let room = room.map(|room| room.0).or_else(|| Arc::clone(&self.room).try_acquire_owned().ok());
        let Some(room) = room else { return Ok(Some(product)) };
        room.forget();
        state.counts.taken += 1;
        state.order.push_back(product.id.clone());
        state.waiting.insert(product.id.clone(), Waiting { product, write: 0 });
        drop(state);
        self.changed.notify_one();
        Ok(None)
    }

    /// Returns the product that waits, or is being written.
    pub(super) fn waiting(&self, id: &str) -> Option<Product> {
        self.lock().waiting.get(id).map(|waiting| waiting.product.clone())
    }

    /// Takes the oldest products out of the order; they wait until it is told what became of them.
    pub(super) fn take(&self) -> Vec<Taken> {
        let mut state = self.lock();
        let mut batch = Vec::new();
        while batch.len() < self.settings.batch {
            let Some(id) = state.order.pop_front() else { break };
            let Some(waiting) = state.waiting.get(&id) else { continue };
            batch.push(Taken { product: waiting.product.clone(), write: waiting.write });
        }
        batch
    }

    /// Lets go what was written; what was written again meanwhile waits on.
    pub(super) fn written(&self, batch: &[Taken]) {
        let mut state = self.lock();
        state.counts.written += batch.len();
        self.room.add_permits(state.settle(batch));
    }

    /// Gives a batch up; what was written again meanwhile waits on.
    pub(super) fn give_up(&self, batch: &[Taken]) {
        let mut state = self.lock();
        let gone = state.settle(batch);
        state.counts.lost += gone;
        self.room.add_permits(gone);
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().order.is_empty()
    }

    /// Counts as lost what nobody will write any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.counts.lost += state.waiting.len();
        state.waiting.clear();
        state.order.clear();
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts { waiting: state.waiting.len(), ..state.counts }
    }
}

impl State {
    /// Puts a product in the place of one that waits; gives it back if none does.
    fn merge(&mut self, product: Product) -> Result<Option<Product>, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let Some(waiting) = self.waiting.get_mut(&product.id) else { return Ok(Some(product)) };
        waiting.write += 1;
        waiting.product = product;
        self.counts.taken += 1;
        self.counts.merged += 1;
        Ok(None)
    }

    /// Ends the wait of a batch, but for what was written again meanwhile; returns how many went.
    fn settle(&mut self, batch: &[Taken]) -> usize {
        let mut gone = 0;
        for Taken { product, write } in batch {
            match self.waiting.get(&product.id) {
                Some(waiting) if waiting.write == *write => {
                    self.waiting.remove(&product.id);
                    gone += 1;
                }
                Some(_) => self.order.push_back(product.id.clone()),
                None => {}
            }
        }
        gone
    }
}
