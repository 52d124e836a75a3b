//! Filling caches before the first request comes.

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::task::JoinHandle;

use crate::{
    clock::{BoxFuture, Clock, SystemClock, Tick},
    error::{BoxError, Error, ErrorKind, Result},
    util::{timed_out, until},
};

/// Runs seeders at the start of a service, some at a time and within a time: each puts into a cache what will be asked for.
///
/// A seeder that fails, panics or is late fails no other, and no start: what is missing is loaded when it is asked for. Let
/// seeders write by [`if_absent`](crate::SetBuilder::if_absent), so that what was changed meanwhile is not overwritten.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use std::time::Duration;
/// use memstache_core::{Cache, Json, MemoryStore, Stack, WarmUp};
///
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
/// let drinks = Cache::builder(stack).keyspace("drinks").format(Json).build()?;
///
/// let cache = drinks.clone();
/// let warm_up = WarmUp::new().timeout(Duration::from_secs(5)).seed("popular drinks", async move {
///     for (name, cents) in [("tea", 349), ("coffee", 399)] { // from your database
///         cache.set(name, &cents).if_absent().await?;
///     }
///     Ok::<_, memstache_core::Error>(2)
/// });
/// let report = warm_up.run().await;
/// assert!(report.is_complete());
/// assert_eq!((report.seeded(), drinks.get::<u32>("tea").await?), (2, Some(349)));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is seeded before `run`"]
pub struct WarmUp {
    seeders: Vec<Seeder>,
    concurrency: usize,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

struct Seeder {
    name: Cow<'static, str>,
    work: BoxFuture<'static, Result<usize, BoxError>>,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self::new()
    }
}

impl WarmUp {
    /// Starts without seeders.
    pub fn new() -> Self {
        let (concurrency, timeout) = (4, Duration::from_secs(30));
        Self { seeders: Vec::new(), concurrency, timeout, clock: Arc::new(SystemClock::new()) }
    }

    /// Sets how many seeders run at a time; at least one does. Default: 4.
    pub fn concurrency(mut self, seeders: usize) -> Self {
        self.concurrency = seeders.max(1);
        self
    }

    /// Bounds all of them together; who has not ended by then is stopped. Default: 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets where time comes from. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds a seeder, which answers how many entries it has put in. It is a task of its own.
    pub fn seed<E: Into<BoxError>>(
        mut self,
        name: impl Into<Cow<'static, str>>,
        seeder: impl Future<Output = Result<usize, E>> + Send + 'static,
    ) -> Self {
        let work = Box::pin(async move { seeder.await.map_err(Into::into) });
        self.seeders.push(Seeder { name: name.into(), work });
        self
    }

    /// Runs the seeders, and tells what became of each, in the order in which they were added.
    ///
    /// # Cancellation
    /// Dropping the future stops the seeders that run.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn run(self) -> WarmUpReport {
        let Self { seeders, concurrency, timeout, clock } = self;
        let (deadline, clock) = (clock.now().after(timeout), &clock);
        let all = seeders.into_iter().enumerate().map(|(place, Seeder { name, work })| async move {
            let started = clock.now();
            let outcome = run_one(work, clock, deadline).await;
            (place, Seeded { name, outcome, took: clock.now().since(started) })
        });
        // Unordered: in order, one that takes long would keep those that have ended in its way.
        let mut seeded: Vec<_> = stream::iter(all).buffer_unordered(concurrency).collect().await;
        seeded.sort_by_key(|(place, _)| *place);
        WarmUpReport { seeders: seeded.into_iter().map(|(_, seeded)| seeded).collect() }
    }
}

async fn run_one(
    work: BoxFuture<'static, Result<usize, BoxError>>,
    clock: &Arc<dyn Clock>,
    deadline: Tick,
) -> Result<usize> {
    if clock.now() >= deadline {
        return Err(timed_out("the warm-up was over before the seeder began"));
    }
    match until(clock, Some(deadline), Task(tokio::spawn(work))).await {
        None => Err(timed_out("the seeder did not end in time")),
        Some(Ok(outcome)) => {
            outcome.map_err(|error| Error::new(ErrorKind::Load, "the seeder failed").with_source(error))
        }
        Some(Err(_)) => Err(Error::new(ErrorKind::LoadPanicked, "the seeder panicked")),
    }
}

/// A task that ends with who waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.seeders.iter().map(|seeder| &seeder.name).collect();
        f.debug_struct("WarmUp")
            .field("seeders", &names)
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What became of a [`WarmUp`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WarmUpReport {
    /// Each seeder, in the order in which they were added.
    pub seeders: Vec<Seeded>,
}

/// What became of one seeder.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Seeded {
    /// Its name.
    pub name: Cow<'static, str>,
    /// How many entries it has put in. Errors: [`Load`](ErrorKind::Load) with its own as the source,
    /// [`LoadPanicked`](ErrorKind::LoadPanicked), [`Timeout`](ErrorKind::Timeout).
    pub outcome: Result<usize>,
    /// How long it took.
    pub took: Duration,
}

impl WarmUpReport {
    /// Returns whether all seeders did what they should.
    pub fn is_complete(&self) -> bool {
        self.seeders.iter().all(|seeder| seeder.outcome.is_ok())
    }

    /// Returns how many entries were put in by those that ended.
    pub fn seeded(&self) -> usize {
        let counts = self.seeders.iter().filter_map(|seeder| seeder.outcome.as_ref().ok());
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}
