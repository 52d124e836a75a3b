//! Where a keyspace of a node is found.

use std::{future::pending, sync::Arc};

use arc_swap::ArcSwapOption;
use futures_util::stream::{self, StreamExt as _};
use memstache_core::{Coherence as _, Invalidation, InvalidationStream, KeyspaceName, Result};
use tokio::sync::watch;

use super::EngineError;
use crate::owner::Local;

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
    pub(super) fn new(name: KeyspaceName) -> Self {
        Self { name, current: ArcSwapOption::empty(), changed: watch::Sender::new(()) }
    }

    pub(super) fn set(&self, local: Option<Arc<Local>>) -> Option<Arc<Local>> {
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
