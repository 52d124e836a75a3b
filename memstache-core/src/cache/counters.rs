//! What became of each request: counted once per (handle call, key), here and nowhere else, and told to the recorder.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use crate::{
    error::{Error, ErrorKind},
    observe::{Ending, Event, Fill, Recorder, Rejection, Told, ending},
    striped::Striped,
};

/// How a read was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// From the cache, fresh.
    Hit,
    /// From the cache, in its grace.
    Stale,
    /// The source is known to have no such key.
    Negative,
    /// Not from the cache: nothing was there, or it was loaded.
    Miss,
}

/// What a handle has counted since it was built; all its clones and tenants share one count.
///
/// `hits + stale + negative + misses + errors + cancelled` is `requests` less the ones in flight: a request is one key
/// of one reading call (`get`, `try_get`, `get_entry`, `get_arc`, `get_many`, `get_many_arc`, `get_or_load`, `get_many_or_load`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Keys asked for.
    pub requests: u64,
    /// Answered from the cache, fresh.
    pub hits: u64,
    /// Answered from the cache, in their grace.
    pub stale: u64,
    /// Answered by a record that the source has no such key.
    pub negative: u64,
    /// Answered with nothing, or from the source.
    pub misses: u64,
    /// Answered with an error; a panic is one.
    pub errors: u64,
    /// Not answered: the caller dropped its future.
    pub cancelled: u64,
    /// Loads started.
    pub loads: u64,
    /// Loads started because the store could not be reached; their values are not stored, but kept by a
    /// near cache.
    pub loads_degraded: u64,
    /// Requests that waited for a load that another one had begun in this process.
    pub loads_joined: u64,
    /// Loads that failed, timed out or panicked.
    pub load_failures: u64,
    /// Loaded values that were not stored because the key was set, removed or invalidated meanwhile.
    pub fills_refused: u64,
    /// Loaded values that could not be stored because the store failed.
    pub fills_failed: u64,
    /// Stored values that could not be opened by the layers below: tampered, unknown key or compression.
    pub rejected_unopened: u64,
    /// Stored values of another format.
    pub rejected_format: u64,
    /// Stored values of another schema.
    pub rejected_schema: u64,
    /// Stored values that the format could not decode.
    pub rejected_decode: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The live counts behind [`CacheStats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            /// Requests that did not end at once.
            begun: Striped,
            /// Those of them that ended with a hit.
            hit: Striped,
            /// Hits that were answered at once: requests that are counted once, when they end.
            at_once: Striped,
            /// Who is told as well.
            recorder: Option<Told<dyn Recorder>>,
            $($name: AtomicU64,)*
        }

        impl Counters {
            /// Takes a snapshot in which no more has ended than was begun.
            pub(crate) fn snapshot(&self) -> CacheStats {
                let mut stats = CacheStats { requests: 0, hits: 0, $($name: self.$name.load(Acquire),)* };
                let at_once = self.at_once.sum();
                stats.hits = self.hit.sum() + at_once;
                stats.requests = self.begun.sum() + at_once;
                stats
            }
        }
    };
}

counters!(
    stale,
    negative,
    misses,
    errors,
    cancelled,
    loads,
    loads_degraded,
    loads_joined,
    load_failures,
    fills_refused,
    fills_failed,
    rejected_unopened,
    rejected_format,
    rejected_schema,
    rejected_decode,
);

/// Adds one.
fn bump(counter: &AtomicU64) {
    add(counter, 1);
}

fn add(counter: &AtomicU64, count: u64) {
    // After the request was counted that it belongs to: a snapshot sees both or only that.
    counter.fetch_add(count, Release);
}

impl Counters {
    pub(crate) fn new(recorder: Option<Arc<dyn Recorder>>) -> Self {
        Self { recorder: recorder.map(Told::new), ..Self::default() }
    }

    /// Opens the count of `keys` requests; each must be [answered](Counted::answered), or is cancelled.
    pub(crate) fn begin(&self, keys: usize) -> Counted<'_> {
        self.begun.add(keys as u64);
        Counted { counters: self, open: keys as u64 }
    }

    /// Counts a request that ended at once.
    pub(crate) fn at_once(&self, outcome: Outcome) {
        match outcome {
            Outcome::Hit => self.hit_at_once(),
            other => self.begin(1).answered(Ok(other)),
        }
    }

    /// Counts a hit that was answered at once.
    #[inline]
    pub(crate) fn hit_at_once(&self) {
        self.at_once.bump();
        if let Some(recorder) = &self.recorder {
            recorder.request(Ending::Hit, 1);
        }
    }

    /// Watches over the caller's own code that runs before a request is counted: its panic is one that failed.
    pub(crate) fn uncounted(&self) -> Uncounted<'_> {
        Uncounted(Some(self))
    }

    /// Counts requests that ended in the same way.
    fn ended(&self, ending: Ending, count: u64) {
        if count == 0 {
            return;
        }
        match ending {
            Ending::Hit => self.hit.add(count),
            Ending::Stale => add(&self.stale, count),
            Ending::Negative => add(&self.negative, count),
            Ending::Miss => add(&self.misses, count),
            Ending::Error => add(&self.errors, count),
            Ending::Cancelled => add(&self.cancelled, count),
        }
        if let Some(recorder) = &self.recorder {
            recorder.request(ending, count);
        }
    }

    fn tell(&self, event: &Event) {
        if let Some(recorder) = &self.recorder {
            recorder.event(event);
        }
    }

    /// Counts a stored value that cannot be used.
    pub(crate) fn rejected(&self, reason: Rejection) {
        bump(match reason {
            Rejection::Unopened => &self.rejected_unopened,
            Rejection::Format => &self.rejected_format,
            Rejection::Schema => &self.rejected_schema,
            Rejection::Decode => &self.rejected_decode,
        });
        tracing::debug!(reason = reason.as_str(), "a stored value could not be used");
        self.tell(&Event::Rejected(reason));
    }

    /// Counts a load that begins.
    pub(crate) fn load_begins(&self, degraded: bool) {
        bump(&self.loads);
        if degraded {
            bump(&self.loads_degraded);
            self.tell(&Event::Degraded);
        }
    }

    /// Counts a request that waits for another's load.
    pub(crate) fn joined(&self) {
        bump(&self.loads_joined);
        self.tell(&Event::Joined);
    }

    /// Counts how a load ended.
    pub(crate) fn loaded(&self, result: Result<(), ErrorKind>, time: Duration) {
        if let Err(kind) = result {
            bump(&self.load_failures);
            tracing::debug!(kind = kind.as_str(), "a load failed");
        }
        self.tell(&Event::Loaded(result, time));
    }

    /// Counts what became of a loaded value.
    pub(crate) fn filled(&self, fill: Fill) {
        match fill {
            Fill::Stored => {}
            Fill::Refused => bump(&self.fills_refused),
            Fill::Failed => bump(&self.fills_failed),
        }
        self.tell(&Event::Filled(fill));
    }
}

/// Requests that are not answered yet.
pub(crate) struct Counted<'a> {
    counters: &'a Counters,
    open: u64,
}

impl Counted<'_> {
    /// Counts one answer.
    pub(crate) fn answered(&mut self, outcome: Result<Outcome, &Error>) {
        self.open -= 1;
        self.counters.ended(ending(outcome), 1);
    }

    /// Counts all open requests as failed.
    pub(crate) fn failed(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.counters.ended(Ending::Error, open);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let ending = if std::thread::panicking() { Ending::Error } else { Ending::Cancelled };
        self.counters.ended(ending, self.open);
    }
}

/// A request that is counted when it ends, because it ends at once.
pub(crate) struct Uncounted<'a>(Option<&'a Counters>);

impl Uncounted<'_> {
    #[inline]
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Uncounted<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(counters) = self.0.filter(|_| std::thread::panicking()) {
            counters.begin(1).failed();
        }
    }
}
