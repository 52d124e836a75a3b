//! What loads: closures, by one name for all that is asked of them.

use std::future::Future;

use super::{IntoLoaded, LoadContext, Loaded, job::load_failed};
use crate::error::{BoxError, Result};

/// What loads one key: a closure, as [`Cache::get_or_load`](crate::Cache::get_or_load) takes it.
pub trait Loader<T>: Send + 'static {
    /// Loads the value.
    fn load(self, context: LoadContext<T>) -> impl Future<Output = Result<Loaded<T>>> + Send;
}

impl<T, L, O, V, E> Loader<T> for L
where
    T: Send + 'static,
    L: FnOnce(LoadContext<T>) -> O + Send + 'static,
    O: Future<Output = Result<V, E>> + Send + 'static,
    V: IntoLoaded<T> + 'static,
    E: Into<BoxError> + 'static,
{
    async fn load(self, context: LoadContext<T>) -> Result<Loaded<T>> {
        self(context).await.map(IntoLoaded::into_loaded).map_err(load_failed)
    }
}

/// What loads many keys: a closure, as [`Cache::get_many_or_load`](crate::Cache::get_many_or_load) takes it.
pub trait BatchLoader<K, T>: Send + Sync + 'static {
    /// Loads the values of keys; what it leaves out, the source does not have.
    fn load(&self, keys: Vec<K>) -> impl Future<Output = Result<Vec<(K, Loaded<T>)>>> + Send;
}

impl<K, T, L, O, I, V, E> BatchLoader<K, T> for L
where
    K: Send + 'static,
    T: Send + 'static,
    L: Fn(Vec<K>) -> O + Send + Sync + 'static,
    O: Future<Output = Result<I, E>> + Send + 'static,
    I: IntoIterator<Item = (K, V)> + 'static,
    V: IntoLoaded<T> + 'static,
    E: Into<BoxError> + 'static,
{
    async fn load(&self, keys: Vec<K>) -> Result<Vec<(K, Loaded<T>)>> {
        let brought = self(keys).await.map_err(load_failed)?;
        Ok(brought.into_iter().map(|(key, value)| (key, value.into_loaded())).collect())
    }
}
