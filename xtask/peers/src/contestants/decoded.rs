//! Decoded values: what a typed handle over a near cache hands out, beside a bare cache of shared values.

use std::{
    mem,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use memstache_core::{Cache, Json, MemoryStore, NearConfig, NearView, Stack};
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
    near: NearView,
    /// What was put and not read since.
    put: Arc<Mutex<Vec<String>>>,
}

impl Handle {
    fn new(setup: &Setup<'_>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime");
        let room = (setup.capacity * (setup.keys.len() + 2 * VALUE + AMPLE_OVERHEAD)).max(1 << 20);
        let store = MemoryStore::builder().max_bytes(room).build().expect("settings within their limits");
        let near = NearConfig::new(room).expect("large enough");
        let (stack, near) = runtime.block_on(async { Stack::over(store).near(near).build_with_view() });
        let cache = Cache::builder(stack).keyspace("bench").format(Json).ttl(TTL).build();
        let cache = cache.expect("settings within their limits");
        // The first call starts what follows the store, on the runtime.
        runtime.block_on(cache.get_arc::<String>("none")).expect("a memory store answers");
        Self { cache, runtime: Arc::new(runtime), near, put: Arc::default() }
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
        self.runtime.block_on(async { self.cache.set(key, &text()).await }).expect("a small value fits");
        self.put.lock().expect("nobody panics with it").push(key.to_owned());
    }

    /// Reads what was put until all is near: what the store tells of writes drops copies that were made meanwhile.
    fn settle(&mut self) {
        let put = mem::take(&mut *self.put.lock().expect("nobody panics with it"));
        let mut all_hit = || {
            let before = self.near.stats().hits;
            put.iter().for_each(|key| drop(self.get(key)));
            self.near.stats().hits - before == put.len() as u64
        };
        // The last pass decodes what was only copied so far.
        assert!((0..1_000).any(|_| all_hit()) && all_hit(), "there is room for all");
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
    fn every_hit_is_near() {
        let keys = Keys::new(Keys::SHORT, 2_000);
        let mut handle = Handle::new(&Setup { keys: &keys, capacity: 4_000, exact: false });
        (0..2_000).for_each(|key| handle.put(keys.text(key)));
        handle.settle();
        let before = handle.near.stats();
        (0..2_000).for_each(|key| drop(handle.get(keys.text(key))));
        let after = handle.near.stats();
        assert_eq!(after.hits - before.hits, 2_000, "{before:?} {after:?}");
    }

    #[test]
    fn what_was_put_is_shared_and_not_decoded_again() {
        let keys = Keys::new(Keys::SHORT, 10);
        let mut handle = Handle::new(&Setup { keys: &keys, capacity: 20, exact: false });
        assert_eq!(handle.get(keys.text(1)), None);
        (0..10).for_each(|key| handle.put(keys.text(key)));
        handle.settle();
        let (first, again) = (handle.get(keys.text(1)).unwrap(), handle.get(keys.text(1)).unwrap());
        assert!(*first == text() && Arc::ptr_eq(&first, &again));
    }
}
