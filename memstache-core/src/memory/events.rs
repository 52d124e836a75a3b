//! The coherence stream of a memory store.

use std::sync::OnceLock;

use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    address::Address,
    coherence::{Invalidation, InvalidationStream},
    request::Target,
    version::Sequence,
};

/// Tells subscribers what changes; costs a load where there are none.
#[derive(Debug)]
pub(crate) struct Events {
    /// Made by the first subscriber: the channel's memory is taken at once.
    channel: OnceLock<broadcast::Sender<Invalidation>>,
    capacity: usize,
}

impl Events {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { channel: OnceLock::new(), capacity }
    }

    /// Tells that an entry changed or went.
    pub(crate) fn changed(&self, address: impl FnOnce() -> Address) {
        self.send(|| Invalidation::Address(address()));
    }

    /// Tells of an invalidation.
    pub(crate) fn invalidated(&self, target: &Target, sequence: Sequence) {
        self.send(|| match target.clone() {
            Target::Tag(space, tag) => Invalidation::Tag(space, tag, sequence),
            Target::Space(space) => Invalidation::Space(space, sequence),
            Target::Tenant(tenant) => Invalidation::Tenant(tenant, sequence),
        });
    }

    /// Tells that everything was hidden.
    pub(crate) fn cleared(&self) {
        self.send(|| Invalidation::Gap);
    }

    fn send(&self, event: impl FnOnce() -> Invalidation) {
        if let Some(channel) = self.channel.get().filter(|channel| channel.receiver_count() > 0) {
            // An error means that the last subscriber has just left.
            let _ = channel.send(event());
        }
    }

    pub(crate) fn subscribe(&self) -> InvalidationStream {
        let channel = self.channel.get_or_init(|| broadcast::Sender::new(self.capacity));
        InvalidationStream::new(stream::unfold(channel.subscribe(), |mut events| async move {
            let event = match events.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => Invalidation::Gap,
                Err(RecvError::Closed) => return None,
            };
            Some((event, events))
        }))
    }
}
