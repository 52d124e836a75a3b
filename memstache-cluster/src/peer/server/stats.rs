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

/// What became of the connections that peers, and others, made to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections taken.
    pub accepted: u64,
    /// Failures to take one.
    pub accept_errors: u64,
    /// Connections that ended before they were ready: TLS that failed, bytes that are no handshake.
    pub handshakes_failed: u64,
    /// Connections that were not ready in time.
    pub handshakes_late: u64,
    /// Connections that were not ready yet when too many others came.
    pub handshakes_evicted: u64,
    /// Diallers of another cluster.
    pub wrong_cluster: u64,
    /// Diallers without a secret of ours, or without a proof.
    pub wrong_secret: u64,
    /// Diallers that speak another version.
    pub wrong_protocol: u64,
    /// Connections of this node to itself.
    pub from_self: u64,
    /// Diallers that were refused for another reason.
    pub refused_otherwise: u64,
    /// Connections that are open.
    pub open: u64,
    /// Connections that were closed for what came.
    pub bad_frames: u64,
    /// Connections that were closed because a frame did not get on, in or out.
    pub slow: u64,
    /// Connections that were closed because nothing came.
    pub idle: u64,
    /// Calls taken.
    pub calls: u64,
    /// Calls that the caller gave up.
    pub cancelled: u64,
    /// Calls whose deadline passed here.
    pub late: u64,
    /// Calls whose handler panicked.
    pub panics: u64,
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
