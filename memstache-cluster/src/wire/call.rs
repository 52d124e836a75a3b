//! What one node asks another.

use std::{fmt, time::Duration};

use bytes::Bytes;
use memstache_core::{Address, Consistency, Entry, KeyspaceName, OneOrMany, Request, Sequence, Space, Target};

use crate::member::{Incarnation, NodeId};

/// Most keyspaces that one call or answer tells of, deleted ones included.
pub(crate) const MAX_RECORDS: usize = 2048;

/// What one node asks another.
///
/// Deadlines are no part of it: they are in the [`CallContext`](super::CallContext), and a request's own is set to it.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "most calls are of the large one")]
pub(crate) enum Call {
    /// Are you there?
    Ping,
    /// Any request of a stack, run by the owner on the keyspace's stack.
    Run {
        /// On whose stack.
        keyspace: KeyspaceName,
        /// What; its deadline becomes the call's.
        request: Request,
    },
    /// What the owner holds, or loads from its source.
    Fetch {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// What.
        items: OneOrMany<Address>,
        /// From whom it may be answered.
        consistency: Consistency,
        /// How long ago the answer may have been confirmed.
        max_staleness: Option<Duration>,
    },
    /// What do you hold? Never loads, never leases: the new owner asks the previous one.
    Peek {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// What.
        items: OneOrMany<Address>,
    },
    /// Keep copies of these as they are now, as a replica of their owner; of those that it does not hold any more, none.
    Push {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// Which push of the caller it is; greater is later.
        stamp: u64,
        /// What.
        items: Vec<(Address, Option<Entry>)>,
    },
    /// What copies do you keep? Answered by one who sees the same members as the caller.
    Copies {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// Of what.
        items: OneOrMany<Address>,
    },
    /// Drop what you held of these as their owner, then confirm.
    Revoke {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// Of what.
        items: OneOrMany<Address>,
    },
    /// Drop your copies of these that I gave you, then confirm.
    Recall {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// How many such calls the owner has sent to this node, this one included.
        number: u64,
        /// Of what.
        items: OneOrMany<Address>,
    },
    /// What has changed after this change of your log? Answered when there is something, or after a while.
    Follow {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// Which log; zero before the first answer.
        log: u64,
        /// The number of the last change that is known.
        after: u64,
    },
    /// Remove these, and do not wait for copies to be dropped.
    Forget {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// What.
        items: OneOrMany<Address>,
    },
    /// So often copies of these were read that I had from you.
    Seen {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// What, and how often.
        items: Vec<(Address, u32)>,
    },
    /// Invalidations, under the numbers that their home gave.
    Spread {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// What, and under which number.
        items: Vec<(Target, Sequence)>,
    },
    /// What are the highest sequences that you know of these spaces?
    Sequences {
        /// Of which keyspace.
        keyspace: KeyspaceName,
        /// Of which spaces.
        spaces: Vec<Space>,
    },
    /// I own partitions of yours since this epoch: acknowledge no more writes of them.
    TakeOver {
        /// The epoch of the table by which the caller owns them.
        epoch: u64,
        /// How many splits the caller has come back from in this life: others may have owned what it owned, and it what they did.
        splits: u64,
    },
    /// Keyspaces that the caller knows.
    Registry {
        /// The digest of all that the caller knows: if the one asked knows something else, it answers with all of it.
        digest: Option<u64>,
        /// What the one asked is told.
        records: Vec<RegistryRecord>,
    },
    /// Hide everything of a keyspace from before this number; zero asks the home of the keyspace to find one and to spread it.
    Flush {
        /// Which keyspace.
        keyspace: KeyspaceName,
        /// The number that its home gave.
        at: Sequence,
    },
    /// A part of the gossip that is too large for a datagram.
    Gossip(Bytes),
}

impl Call {
    /// Returns the call's name, for spans and metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Run { .. } => "run",
            Self::Fetch { .. } => "fetch",
            Self::Peek { .. } => "peek",
            Self::Push { .. } => "push",
            Self::Copies { .. } => "copies",
            Self::Revoke { .. } => "revoke",
            Self::Recall { .. } => "recall",
            Self::Seen { .. } => "seen",
            Self::Forget { .. } => "forget",
            Self::Follow { .. } => "follow",
            Self::Spread { .. } => "spread",
            Self::Sequences { .. } => "sequences",
            Self::TakeOver { .. } => "take_over",
            Self::Registry { .. } => "registry",
            Self::Flush { .. } => "flush",
            Self::Gossip(_) => "gossip",
        }
    }

    /// Returns whether it may have done something when it is cut off.
    pub(crate) fn may_have_effect(&self) -> bool {
        match self {
            Self::Run { request, .. } => !request.is_read(),
            Self::Push { .. }
            | Self::Revoke { .. }
            | Self::Recall { .. }
            | Self::Forget { .. }
            | Self::Spread { .. }
            | Self::TakeOver { .. }
            | Self::Registry { .. }
            | Self::Flush { .. } => true,
            Self::Ping
            | Self::Fetch { .. }
            | Self::Peek { .. }
            | Self::Copies { .. }
            | Self::Seen { .. }
            | Self::Follow { .. }
            | Self::Sequences { .. }
            | Self::Gossip(_) => false,
        }
    }
}

/// What is known of one keyspace, as it travels: what its definition says is the engine's business.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RegistryRecord {
    /// Which keyspace.
    pub(crate) keyspace: KeyspaceName,
    /// Which state of it; greater is later.
    pub(crate) version: u64,
    /// Which life of the node that brought it into this state.
    pub(crate) life: Incarnation,
    /// Who brought it into this state.
    pub(crate) by: NodeId,
    /// Who created it.
    pub(crate) created_by: NodeId,
    /// Under which number everything of it was hidden for the last time.
    pub(crate) flushed: Sequence,
    /// How it is defined; `None` once it was deleted.
    pub(crate) body: Option<Bytes>,
}

impl RegistryRecord {
    /// Returns whether the other record says something that who has this one should hear: also another definition of the same
    /// version, whichever wins.
    pub(crate) fn lacks(&self, other: &Self) -> bool {
        self.version < other.version
            || self.version == other.version && self.body != other.body
            || self.flushed < other.flushed
    }
}

impl fmt::Debug for RegistryRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryRecord")
            .field("version", &self.version)
            .field("by", &self.by)
            .field("len", &self.body.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}
