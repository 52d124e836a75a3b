//! How the parts of a stack are.
//!
//! Every part that can be out of order says so by [`Health`]: stores, near caches, breakers, queues. A
//! [`Stack`](crate::Stack) collects them, and [`Cache::health`](crate::Cache::health) asks them all.

mod report;
mod serial;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

pub use self::report::{Condition, HealthReport, HealthValue, PartHealth};

/// A part of a stack that can say how it is.
///
/// It is asked often, by probes: it answers from what it knows, at once, and talks to nobody. One that panics is told as a part
/// `unknown` that is down. A closure is one too, for
/// parts whose type has no such method.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicUsize, Ordering::Relaxed}};
/// use memstache_core::{Cache, Condition, Json, MemoryStore, PartHealth, Stack};
///
/// let waiting = Arc::new(AtomicUsize::new(7)); // what a queue of yours holds
/// let queue = Arc::clone(&waiting);
/// let stack = Stack::over(MemoryStore::builder().build()?)
///     .watch_leaf()
///     .watch(move || {
///         let held = queue.load(Relaxed);
///         let part = PartHealth::healthy("queue").with("waiting", held);
///         if held < 100 { part } else { part.degraded("the queue is full") }
///     })
///     .build();
/// let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
/// assert_eq!(cache.health().condition, Condition::Healthy);
///
/// waiting.store(100, Relaxed);
/// let health = cache.health();
/// assert_eq!(health.condition, Condition::Degraded);
/// assert_eq!(health.part("queue").unwrap().to_string(), "queue: degraded, the queue is full (waiting 100)");
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub trait Health: Send + Sync + 'static {
    /// Says how the part is now.
    fn health(&self) -> PartHealth;
}

impl<F: Fn() -> PartHealth + Send + Sync + 'static> Health for F {
    fn health(&self) -> PartHealth {
        self()
    }
}

/// The parts of a stack that are asked how they are.
#[derive(Clone, Default)]
pub(crate) struct Parts(Vec<Arc<dyn Health>>);

impl Parts {
    pub(crate) fn push(&mut self, part: impl Health) {
        self.0.push(Arc::new(part));
    }

    #[cfg(feature = "near")]
    pub(crate) fn append(&mut self, mut parts: Self) {
        self.0.append(&mut parts.0);
    }

    /// Asks them all. One that panics is down, and has no name that anybody could know.
    pub(crate) fn ask(&self) -> impl Iterator<Item = PartHealth> {
        self.0.iter().map(|part| catch_unwind(AssertUnwindSafe(|| part.health())).unwrap_or_else(|_| nameless()))
    }
}

fn nameless() -> PartHealth {
    PartHealth::healthy("unknown").down("panicked when it was asked")
}
