//! Where a near cache learns what has changed below it.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{
    address::{Address, Space},
    name::{Tag, TenantId},
    version::Sequence,
};

/// One change below a near cache.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// This entry changed or went.
    Address(Address),
    /// The entry with this stored key changed or went: all that a remote store can tell.
    Stored(Arc<[u8]>),
    /// A tag of a space was invalidated.
    Tag(Space, Tag, Sequence),
    /// A space was cleared.
    Space(Space, Sequence),
    /// All of a tenant's spaces were cleared.
    Tenant(TenantId, Sequence),
    /// Changes were missed; nothing that is held can be trusted.
    Gap,
    /// The line to the authority is cut: from here on copies are unverified.
    Lost,
    /// The line is back and nothing was missed: what is held is verified again.
    Restored,
}

impl fmt::Debug for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.debug_tuple("Address").field(address).finish(),
            // A stored key may say tenant and name.
            Self::Stored(stored) => write!(f, "Stored({} bytes)", stored.len()),
            Self::Tag(space, tag, sequence) => f.debug_tuple("Tag").field(space).field(tag).field(sequence).finish(),
            Self::Space(space, sequence) => f.debug_tuple("Space").field(space).field(sequence).finish(),
            Self::Tenant(tenant, sequence) => f.debug_tuple("Tenant").field(tenant).field(sequence).finish(),
            Self::Gap => f.write_str("Gap"),
            Self::Lost => f.write_str("Lost"),
            Self::Restored => f.write_str("Restored"),
        }
    }
}

/// A subscriber's view of the changes, in order. Its end means that the authority is gone.
pub struct InvalidationStream(Pin<Box<dyn Stream<Item = Invalidation> + Send>>);

impl InvalidationStream {
    /// Wraps any stream of changes.
    pub fn new(stream: impl Stream<Item = Invalidation> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl fmt::Debug for InvalidationStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidationStream").finish_non_exhaustive()
    }
}

impl Stream for InvalidationStream {
    type Item = Invalidation;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Invalidation>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// A leaf that tells what changes in it.
///
/// Told are: [`Address`](Invalidation::Address) (or [`Stored`](Invalidation::Stored)) after every write, removal and new
/// lifetime of an entry, and each invalidation with its sequence. Expiry and eviction need not be told. Sequences of a
/// space and of its tenant are compared with each other: where each space has a line of its own, a tenant's clear is told
/// as one clear of each of its spaces.
///
/// ```
/// use futures_util::stream;
/// use memstache_core::{Coherence, Invalidation, InvalidationStream};
/// use tokio::sync::broadcast::{Sender, error::RecvError};
///
/// struct Leaf {
///     changes: Sender<Invalidation>,
/// }
///
/// impl Coherence for Leaf {
///     fn subscribe(&self) -> InvalidationStream {
///         InvalidationStream::new(stream::unfold(self.changes.subscribe(), |mut changes| async move {
///             match changes.recv().await {
///                 Ok(change) => Some((change, changes)),
///                 Err(RecvError::Lagged(_)) => Some((Invalidation::Gap, changes)),
///                 Err(RecvError::Closed) => None,
///             }
///         }))
///     }
/// }
/// ```
///
/// The stream is ordered and bounded: a subscriber that falls behind gets [`Invalidation::Gap`] instead of what it
/// missed. A change is sent before the call that made it returns, and may be received later.
pub trait Coherence {
    /// Subscribes; every change made after this returns is seen.
    fn subscribe(&self) -> InvalidationStream;
}
