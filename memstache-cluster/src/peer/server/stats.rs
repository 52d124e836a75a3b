//! What a server counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::peer::handshake::Refusal;

/// What a server counts; shared by its connections.
#[derive(Debug, Default)]
pub(in crate::peer) struct Counters {
    pub(super) accepted: Counter,
    pub(super) accept_errors: Counter,
    pub(super) handshakes_failed: Counter,
    pub(super) handshakes_late: Counter,
    pub(super) handshakes_evicted: Counter,
    pub(super) refused: [Counter; Refusal::ALL.len()],
    pub(super) open: Counter,
    pub(super) bad_frames: Counter,
    pub(super) slow: Counter,
    pub(super) idle: Counter,
    pub(super) calls: Counter,
    pub(super) cancelled: Counter,
    pub(super) late: Counter,
    pub(super) panics: Counter,
}

/// A number that only grows, or goes up and down.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn sub(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What a server has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct ServerStats {
    /// Connections taken.
    pub(crate) accepted: u64,
    /// Failures to take one.
    pub(crate) accept_errors: u64,
    /// Connections that ended before they were ready: TLS that failed, bytes that are no handshake.
    pub(crate) handshakes_failed: u64,
    /// Connections that were not ready in time.
    pub(crate) handshakes_late: u64,
    /// Connections that were not ready yet when too many others came.
    pub(crate) handshakes_evicted: u64,
    /// Diallers of another cluster.
    pub(crate) wrong_cluster: u64,
    /// Diallers without a secret of ours, or without a proof.
    pub(crate) wrong_secret: u64,
    /// Diallers that speak another version.
    pub(crate) wrong_protocol: u64,
    /// Connections of this node to itself.
    pub(crate) from_self: u64,
    /// Diallers that were refused for another reason.
    pub(crate) refused_otherwise: u64,
    /// Connections that are open.
    pub(crate) open: u64,
    /// Connections that were closed for what came.
    pub(crate) bad_frames: u64,
    /// Connections that were closed because a frame did not get on, in or out.
    pub(crate) slow: u64,
    /// Connections that were closed because nothing came.
    pub(crate) idle: u64,
    /// Calls taken.
    pub(crate) calls: u64,
    /// Calls that the caller gave up.
    pub(crate) cancelled: u64,
    /// Calls whose deadline passed here.
    pub(crate) late: u64,
    /// Calls whose handler panicked.
    pub(crate) panics: u64,
}

impl Counters {
    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[usize::from(refusal.code()) - 1].add();
    }

    pub(super) fn snapshot(&self) -> ServerStats {
        let refused = |refusal: Refusal| self.refused[usize::from(refusal.code()) - 1].get();
        let named = [Refusal::Cluster, Refusal::Secret, Refusal::Protocol, Refusal::Yourself];
        let others = Refusal::ALL.into_iter().filter(|refusal| !named.contains(refusal));
        ServerStats {
            accepted: self.accepted.get(),
            accept_errors: self.accept_errors.get(),
            handshakes_failed: self.handshakes_failed.get(),
            handshakes_late: self.handshakes_late.get(),
            handshakes_evicted: self.handshakes_evicted.get(),
            wrong_cluster: refused(Refusal::Cluster),
            wrong_secret: refused(Refusal::Secret),
            wrong_protocol: refused(Refusal::Protocol),
            from_self: refused(Refusal::Yourself),
            refused_otherwise: others.map(refused).sum(),
            open: self.open.get(),
            bad_frames: self.bad_frames.get(),
            slow: self.slow.get(),
            idle: self.idle.get(),
            calls: self.calls.get(),
            cancelled: self.cancelled.get(),
            late: self.late.get(),
            panics: self.panics.get(),
        }
    }
}
