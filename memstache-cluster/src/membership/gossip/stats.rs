//! What came and went.

use super::seal::Dropped;

/// What a node's gossip did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GossipStats {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams that were taken.
    pub received: u64,
    /// The bytes of all that came.
    pub received_bytes: u64,
    /// Dropped: too short, of an unknown version, or not what the protocol says.
    pub malformed: u64,
    /// Dropped: of another cluster.
    pub wrong_cluster: u64,
    /// Dropped: not sealed by a secret of this cluster, or changed on the way.
    pub unauthentic: u64,
    /// Dropped: seen before, or too late to tell.
    pub replayed: u64,
    /// Dropped: of an earlier life of their senders.
    pub stale: u64,
    /// Dropped: of somebody else by the name of this node.
    pub namesakes: u64,
    /// Dropped: of nodes that would be more than there may be.
    pub overfull: u64,
    /// Lists of members that other nodes' streams brought.
    pub lists: u64,
    /// Members that were declared dead.
    pub lost: u64,
    /// How often this node was taken for dead, and came back.
    pub rejoined: u64,
    /// How often timers were put off because this process had not run.
    pub pauses: u64,
    /// How often discovery said where to ask who is there.
    pub discoveries: u64,
    /// How often it failed to, or to take note of this node.
    pub discovery_failures: u64,
}

impl GossipStats {
    pub(super) fn drop(&mut self, why: Dropped) {
        *match why {
            Dropped::Malformed => &mut self.malformed,
            Dropped::WrongCluster => &mut self.wrong_cluster,
            Dropped::Unauthentic => &mut self.unauthentic,
            Dropped::Replayed => &mut self.replayed,
            Dropped::Stale => &mut self.stale,
            // A seed that is this node itself: nothing is wrong.
            Dropped::Own => return,
        } += 1;
    }

    /// Returns how many datagrams were dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.malformed
            + self.wrong_cluster
            + self.unauthentic
            + self.replayed
            + self.stale
            + self.namesakes
            + self.overfull
    }
}
