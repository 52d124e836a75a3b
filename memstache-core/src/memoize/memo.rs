//! What is cached, and how it becomes an answer again.

use std::{fmt, future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::MemoKey;
use crate::{
    cache::{IntoLoaded, Loaded, Outcome},
    error::{Error, Result},
};

/// Says which requests are cached, what is kept of their responses, and what callers get.
///
/// The closures of [`MemoizeLayer::new`](super::MemoizeLayer::new) are enough for responses that are themselves
/// `Serialize + DeserializeOwned`; this trait is for all others.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{Error, Result, memoize::{Kept, Memo, MemoKey, Recalled}};
///
/// /// A response that serde knows nothing of.
/// struct Page { status: u16, text: String }
///
/// /// Caches good pages: for an hour if they are archived, else as long as the cache says.
/// #[derive(Clone)]
/// struct Pages;
///
/// impl Memo<String, Page> for Pages {
///     type Value = String;
///     type Answer = Page;
///     type Error = Error;
///
///     fn key(&self, path: &String) -> Option<MemoKey> {
///         (!path.starts_with("/admin")).then(|| MemoKey::new(path.clone()).tags(["pages"]))
///     }
///
///     async fn store(&self, page: Page) -> Kept<String, Page> {
///         match page.status {
///             200 if page.text.contains("archived") => {
///                 Kept::store_with(page.text, |value| value.ttl(Duration::from_secs(3600)))
///             }
///             200 => Kept::store(page.text),
///             500.. => Kept::Failed(page),
///             _ => Kept::Pass(page),
///         }
///     }
///
///     fn restore(&self, text: String, _: &Recalled) -> Page {
///         Page { status: 200, text }
///     }
///
///     fn pass(&self, page: Page) -> Page {
///         page
///     }
///
///     fn fail(&self, error: Error) -> Result<Page> {
///         Err(error)
///     }
/// }
/// ```
pub trait Memo<Req, Res>: Clone + Send + Sync + 'static {
    /// What is cached of a response.
    type Value: Serialize + DeserializeOwned + Send + 'static;

    /// What callers get.
    type Answer: Send + 'static;

    /// What callers get instead, if a failure is not an answer too.
    type Error;

    /// Returns what a request is cached under; `None` passes it by.
    fn key(&self, request: &Req) -> Option<MemoKey>;

    /// Takes of a response what is cached. Runs in the load's task, within its timeout.
    fn store(&self, response: Res) -> impl Future<Output = Kept<Self::Value, Self::Answer>> + Send;

    /// Makes an answer of what was cached, or has just been.
    fn restore(&self, value: Self::Value, recalled: &Recalled) -> Self::Answer;

    /// Makes an answer of a response that nothing is cached of, nor tried.
    fn pass(&self, response: Res) -> Self::Answer;

    /// Makes an answer, or an error, of a failure.
    ///
    /// Kinds: [`Load`](crate::ErrorKind::Load) with the inner error as its source, and what
    /// [`get_or_load`](crate::Cache::get_or_load) says.
    fn fail(&self, error: Error) -> Result<Self::Answer, Self::Error>;
}

/// What is kept of a response. `Debug` shows which of these, and nothing of it.
#[non_exhaustive]
pub enum Kept<V, A> {
    /// It is stored, and answers everybody who waits.
    Store(Loaded<V>),
    /// It is not cached: it answers the caller whose request ran, and who waited calls the service himself.
    Pass(A),
    /// The same, and the source counts as failed: who has a stale value is answered with that.
    Failed(A),
}

impl<V, A> Kept<V, A> {
    /// Stores a value as its key and the cache say.
    pub fn store(value: V) -> Self {
        Self::store_with(value, |loaded| loaded)
    }

    /// Stores a value with a lifetime and tags of its own.
    pub fn store_with(value: V, options: impl FnOnce(Loaded<V>) -> Loaded<V>) -> Self {
        Self::Store(options(IntoLoaded::<V>::into_loaded(value)))
    }
}

impl<V, A> fmt::Debug for Kept<V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(loaded) => f.debug_tuple("Store").field(loaded).finish(),
            Self::Pass(_) => f.write_str("Pass"),
            Self::Failed(_) => f.write_str("Failed"),
        }
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recalled {
    /// How it was found; [`Miss`](Outcome::Miss) if it has just been made, for this caller or another.
    pub outcome: Outcome,
    /// How long ago it was stored.
    pub age: Duration,
    /// How long it stays fresh; `None` if it has no end, or was not stored.
    pub ttl_left: Option<Duration>,
}
