//! What a node answers.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Address, Entry, Error, ErrorKind, Lookup, OneOrMany, Response, Result, Sequence};

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
    /// Done as far as could be told in time; to a [`TakeOver`](super::Call::TakeOver): agreed, while some who left may still answer.
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
    /// To a [`Follow`](super::Call::Follow).
    Changes {
        /// Which log.
        log: u64,
        /// The number of the change before the first; another than was asked for if what came after that is not known any more.
        after: u64,
        /// Whose entries changed, in order.
        items: Vec<Address>,
    },
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
    /// Returns it without the values for which there is no room within so many bytes; in the place of each stands an error that
    /// [says so](is_left_out). `None` if it is not about several keys, or would still be too large.
    ///
    /// For reads of several keys: each has a result of its own.
    pub(crate) fn within(&self, max: usize) -> Option<Self> {
        /// More than what surrounds a value takes, and than the error in its place.
        const AROUND: usize = 320;
        fn room(lookup: &Lookup) -> usize {
            let (Lookup::Hit(entry) | Lookup::Stale(entry, _)) = lookup else { return 0 };
            entry.value.len() + entry.meta.tags.iter().map(|tag| tag.as_str().len() + 1).sum::<usize>()
        }
        let mut left = max.checked_sub(AROUND)?;
        let mut fits = |room: usize| left.checked_sub(room).inspect(|rest| left = *rest).is_some();
        let left_out =
            || Error::new(ErrorKind::TooLarge, "there was no room for it in the answer").with_retryable(true);
        match self {
            Self::Ran { response: Response::Found(items), hot } if items.len() > 1 && fits(items.len() * AROUND) => {
                let item = |item: &Result<Lookup>| match item {
                    Ok(lookup) if !fits(room(lookup)) => Err(left_out()),
                    item => item.clone(),
                };
                Some(Self::Ran { response: Response::Found(items.map_ref(item)), hot: hot.clone() })
            }
            Self::Fetched(items) if items.len() > 1 && fits(items.len() * AROUND) => {
                Some(Self::Fetched(items.map_ref(|item| match item {
                    Ok(fetched) if !fits(room(&fetched.lookup)) => Err(left_out()),
                    item => item.clone(),
                })))
            }
            _ => None,
        }
    }

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
            Self::Changes { .. } => "changes",
            Self::WrongOwner { .. } => "wrong_owner",
            Self::NoKeyspace => "no_keyspace",
            Self::Failed(_) => "failed",
        }
    }
}

/// Whether the item was left out [for want of room](Answer::within), and can be asked for once more.
pub(crate) fn is_left_out(error: &Error) -> bool {
    error.kind() == ErrorKind::TooLarge && error.is_retryable()
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
    /// What the reader may keep a copy by, if the key is hot.
    pub(crate) hot: Option<Promise>,
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

/// An item that the reader may keep a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hot {
    /// Which item of the answer, from zero; in order.
    pub(crate) item: u32,
    /// By what it may be kept.
    pub(crate) promise: Promise,
}

/// By what a reader may keep a copy; the owner has noted it as a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// For how long, from when it asked.
    pub(crate) lease: Duration,
    /// The number of the last invalidation that the owner knew of before it read.
    pub(crate) sequence: Sequence,
}
