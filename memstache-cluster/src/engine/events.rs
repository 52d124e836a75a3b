//! What happens in the cluster, told to whoever listens.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use memstache_core::{KeyspaceName, resilience::BreakerState};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::member::{Member, NodeId};

/// Events that one listener may be behind.
const CAPACITY: usize = 1024;

/// Something that happened in the cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineEvent {
    /// A member is there; told of each one that is there already when somebody begins to listen.
    PeerJoined(Member),
    /// A member left, or was declared dead.
    PeerLeft(Member),
    /// A member changed its state, its address or its life.
    PeerUpdated(Member),
    /// The breaker of a peer has changed: what calls to it do from now on.
    PeerBreaker {
        /// Whose.
        peer: NodeId,
        /// To what.
        state: BreakerState,
    },
    /// The breaker of a keyspace's source on this node has changed.
    SourceBreaker {
        /// Whose.
        keyspace: KeyspaceName,
        /// To what.
        state: BreakerState,
    },
    /// The limiter of a keyspace's source on this node began to refuse loads, or let the first one pass after it had refused none for
    /// a second.
    SourceLimiter {
        /// Whose.
        keyspace: KeyspaceName,
        /// Whether it refuses.
        refuses: bool,
    },
    /// A keyspace changed, by this node or another; its `Debug` form does not show the name.
    KeySpace {
        /// Which.
        keyspace: KeyspaceName,
        /// What became of it here.
        change: KeySpaceChange,
    },
}

/// What became of a keyspace on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySpaceChange {
    /// It is served here from now on.
    Created,
    /// It has other settings from now on.
    Updated,
    /// It is gone, with all that it held.
    Deleted,
    /// Everything that it held was hidden.
    Flushed,
    /// The cluster has it, and this node cannot serve it: it needs a source and was given none here, or has settings that this
    /// build refuses. [`Engine::create_keyspace`](crate::Engine::create_keyspace) with a source mends the former.
    Undefined,
    /// Nodes define one version of it with different settings; all use the same ones nonetheless.
    Conflict,
}

/// A listener's events, in order; it ends when the engine stops.
///
/// Nobody waits for a listener: one that falls 1,024 events behind misses those that come then, and is told how many by
/// [`dropped`](Self::dropped).
pub struct Events {
    events: mpsc::Receiver<EngineEvent>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// Returns how many events were missed so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits for the next event; `None` once the engine has stopped.
    ///
    /// # Cancellation
    /// No event is lost.
    pub async fn next(&mut self) -> Option<EngineEvent> {
        self.events.recv().await
    }
}

impl Stream for Events {
    type Item = EngineEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        self.events.poll_recv(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

/// Tells everybody who listens.
#[derive(Debug, Default)]
pub(crate) struct EventBus(Mutex<Listeners>);

#[derive(Debug, Default)]
struct Listeners {
    closed: bool,
    all: Vec<(mpsc::Sender<EngineEvent>, Arc<AtomicU64>)>,
}

impl EventBus {
    /// Adds a listener, who is told first of what is there.
    pub(crate) fn subscribe(&self, there: impl FnOnce() -> Vec<Member>) -> Events {
        let (sender, events) = mpsc::channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut listeners = self.0.lock();
        if !listeners.closed {
            // Under the lock: what comes meanwhile is told after it.
            there().into_iter().for_each(|member| tell(&sender, &dropped, EngineEvent::PeerJoined(member)));
            listeners.all.retain(|(sender, _)| !sender.is_closed());
            listeners.all.push((sender, Arc::clone(&dropped)));
        }
        Events { events, dropped }
    }

    /// Tells an event; never waits.
    pub(crate) fn tell(&self, event: &EngineEvent) {
        for (sender, dropped) in &self.0.lock().all {
            tell(sender, dropped, event.clone());
        }
    }

    /// Ends all listeners' events, and those of whoever comes later.
    pub(crate) fn close(&self) {
        let mut listeners = self.0.lock();
        listeners.closed = true;
        listeners.all.clear();
    }
}

fn tell(sender: &mpsc::Sender<EngineEvent>, dropped: &AtomicU64, event: EngineEvent) {
    if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(event) {
        dropped.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u16) -> Member {
        Member::at(([10, 0, 0, 1], n).into())
    }

    #[tokio::test]
    async fn nobody_waits_for_a_listener_that_is_behind() {
        let bus = EventBus::default();
        let mut slow = bus.subscribe(|| vec![member(1)]);
        drop(bus.subscribe(Vec::new));
        for n in 0..2000 {
            bus.tell(&EngineEvent::PeerLeft(member(n)));
        }
        let mut prompt = bus.subscribe(Vec::new);
        assert_eq!(bus.0.lock().all.len(), 2, "who left is forgotten");
        bus.tell(&EngineEvent::PeerLeft(member(3)));
        assert_eq!((slow.dropped(), prompt.dropped()), (978, 0));
        bus.close();
        assert_eq!(prompt.next().await, Some(EngineEvent::PeerLeft(member(3))));
        assert_eq!(prompt.next().await, None);
        assert_eq!(slow.next().await, Some(EngineEvent::PeerJoined(member(1))));
        let mut count = 1;
        while slow.next().await.is_some() {
            count += 1;
        }
        assert_eq!(count, CAPACITY);
    }
}
