//! Tells subscribers what the listeners heard.

use std::sync::Arc;

use futures_util::stream;
use memstache_core::{Invalidation, InvalidationStream};
use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

/// A bounded channel of changes, and whether the line is cut.
pub(super) struct Hub(Mutex<State>);

struct State {
    /// `None` once it is closed.
    channel: Option<broadcast::Sender<Invalidation>>,
    cut: bool,
}

impl Hub {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Mutex::new(State { channel: Some(broadcast::Sender::new(capacity)), cut: true }))
    }

    /// Tells a change to all subscribers.
    pub(super) fn tell(&self, change: Invalidation) {
        let mut state = self.0.lock();
        match change {
            Invalidation::Lost => state.cut = true,
            Invalidation::Gap => state.cut = false,
            _ => {}
        }
        if let Some(channel) = &state.channel {
            // Fails only when nobody listens.
            let _ = channel.send(change);
        }
    }

    /// Tells that what changed until now may have been missed, if anybody hears at all.
    pub(super) fn gap(&self) {
        let cut = self.0.lock().cut;
        if !cut {
            self.tell(Invalidation::Gap);
        }
    }

    /// Tells that nobody listens any more, if that is news.
    pub(super) fn lost(&self) {
        let cut = self.0.lock().cut;
        if !cut {
            self.tell(Invalidation::Lost);
        }
    }

    pub(super) fn subscribe(&self) -> InvalidationStream {
        let state = self.0.lock();
        let Some(channel) = &state.channel else { return InvalidationStream::new(stream::empty()) };
        let (events, first) = (channel.subscribe(), state.cut.then_some(Invalidation::Lost));
        InvalidationStream::new(stream::unfold((events, first), |(mut events, first)| async move {
            if let Some(first) = first {
                return Some((first, (events, None)));
            }
            let event = match events.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => Invalidation::Gap,
                Err(RecvError::Closed) => return None,
            };
            Some((event, (events, None)))
        }))
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.0.lock().channel = None;
    }
}

/// Makes the change of an entry of which only the stored key is known.
pub(super) fn changed(stored: &[u8]) -> Invalidation {
    Invalidation::Stored(Arc::from(stored))
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test]
    async fn who_subscribes_while_the_line_is_cut_is_told_first() {
        let hub = Hub::new(4);
        let mut early = hub.subscribe();
        assert_eq!(early.next().await, Some(Invalidation::Lost));
        hub.gap();
        assert!(early.next().now_or_never().is_none(), "nobody hears: there is nothing to make up for");
        hub.tell(Invalidation::Gap);
        assert_eq!(early.next().await, Some(Invalidation::Gap));
        let mut late = hub.subscribe();
        hub.tell(changed(b"k"));
        assert_eq!(late.next().await, Some(changed(b"k")));
        hub.close();
        assert_eq!(late.next().await, None);
        assert_eq!(hub.subscribe().next().await, None);
    }

    #[tokio::test]
    async fn who_falls_behind_gets_a_gap() {
        let hub = Hub::new(2);
        hub.tell(Invalidation::Gap);
        let mut slow = hub.subscribe();
        (0..5).for_each(|_| hub.tell(changed(b"k")));
        assert_eq!(slow.next().await, Some(Invalidation::Gap));
    }
}
