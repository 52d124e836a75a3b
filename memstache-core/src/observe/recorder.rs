//! What is told to whoever counts.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    cache::Outcome,
    error::{Error, ErrorKind},
    request::Request,
};

/// Counts and times what a cache does: three hooks, each told after the fact.
///
/// A recorder belongs to one cache, whose name it knows: give the same one to
/// [`CacheBuilder::recorder`](crate::CacheBuilder::recorder), which tells [`request`](Self::request) and
/// [`event`](Self::event), and to [`ObserveLayer`](super::ObserveLayer), which tells [`call`](Self::call).
/// Ready-made: [`Registry::recorder`](super::Registry::recorder), and with feature `metrics` `MetricsRecorder`.
///
/// It is told in the middle of calls, near hits included: it must not wait, and what it does is paid by each of them. No
/// hook is told a key, a value or a tenant, so nothing that it counts by can grow with them.
///
/// # Panics
/// A hook should not panic. One that does takes nobody with it, but the handle or the layer that called it tells its recorder
/// nothing more, and logs that once as an error. Where panics abort, they end the process.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
/// use memstache_core::{Cache, Json, MemoryStore, Stack, observe::{Ending, Event, ObservedCall, Recorder}};
///
/// /// Counts what was not answered from the cache.
/// #[derive(Debug, Default)]
/// struct Misses(AtomicU64);
///
/// impl Recorder for Misses {
///     fn request(&self, ending: Ending, count: u64) {
///         if ending == Ending::Miss {
///             self.0.fetch_add(count, Relaxed);
///         }
///     }
///     fn call(&self, _: &ObservedCall) {}
///     fn event(&self, _: &Event) {}
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let misses = Arc::new(Misses::default());
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
/// let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(misses.clone()).build()?;
/// assert_eq!(cache.get::<u8>("a").await?, None);
/// assert_eq!(misses.0.load(Relaxed), 1);
/// # Ok(())
/// # }
/// ```
pub trait Recorder: fmt::Debug + Send + Sync + 'static {
    /// So many requests of the handle have ended this way: a request is one key of one reading call, told exactly once.
    fn request(&self, ending: Ending, count: u64);

    /// One call has gone through the stack, or was dropped on its way.
    fn call(&self, call: &ObservedCall);

    /// Something happened beside the calls.
    fn event(&self, event: &Event);
}

impl<R: Recorder + ?Sized> Recorder for Arc<R> {
    fn request(&self, ending: Ending, count: u64) {
        R::request(self, ending, count);
    }

    fn call(&self, call: &ObservedCall) {
        R::call(self, call);
    }

    fn event(&self, event: &Event) {
        R::event(self, event);
    }
}

/// Gives an enum of words its list and its names.
macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $name {
            /// Every one of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name that metrics and spans show.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

/// How a request of a handle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// Answered from the cache, fresh.
    Hit,
    /// Answered from the cache, in its grace.
    Stale,
    /// Answered by a record that the source has no such key.
    Negative,
    /// Answered with nothing, or from the source.
    Miss,
    /// Answered with an error; a panic is one.
    Error,
    /// Not answered: the caller dropped its future.
    Cancelled,
}

words!(Ending {
    Hit => "hit",
    Stale => "stale",
    Negative => "negative",
    Miss => "miss",
    Error => "error",
    Cancelled => "cancelled",
});

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Hit => Self::Hit,
            Outcome::Stale => Self::Stale,
            Outcome::Negative => Self::Negative,
            Outcome::Miss => Self::Miss,
        }
    }
}

/// Which operation a call was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Reads.
    Get,
    /// Writes.
    Set,
    /// Removes.
    Remove,
    /// Touches: probes, renews and releases leases too.
    Touch,
    /// Invalidates.
    Invalidate,
    /// Explains.
    Explain,
}

words!(OperationKind {
    Get => "get",
    Set => "set",
    Remove => "remove",
    Touch => "touch",
    Invalidate => "invalidate",
    Explain => "explain",
});

impl From<&Request> for OperationKind {
    fn from(request: &Request) -> Self {
        match request {
            Request::Get(_) => Self::Get,
            Request::Set(_) => Self::Set,
            Request::Remove(_) => Self::Remove,
            Request::Touch(_) => Self::Touch,
            Request::Invalidate(_) => Self::Invalidate,
            Request::Explain(_) => Self::Explain,
        }
    }
}

/// How a call through the stack ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallResult {
    /// Every item was answered.
    Ok,
    /// The call failed, or one of its items did: the kind of the first.
    Error(ErrorKind),
    /// A layer below panicked.
    Panicked,
    /// It was dropped before it was answered.
    Cancelled,
}

impl CallResult {
    /// The names of all results, as metrics and spans show them.
    pub const NAMES: &[&'static str] = &["ok", "error", "cancelled"];

    /// Returns the name that metrics and spans show; a panic is an error.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::Error(_) | Self::Panicked => 1,
            Self::Cancelled => 2,
        }
    }

    /// Returns what kind of error it was, as metrics and spans show it.
    pub const fn error_type(self) -> Option<&'static str> {
        match self {
            Self::Error(kind) => Some(kind.as_str()),
            Self::Panicked => Some(PANIC),
            Self::Ok | Self::Cancelled => None,
        }
    }
}

/// What a panic is called among the kinds of errors.
pub(crate) const PANIC: &str = "panic";

/// One call that has gone through the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedCall {
    /// Which operation.
    pub operation: OperationKind,
    /// How it ended.
    pub result: CallResult,
    /// How many items it had.
    pub items: usize,
    /// How long it took, from when the layer was called.
    pub duration: Duration,
}

impl ObservedCall {
    /// Creates a report, for tests of recorders.
    pub const fn new(operation: OperationKind, result: CallResult, items: usize, duration: Duration) -> Self {
        Self { operation, result, items, duration }
    }
}

/// What happened beside the calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A load has ended, for one key: how, and after which time.
    Loaded(Result<(), ErrorKind>, Duration),
    /// A load has begun because the store could not be reached; its value is not stored.
    Degraded,
    /// A request waits for a load that another one has begun.
    Joined,
    /// A loaded value was to be stored: what became of that.
    Filled(Fill),
    /// A stored value could not be used.
    Rejected(Rejection),
}

/// What became of a loaded value that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fill {
    /// It was stored.
    Stored,
    /// It was not: the key was set, removed or invalidated meanwhile.
    Refused,
    /// It was not: the store failed.
    Failed,
}

words!(Fill { Stored => "stored", Refused => "refused", Failed => "failed" });

/// Why a stored value could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// The layers below could not open it: tampered, unknown key or compression.
    Unopened,
    /// It has another format.
    Format,
    /// It has another schema.
    Schema,
    /// The format could not decode it.
    Decode,
}

words!(Rejection { Unopened => "unopened", Format => "format", Schema => "schema", Decode => "decode" });

/// How an answered request ended.
pub(crate) fn ending(answer: Result<Outcome, &Error>) -> Ending {
    answer.map_or(Ending::Error, Ending::from)
}
