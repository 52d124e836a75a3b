//! Telling watchers what changed, in bounded memory.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Record, RecordKey, RecordPrefix};

/// How many events a store holds for the slowest watcher; with values of the default limit, 4 MiB.
const HELD: usize = 64;

/// One change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordEvent {
    /// A record was written.
    Put {
        /// Which.
        key: RecordKey,
        /// What it is now.
        record: Record,
    },
    /// A record was removed.
    Removed {
        /// Which.
        key: RecordKey,
        /// The store's sequence when it was seen to be gone: of the removal itself, or a later one.
        sequence: u64,
    },
    /// Changes were missed: list again.
    Gap,
}

impl RecordEvent {
    fn concerns(&self, prefix: &RecordPrefix) -> bool {
        match self {
            Self::Put { key, .. } | Self::Removed { key, .. } => prefix.covers(key),
            Self::Gap => true,
        }
    }
}

/// A watcher's view of the changes, in order. Its end means that the store is gone.
pub struct RecordStream(Pin<Box<dyn Stream<Item = RecordEvent> + Send>>);

impl RecordStream {
    /// Wraps any stream of changes.
    pub fn new(stream: impl Stream<Item = RecordEvent> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl fmt::Debug for RecordStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}

impl Stream for RecordStream {
    type Item = RecordEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RecordEvent>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// The store's end: keeps the last events for watchers that have not read them yet.
pub(super) struct Hub(broadcast::Sender<RecordEvent>);

impl Hub {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(HELD))
    }

    /// Call it under the lock that orders the changes.
    pub(super) fn publish(&self, event: RecordEvent) {
        // Fails only when nobody watches.
        let _ = self.0.send(event);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn subscribe(&self, prefix: &RecordPrefix) -> Watcher {
        Watcher { events: self.0.subscribe(), prefix: prefix.clone() }
    }
}

/// The watcher's end.
pub(super) struct Watcher {
    events: broadcast::Receiver<RecordEvent>,
    prefix: RecordPrefix,
}

impl Watcher {
    /// The next event of the prefix; `None` when the hub is gone. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<RecordEvent> {
        loop {
            match self.events.recv().await {
                Ok(event) if event.concerns(&self.prefix) => return Some(event),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Some(RecordEvent::Gap),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
