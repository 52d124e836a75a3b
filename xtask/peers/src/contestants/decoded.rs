//! Decoded values: what a typed handle over a near cache hands out, beside a bare cache of shared values.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use memstache_core::{Cache, Json, MemoryStore, NearConfig, Stack};
use quick_cache::sync::Cache as QuickCache;
use tokio::runtime::Runtime;

use super::{Contestant, Entrant, Role, Setup, VALUE};

/// Long enough that nothing expires while it is measured.
const TTL: Duration = Duration::from_secs(3600);
/// More than an entry is charged, decoded and not, beside its key and value.
const AMPLE_OVERHEAD: usize = 1024;

pub(super) fn entrants() -> Vec<Entrant> {
    vec![
        Entrant { name: "memstache get_arc", role: Role::Judged, make: |setup| Box::new(Handle::new(setup)) },
        Entrant {
            name: "quick_cache of Arc",
            role: Role::Reference,
            make: |setup| Box::new(Quick(Arc::new(QuickCache::new(setup.capacity)))),
        },
    ]
}

fn text() -> String {
    "x".repeat(VALUE)
}

/// A typed handle whose values are all near, and decoded.
#[derive(Clone)]
struct Handle {
    cache: Cache<Json>,
    /// Where the near cache follows its store.
    runtime: Arc<Runtime>,
}

impl Handle {
    fn new(setup: &Setup<'_>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let room = (setup.capacity * (setup.keys.len() + 2 * VALUE + AMPLE_OVERHEAD)).max(1 << 20);
        let store = MemoryStore::builder().max_bytes(room).build().expect("settings within their limits");
        let near = NearConfig::new(room).expect("large enough");
        let stack = runtime.block_on(async { Stack::over(store).near(near).build() });
        let cache = Cache::builder(stack).keyspace("bench").format(Json).ttl(TTL).build();
        Self { cache: cache.expect("settings within their limits"), runtime: Arc::new(runtime) }
    }
}

impl Contestant for Handle {
    type Value = Arc<String>;

    fn get(&mut self, key: &str) -> Option<Arc<String>> {
        let mut answer = pin!(self.cache.get_arc::<String>(key));
        // What is near is answered at once.
        let answered = match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => self.runtime.block_on(answer),
        };
        answered.expect("a memory store answers")
    }

    fn put(&mut self, key: &str) {
        self.runtime.block_on(async {
            self.cache.set(key, &text()).await.expect("a small value fits");
            // The first one copies it, the second one keeps it decoded.
            for _ in 0..2 {
                self.cache.get_arc::<String>(key).await.expect("a memory store answers");
            }
        });
    }
}

#[derive(Clone)]
struct Quick(Arc<QuickCache<Box<str>, Arc<String>>>);

impl Contestant for Quick {
    type Value = Arc<String>;

    fn get(&mut self, key: &str) -> Option<Arc<String>> {
        self.0.get(key)
    }

    fn put(&mut self, key: &str) {
        self.0.insert(key.into(), Arc::new(text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn what_was_put_is_shared_and_not_decoded_again() {
        let keys = Keys::new(Keys::SHORT, 10);
        let mut handle = Handle::new(&Setup { keys: &keys, capacity: 20, exact: false });
        assert_eq!(handle.get(keys.text(1)), None);
        (0..10).for_each(|key| handle.put(keys.text(key)));
        let (first, again) = (handle.get(keys.text(1)).unwrap(), handle.get(keys.text(1)).unwrap());
        assert!(*first == text() && Arc::ptr_eq(&first, &again));
    }
}
