//! Where the values of a keyspace come from.

use std::{fmt, future::Future, sync::Arc};

use futures_util::stream::{self, StreamExt as _};
use memstache_core::{Address, BoxError, BoxFuture};

use super::Sourced;

/// How many keys a source without a `fetch_many` of its own is asked for at a time, for one batch.
const AT_A_TIME: usize = 16;

/// One key that a source is asked for: tenant, keyspace and name.
///
/// Cheap to clone. `Debug` shows no name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Address);

impl Key {
    pub(crate) fn new(address: Address) -> Self {
        Self(address)
    }

    /// Returns the key under which it is stored and placed.
    pub(crate) fn stored(&self) -> &[u8] {
        self.0.stored()
    }

    /// Returns the tenant's name; `None` for the shared space.
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant()
    }

    /// Returns the keyspace's name.
    pub fn keyspace(&self) -> &str {
        self.0.keyspace()
    }

    /// Returns the key's name, any bytes.
    pub fn name(&self) -> &[u8] {
        self.0.name()
    }

    /// Returns the key's name as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.name()).ok()
    }
}

impl AsRef<[u8]> for Key {
    /// The name.
    fn as_ref(&self) -> &[u8] {
        self.name()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.0).finish()
    }
}

/// Where the values of a keyspace come from: a database, a service, a computation.
///
/// Implement it with plain `async fn`. A load is a task of its own with a time limit: a source that hangs, panics or fails
/// harms nobody but who waits for that key. It may ask the engine for other keys; no lock is held. Who waits for the key it is
/// asked for itself waits until the time limit.
///
/// That there is no such key is `Ok(None)`; an error of memstache's own kind
/// [`NotFound`](memstache_core::ErrorKind::NotFound) is taken for the same. Neither opens the circuit breaker; any other error
/// counts.
///
/// ```
/// use memstache_cluster::{DataSource, Key, Sourced};
/// use memstache_core::BoxError;
///
/// struct Squares;
///
/// impl DataSource for Squares {
///     async fn fetch(&self, key: Key) -> Result<Option<Sourced>, BoxError> {
///         let Some(number) = key.text().and_then(|text| text.parse::<u64>().ok()) else { return Ok(None) };
///         Ok(Some((number * number).to_string().into()))
///     }
/// }
/// ```
pub trait DataSource: Send + Sync + 'static {
    /// Returns the value of a key; `None` if there is no such key.
    fn fetch(&self, key: Key) -> impl Future<Output = Result<Option<Sourced>, BoxError>> + Send;

    /// Returns the values of several keys, each once, in the order asked.
    ///
    /// What is missing at the end of the answer has failed. Default: [`fetch`](Self::fetch) of each key, sixteen at a time.
    fn fetch_many(&self, keys: Vec<Key>) -> impl Future<Output = Vec<Result<Option<Sourced>, BoxError>>> + Send {
        async move { stream::iter(keys).map(|key| self.fetch(key)).buffered(AT_A_TIME).collect().await }
    }
}

impl<S: DataSource> DataSource for Arc<S> {
    async fn fetch(&self, key: Key) -> Result<Option<Sourced>, BoxError> {
        S::fetch(self, key).await
    }

    async fn fetch_many(&self, keys: Vec<Key>) -> Vec<Result<Option<Sourced>, BoxError>> {
        S::fetch_many(self, keys).await
    }
}

/// Makes a source of a closure.
///
/// ```
/// use memstache_cluster::{Key, Sourced, source_fn};
///
/// let echo = source_fn(|key: Key| async move { Ok(Some(Sourced::new(key.name().to_vec()))) });
/// # let _ = echo;
/// ```
pub const fn source_fn<F, O>(fetch: F) -> SourceFn<F>
where
    F: Fn(Key) -> O + Send + Sync + 'static,
    O: Future<Output = Result<Option<Sourced>, BoxError>> + Send + 'static,
{
    SourceFn(fetch)
}

/// A closure as a [`DataSource`]; see [`source_fn`].
#[derive(Clone, Copy)]
pub struct SourceFn<F>(F);

impl<F, O> DataSource for SourceFn<F>
where
    F: Fn(Key) -> O + Send + Sync + 'static,
    O: Future<Output = Result<Option<Sourced>, BoxError>> + Send + 'static,
{
    async fn fetch(&self, key: Key) -> Result<Option<Sourced>, BoxError> {
        self.0(key).await
    }
}

impl<F> fmt::Debug for SourceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFn").finish_non_exhaustive()
    }
}

/// A source whose type is erased.
pub(crate) trait AnySource: Send + Sync {
    fn fetch(self: Arc<Self>, key: Key) -> BoxFuture<'static, Result<Option<Sourced>, BoxError>>;
    fn fetch_many(self: Arc<Self>, keys: Vec<Key>) -> BoxFuture<'static, Vec<Result<Option<Sourced>, BoxError>>>;
}

impl<S: DataSource> AnySource for S {
    fn fetch(self: Arc<Self>, key: Key) -> BoxFuture<'static, Result<Option<Sourced>, BoxError>> {
        Box::pin(async move { DataSource::fetch(&*self, key).await })
    }

    fn fetch_many(self: Arc<Self>, keys: Vec<Key>) -> BoxFuture<'static, Vec<Result<Option<Sourced>, BoxError>>> {
        Box::pin(async move { DataSource::fetch_many(&*self, keys).await })
    }
}
