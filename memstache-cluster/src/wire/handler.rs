//! The two ends of a call.

use std::{net::SocketAddr, sync::Arc};

use memstache_core::{BoxFuture, Result};

use super::{Answer, Call, CallContext};
use crate::member::{Incarnation, Member, NodeId};

/// Who is at the other end of a connection, as its handshake proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerInfo {
    /// Which node.
    pub(crate) id: NodeId,
    /// Which life of it.
    pub(crate) incarnation: Incarnation,
    /// The version of the protocol that both speak.
    pub(crate) protocol: u8,
    /// Where the connection came from.
    pub(crate) remote: Option<SocketAddr>,
}

/// Answers calls.
///
/// The future may be dropped at any await: the caller left, or its deadline passed. It is first polled on the task that
/// reads the connection, so that what is answered at once costs no task: whatever takes long awaits.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one call.
    fn handle(&self, from: &Arc<PeerInfo>, call: Call, context: CallContext) -> BoxFuture<'static, Answer>;
}

/// Makes calls.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Makes one call; it ends at the context's deadline at the latest.
    ///
    /// Errors: `Timeout` when the deadline passed, `Unknown` if it may have had an effect; `Unavailable` without effect when
    /// the member cannot be reached or its breaker is open; `TooLarge` for what fits no frame; `Protocol`.
    ///
    /// # Cancellation
    /// A call that is dropped is cancelled at the other end too, as far as it has not ended.
    fn call(&self, to: &Member, call: Call, context: CallContext) -> BoxFuture<'static, Result<Answer>>;
}
