//! What a node answers.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Entry, Error, Lookup, OneOrMany, Response, Result, Sequence};

use super::RegistryRecord;

/// What a node answers to a [`Call`](super::Call).
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It was done, and there is nothing to say.
    Done,
    /// To a [`Run`](super::Call::Run).
    Ran {
        /// What the stack answered.
        response: Response,
        /// Which of its items may be kept as copies.
        hot: Vec<Hot>,
    },
    /// To a [`Fetch`](super::Call::Fetch), in the order asked.
    Fetched(OneOrMany<Result<Fetched>>),
    /// To a [`Peek`](super::Call::Peek) and to [`Copies`](super::Call::Copies), in the order asked.
    Peeked(Peeked),
    /// Done as far as could be told in time.
    Partial {
        /// How many have not confirmed.
        unacked: u32,
    },
    /// To [`Sequences`](super::Call::Sequences), in the order asked.
    Sequences(Vec<Sequence>),
    /// To a [`Registry`](super::Call::Registry): what the caller lacks or has older.
    Registry(Vec<RegistryRecord>),
    /// To a [`Gossip`](super::Call::Gossip).
    Gossip(Bytes),
    /// The one asked does not own all of it by its own table; nothing was done.
    WrongOwner {
        /// The epoch of its table.
        epoch: u64,
    },
    /// The one asked does not know the keyspace; nothing was done.
    NoKeyspace,
    /// It failed as a whole.
    Failed(Error),
}

impl Answer {
    /// Returns the answer's name, for spans and metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Ran { .. } => "ran",
            Self::Fetched(_) => "fetched",
            Self::Peeked(_) => "peeked",
            Self::Partial { .. } => "partial",
            Self::Sequences(_) => "sequences",
            Self::Registry(_) => "registry",
            Self::Gossip(_) => "gossip",
            Self::WrongOwner { .. } => "wrong_owner",
            Self::NoKeyspace => "no_keyspace",
            Self::Failed(_) => "failed",
        }
    }
}

/// The entries that are held, in the order asked.
pub(crate) type Peeked = OneOrMany<Option<Entry>>;

/// What became of one key of a fetch.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// What was found or loaded.
    pub(crate) lookup: Lookup,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// For how long the reader may keep a copy, if the key is hot; the owner has noted the reader as a holder.
    pub(crate) hot: Option<Duration>,
}

/// Where a fetched value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The owner held it.
    Held,
    /// The owner loaded it for this call.
    Loaded,
    /// The owner was loading it for another call.
    Shared,
}

/// An item that the reader may keep a copy of; the owner has noted it as a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hot {
    /// Which item of the answer, from zero.
    pub(crate) item: u32,
    /// For how long.
    pub(crate) lease: Duration,
}
