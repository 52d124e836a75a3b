//! Turns: of the writes of one product, one at a time in this process, and each to its end.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::BoxError;

/// Locks that products share: more than there are writers at a time.
const LOCKS: usize = 64;

/// Who may write which product; clones share it.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Inner>);

struct Inner {
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl Turns {
    pub(crate) fn new() -> Self {
        let locks = std::array::from_fn(|_| Mutex::new(()));
        Self(Arc::new(Inner { locks, hasher: RandomState::new() }))
    }

    /// Does work of several steps on a product: no other work on it comes in between.
    ///
    /// A task of its own: a caller that leaves cannot stop it halfway.
    pub(crate) async fn take<T: Send + 'static>(
        &self,
        id: &str,
        work: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Result<T, BoxError> {
        let (turns, id) = (self.clone(), id.to_owned());
        let done = tokio::spawn(async move {
            let _turn = turns.wait(&id).await;
            work.await
        });
        done.await?
    }

    /// Waits until nobody works on a product, and keeps others from it.
    pub(crate) async fn wait(&self, id: &str) -> MutexGuard<'_, ()> {
        self.0.locks[self.0.hasher.hash_one(id) as usize % LOCKS].lock().await
    }

    /// Waits until all work that has begun is done.
    pub(crate) async fn idle(&self) {
        for lock in &self.0.locks {
            drop(lock.lock().await);
        }
    }
}
