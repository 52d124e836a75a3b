//! The keyspaces of a node.

use std::{collections::BTreeMap, future::pending, sync::Arc};

use arc_swap::ArcSwapOption;
use futures_util::stream::{self, StreamExt as _};
use memstache_core::{Coherence as _, Invalidation, InvalidationStream, KeyspaceName, Result};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::EngineError;
use crate::{
    keyspace::KeySpace,
    owner::{Local, Surroundings},
};

/// Most keyspaces that a node knows, those that were deleted included.
const MOST_KEYSPACES: usize = 1024;

/// Where a keyspace is found, as long as the engine lives: empty while there is none of the name.
///
/// Whoever has it sees every update at once, without a lock.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: KeyspaceName,
    current: ArcSwapOption<Local>,
    /// Told after every change of the keyspace.
    changed: watch::Sender<()>,
}

impl Slot {
    fn new(name: KeyspaceName) -> Self {
        Self { name, current: ArcSwapOption::empty(), changed: watch::Sender::new(()) }
    }

    fn set(&self, local: Option<Arc<Local>>) -> Option<Arc<Local>> {
        let old = self.current.swap(local);
        self.changed.send_replace(());
        old
    }

    /// Returns the keyspace as it is now.
    pub(crate) fn current(&self) -> Result<Arc<Local>> {
        self.current.load_full().ok_or_else(|| EngineError::KeyspaceNotFound.into())
    }

    /// Returns whether what was written to `local` is what is read now.
    pub(crate) fn still_has(&self, local: &Local) -> bool {
        self.current.load().as_ref().is_some_and(|now| now.generation == local.generation)
    }
}

impl Slot {
    /// Tells what changes in the keyspace on this node; a gap where another store took its place.
    pub(crate) fn changes(self: &Arc<Self>) -> InvalidationStream {
        let changed = self.changed.subscribe();
        let stream = self.current.load().as_ref().map(|local| (local.generation, local.store.subscribe()));
        let following = Following { slot: Arc::clone(self), changed, stream };
        InvalidationStream::new(stream::unfold(following, Following::next))
    }
}

/// A subscriber's view of a keyspace over its updates.
struct Following {
    slot: Arc<Slot>,
    changed: watch::Receiver<()>,
    stream: Option<(u64, InvalidationStream)>,
}

impl Following {
    async fn next(mut self) -> Option<(Invalidation, Self)> {
        loop {
            let next = async {
                match &mut self.stream {
                    Some((_, stream)) => stream.next().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(change) = next => return Some((change, self)),
                Ok(()) = self.changed.changed() => {}
                else => return None,
            }
            let now = self.slot.current.load_full();
            let generation = |stream: &(u64, InvalidationStream)| stream.0;
            if self.stream.as_ref().map(generation) != now.as_ref().map(|local| local.generation) {
                self.stream = now.map(|local| (local.generation, local.store.subscribe()));
                return Some((Invalidation::Gap, self));
            }
        }
    }
}

/// The keyspaces of a node, by name.
pub(crate) struct Registry {
    slots: RwLock<BTreeMap<Box<str>, Arc<Slot>>>,
    /// Keeps changes in one order.
    changes: Mutex<()>,
    around: Surroundings,
}

impl Registry {
    pub(crate) fn new(around: Surroundings) -> Self {
        Self { slots: RwLock::default(), changes: Mutex::new(()), around }
    }

    /// Finds a keyspace.
    pub(crate) fn slot(&self, name: &str) -> Result<Arc<Slot>> {
        self.slots.read().get(name).cloned().ok_or_else(|| EngineError::KeyspaceNotFound.into())
    }

    /// Returns the keyspaces that there are, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Local>> {
        self.slots.read().values().filter_map(|slot| slot.current.load_full()).collect()
    }

    /// Adds a keyspace.
    pub(crate) fn create(&self, spec: KeySpace) -> Result<Arc<Local>> {
        let _order = self.changes.lock();
        let slot = self.place(&spec)?;
        if slot.current.load().is_some() {
            return Err(EngineError::KeyspaceExists.into());
        }
        self.put(&slot, spec, None)
    }

    /// Puts a keyspace in the place of the one of its name; requests under way end on the old one.
    pub(crate) fn update(&self, spec: KeySpace) -> Result<Arc<Local>> {
        let _order = self.changes.lock();
        let slot = self.slot(spec.name().as_str())?;
        let old = slot.current()?;
        self.put(&slot, spec, Some(&old))
    }

    /// Takes a keyspace out, with all that it holds.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let _order = self.changes.lock();
        let slot = self.slot(name)?;
        slot.set(None).map(drop).ok_or_else(|| EngineError::KeyspaceNotFound.into())
    }

    fn put(&self, slot: &Slot, spec: KeySpace, old: Option<&Local>) -> Result<Arc<Local>> {
        let local = Arc::new(Local::new(spec, &self.around, old)?);
        slot.set(Some(Arc::clone(&local)));
        Ok(local)
    }

    fn place(&self, spec: &KeySpace) -> Result<Arc<Slot>> {
        let mut slots = self.slots.write();
        if !slots.contains_key(spec.name().as_str()) && slots.len() >= MOST_KEYSPACES {
            return Err(EngineError::TooManyKeyspaces.into());
        }
        let new = || Arc::new(Slot::new(spec.name().clone()));
        Ok(Arc::clone(slots.entry(spec.name().as_str().into()).or_insert_with(new)))
    }
}
