//! The changes of a store as a bounded stream.

use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::coherence::{Invalidation, InvalidationStream};

/// Turns a receiver that fell behind into a gap.
pub(super) fn changes(receiver: Receiver<Invalidation>) -> InvalidationStream {
    InvalidationStream::new(stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(change) => Some((change, receiver)),
            Err(RecvError::Lagged(_)) => Some((Invalidation::Gap, receiver)),
            Err(RecvError::Closed) => None,
        }
    }))
}
