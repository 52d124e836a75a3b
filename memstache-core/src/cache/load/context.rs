//! What a loader is given, and what it gives back.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::super::options::{Until, WriteOptions, write_setters};
use crate::error::BoxError;

/// What a loader is given.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// # use memstache_core::{Cache, Json, MemoryStore, Stack};
/// # let stack = Stack::over(MemoryStore::builder().build()?).build();
/// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
/// use std::{io, time::Duration};
/// use memstache_core::LoadContext;
///
/// /// Asks the source, which answers `None` for "as it was".
/// async fn changed_since(_: Option<&String>) -> io::Result<Option<String>> {
///     Ok(Some("news".to_owned()))
/// }
///
/// let page: String = cache
///     .get_or_load("page", |load: LoadContext<String>| async move {
///         Ok::<_, io::Error>(match changed_since(load.stale()).await? {
///             Some(page) if page.is_empty() => load.skip(page),
///             Some(page) => load.store(page).ttl(Duration::from_secs(60)),
///             None => load.not_modified(),
///         })
///     })
///     .stale_for(Duration::from_secs(600))
///     .await?;
/// assert_eq!(page, "news");
/// # Ok(())
/// # }
/// ```
pub struct LoadContext<T> {
    pub(super) stale: Option<T>,
}

impl<T> LoadContext<T> {
    /// Returns the stale value that is to be refreshed, if there is one: for conditional requests to the source.
    pub fn stale(&self) -> Option<&T> {
        self.stale.as_ref()
    }

    /// Answers with a value and stores it.
    pub fn store(&self, value: T) -> Loaded<T> {
        Loaded::store(value)
    }

    /// Keeps the stale value: it is stored again, with a new lifetime and the tags it had. Without one, the load fails.
    pub fn not_modified(&self) -> Loaded<T> {
        Loaded::new(Found::NotModified)
    }

    /// Answers that the source has no such key, and remembers it for `ttl`.
    pub fn negative(&self, ttl: Duration) -> Loaded<T> {
        Loaded::negative(ttl)
    }

    /// Answers with a value and does not store it.
    pub fn skip(&self, value: T) -> Loaded<T> {
        Loaded::skip(value)
    }
}

/// What a loader brought, with what it says about its storing: made by its [`LoadContext`], or by name in a batch.
///
/// Its own lifetime beats the call's, which beats the cache's.
#[must_use = "it is what the loader returns"]
pub struct Loaded<T> {
    pub(super) found: Found<T>,
    pub(super) options: WriteOptions,
}

pub(super) enum Found<T> {
    Store(T),
    NotModified,
    Missing,
    Skip(T),
    Failed(BoxError),
}

impl<T> Loaded<T> {
    fn new(found: Found<T>) -> Self {
        Self { found, options: WriteOptions::default() }
    }

    /// Answers with a value and stores it.
    pub fn store(value: T) -> Self {
        Self::new(Found::Store(value))
    }

    /// Answers that the source has no such key, and remembers it for `ttl`.
    pub fn negative(ttl: Duration) -> Self {
        Self::new(Found::Missing).ttl(ttl)
    }

    /// Answers with a value and does not store it.
    pub fn skip(value: T) -> Self {
        Self::new(Found::Skip(value))
    }

    /// Says that this key failed to load; the other keys of a batch do not.
    pub fn failed(error: impl Into<BoxError>) -> Self {
        Self::new(Found::Failed(error.into()))
    }

    write_setters!(options);
}

impl<T> fmt::Debug for LoadContext<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").field("stale", &self.stale.is_some()).finish()
    }
}

impl<T> fmt::Debug for Loaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a loader may return: a value, an `Option` of one (`None`: the source has no such key), or a [`Loaded`].
pub trait IntoLoaded<T> {
    /// Turns it into what a load brought.
    fn into_loaded(self) -> Loaded<T>;
}

impl<T> IntoLoaded<T> for T {
    fn into_loaded(self) -> Loaded<T> {
        Loaded::new(Found::Store(self))
    }
}

impl<T> IntoLoaded<T> for Option<T> {
    fn into_loaded(self) -> Loaded<T> {
        Loaded::new(self.map_or(Found::Missing, Found::Store))
    }
}

impl<T> IntoLoaded<T> for Loaded<T> {
    fn into_loaded(self) -> Self {
        self
    }
}
