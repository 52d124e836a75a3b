//! The builder of a loading call, and its future.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{
        Cache,
        core::LoadOptions,
        options::{Until, WriteOptions, write_setters},
        read::ReadOptions,
    },
    IntoLoaded, LoadContext, Loader, Shape, shape,
};
use crate::{
    clock::BoxFuture,
    error::{BoxError, Result},
    format::Format,
    request::Consistency,
};

/// A read that loads what is missing, done when it is awaited.
#[must_use = "nothing is read or loaded before it is awaited"]
pub struct LoadBuilder<'a, F, N, L, T, R = shape::Value> {
    pub(super) cache: &'a Cache<F>,
    pub(super) name: N,
    pub(super) loader: L,
    pub(super) ask: ReadOptions,
    pub(super) load: LoadOptions,
    pub(super) write: WriteOptions,
    shape: PhantomData<fn() -> (T, R)>,
}

impl<F: Format> Cache<F> {
    /// Returns the value of a key; on a miss it is loaded, once, whoever asks meanwhile, and stored.
    ///
    /// The loader returns a value, an `Option` of one (`None`: the source has no such key) or, by its
    /// [`LoadContext`], a [`Loaded`](super::Loaded) with a lifetime and tags of its own. Awaited for the value; a key
    /// that the source does not have is [`NotFound`](crate::ErrorKind::NotFound), or `None` with
    /// [`optional`](LoadBuilder::optional). The value itself is never an `Option`: that is
    /// [`Invalid`](crate::ErrorKind::Invalid), so that a forgotten `optional` does not store `None` like any value.
    ///
    /// The loader runs as a task of its own, so it and its future are `Send + 'static`: clone what it needs and move it
    /// in, `let db = self.db.clone();` and `move |_| async move { db.find(id).await }`. It must not load its own key: it
    /// would wait for itself until the timeout. A value that is too large for the store is returned, not stored, and
    /// counted in [`fills_failed`](crate::CacheStats::fills_failed).
    ///
    /// Errors: [`Invalid`](crate::ErrorKind::Invalid) for options out of their limits, [`Load`](crate::ErrorKind::Load) with the
    /// loader's error as its source ([`Error::find_source`](crate::Error::find_source)), [`LoadPanicked`](crate::ErrorKind::LoadPanicked),
    /// [`Timeout`](crate::ErrorKind::Timeout), [`Overloaded`](crate::ErrorKind::Overloaded) when a limit refused the call. A store that
    /// cannot be reached is no error: the value is loaded, and kept by the near cache until the store is back or its ttl
    /// ends.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when there is something to load.
    ///
    /// # Cancellation
    /// The load is a task of its own. Dropping the future leaves it to the others who wait, and it is stored when it
    /// ends.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// use std::{io, time::Duration};
    ///
    /// let name: String = cache
    ///     .get_or_load("user:7", |_| async { Ok::<_, io::Error>("Ada".to_owned()) })
    ///     .ttl(Duration::from_secs(60))
    ///     .tags(["users"])
    ///     .await?;
    /// assert_eq!(name, "Ada");
    ///
    /// let nobody: Option<String> = cache.get_or_load("user:8", |_| async { Ok::<_, io::Error>(None) }).optional().await?;
    /// assert_eq!(nobody, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_or_load<T, N, L, O, V, E>(&self, key: N, loader: L) -> LoadBuilder<'_, F, N, L, T>
    where
        N: AsRef<[u8]>,
        L: FnOnce(LoadContext<T>) -> O + Send + 'static,
        O: Future<Output = Result<V, E>> + Send + 'static,
        V: IntoLoaded<T> + 'static,
        E: Into<BoxError> + 'static,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let (load, write) = (self.core.settings.load.clone(), WriteOptions::default());
        LoadBuilder { cache: self, name: key, loader, ask: ReadOptions::default(), load, write, shape: PhantomData }
    }

    /// The same as [`get_or_load`](Self::get_or_load), by its other name.
    pub fn get_or_set<T, N, L, O, V, E>(&self, key: N, loader: L) -> LoadBuilder<'_, F, N, L, T>
    where
        N: AsRef<[u8]>,
        L: FnOnce(LoadContext<T>) -> O + Send + 'static,
        O: Future<Output = Result<V, E>> + Send + 'static,
        V: IntoLoaded<T> + 'static,
        E: Into<BoxError> + 'static,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        self.get_or_load(key, loader)
    }
}

/// The setters that both loading builders have.
macro_rules! load_setters {
    () => {
        /// Remembers for this long that the source has no such key. Default: the cache's.
        pub fn negative_ttl(mut self, ttl: Duration) -> Self {
            self.load.negative_ttl = Some(ttl);
            self
        }

        /// Waits this long for a fresh value, as the one who refreshes a stale one. Default: the cache's.
        pub fn soft_timeout(mut self, limit: Duration) -> Self {
            self.load.soft_timeout = limit;
            self
        }

        /// Waits this long for a value when there is none. Default: the cache's.
        pub fn hard_timeout(mut self, limit: Duration) -> Self {
            self.load.hard_timeout = Some(limit);
            self
        }

        /// Lets the load go on when its last caller ran into the hard timeout. Default: the cache's.
        pub fn keep_loading(mut self, keep: bool) -> Self {
            self.load.keep_loading = keep;
            self
        }

        /// Bounds the whole call, whatever the other timeouts say. Default: none.
        pub fn timeout(mut self, limit: Duration) -> Self {
            self.ask.timeout = Some(limit);
            self
        }

        /// Puts the loads behind a circuit breaker. Default: the cache's.
        #[cfg(feature = "resilience")]
        pub fn source_breaker(mut self, breaker: &crate::resilience::CircuitBreaker) -> Self {
            self.load.source.breaker = Some(breaker.clone());
            self
        }

        /// Asks the authority: near caches and copies are passed by.
        pub fn authority(mut self) -> Self {
            self.ask.consistency = Consistency::Authority;
            self
        }

        /// Accepts nothing that was last confirmed longer ago. Default: the cache's; it cannot be raised.
        pub fn max_staleness(mut self, age: Duration) -> Self {
            self.ask.max_staleness = Some(age);
            self
        }
    };
}
pub(super) use load_setters;

impl<'a, F, N, L, T, R> LoadBuilder<'a, F, N, L, T, R> {
    write_setters!(write);
    load_setters!();

    /// Refreshes in the background once this fraction of the value's life has passed. Default: the cache's.
    pub fn refresh_ahead(mut self, fraction: f64) -> Self {
        self.load.refresh_ahead = Some(fraction);
        self
    }

    /// Refreshes early by chance (XFetch) with this `beta`. Default: the cache's.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.load.early_refresh = Some(beta);
        self
    }

    /// Answers with a shared value, that of [`Cache::get_arc`]: a near hit costs no decoding once it is kept.
    ///
    /// Comes after the others: `optional().arc()` answers `Option<Arc<T>>`, `entry().arc()` a
    /// [`Fetched<Arc<T>>`](crate::Fetched).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, NearConfig, Stack};
    /// # let store = MemoryStore::builder().build()?;
    /// # let stack = Stack::over(store).near(NearConfig::new(1 << 20)?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// use std::{io, sync::Arc};
    ///
    /// let load = |_| async { Ok::<_, io::Error>("Ada".to_owned()) };
    /// let name: Arc<String> = cache.get_or_load("user:7", load).arc().await?;
    /// assert_eq!(*name, "Ada");
    /// # Ok(())
    /// # }
    /// ```
    pub fn arc(self) -> LoadBuilder<'a, F, N, L, T, shape::Shared<R>> {
        self.shaped()
    }

    /// Takes over all that a caller says about the write.
    pub(crate) fn with_write(mut self, write: WriteOptions) -> Self {
        self.write = write;
        self
    }

    fn shaped<S>(self) -> LoadBuilder<'a, F, N, L, T, S> {
        let Self { cache, name, loader, ask, load, write, shape: _ } = self;
        LoadBuilder { cache, name, loader, ask, load, write, shape: PhantomData }
    }
}

impl<'a, F, N, L, T> LoadBuilder<'a, F, N, L, T> {
    /// Answers `None` for a key that the source does not have, instead of an error.
    ///
    /// A loader that answers an `Option` needs the type of what is cached to be said, in the binding or in the context's type:
    /// an `Option<u32>` could be a `u32` that may be missing, or a value by itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, LoadContext, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// async fn find(id: u32) -> std::io::Result<Option<u32>> {
    ///     Ok((id < 9).then_some(id))
    /// }
    ///
    /// let seven: Option<u32> = cache.get_or_load("7", |_| find(7)).optional().await?;
    /// let nine = cache.get_or_load("9", |_: LoadContext<u32>| find(9)).optional().await?;
    /// assert_eq!((seven, nine), (Some(7), None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn optional(self) -> LoadBuilder<'a, F, N, L, T, shape::Optional> {
        self.shaped()
    }

    /// Answers with where the value came from, its age and what is left of its life.
    pub fn entry(self) -> LoadBuilder<'a, F, N, L, T, shape::Entry> {
        self.shaped()
    }
}

impl<'a, F, N, L, T, R> IntoFuture for LoadBuilder<'a, F, N, L, T, R>
where
    F: Format,
    N: AsRef<[u8]> + Send + 'a,
    L: Loader<T>,
    T: Serialize + DeserializeOwned + Send + 'static,
    R: Shape<T>,
    R::Output: Send + 'a,
{
    type Output = Result<R::Output>;
    type IntoFuture = LoadFuture<'a, R::Output>;

    fn into_future(self) -> Self::IntoFuture {
        match self.near_hit() {
            Ok(fetched) => LoadFuture(State::Ready(Some(R::shape(fetched)))),
            Err(due) => {
                LoadFuture(State::Running(Box::pin(async move { R::shape(self.fetch(due).await?.map(R::take)) })))
            }
        }
    }
}

/// The future of a loading call; a near hit is ready at once, without an allocation.
///
/// # Cancellation
/// Dropping it leaves a load that it started to the others who wait.
#[must_use = "futures do nothing unless polled"]
pub struct LoadFuture<'a, T>(State<'a, T>);

enum State<'a, T> {
    Ready(Option<Result<T>>),
    Running(BoxFuture<'a, Result<T>>),
}

impl<T> Unpin for LoadFuture<'_, T> {}

impl<T> Future for LoadFuture<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        match &mut self.0 {
            State::Ready(result) => Poll::Ready(result.take().expect("polled after completion")),
            State::Running(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for LoadFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadFuture").finish_non_exhaustive()
    }
}

impl<F, N, L, T, R> fmt::Debug for LoadBuilder<'_, F, N, L, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBuilder").field("load", &self.load).field("write", &self.write).finish_non_exhaustive()
    }
}
