//! What is counted of one cache.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    histogram::Histogram,
    sample::{Sample, Value},
};
use crate::{
    error::ErrorKind,
    observe::{
        CallResult, Ending, Event, Fill, ObservedCall, OperationKind, Recorder, Rejection,
        instruments::{
            FILLS, Instrument, LOAD_DURATION, LOAD_RESULTS, LOADS_DEGRADED, LOADS_JOINED, OPERATION_DURATION,
            OPERATION_ERRORS, REJECTED, REQUESTS,
        },
        recorder::PANIC,
    },
    striped::Striped,
};

/// Counts for one cache; made by [`Registry::recorder`](super::Registry::recorder).
///
/// Recording takes no lock and, but for the first call of each operation and result, no memory.
pub struct CacheMetrics {
    name: Arc<str>,
    requests: [Striped; Ending::ALL.len()],
    calls: [[OnceLock<Box<Histogram>>; CallResult::NAMES.len()]; OperationKind::ALL.len()],
    /// One more for panics.
    errors: [[AtomicU64; ErrorKind::ALL.len() + 1]; OperationKind::ALL.len()],
    loads: [Histogram; LOAD_RESULTS.len()],
    degraded: AtomicU64,
    joined: AtomicU64,
    fills: [AtomicU64; Fill::ALL.len()],
    rejected: [AtomicU64; Rejection::ALL.len()],
}

impl CacheMetrics {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            requests: Default::default(),
            calls: Default::default(),
            errors: Default::default(),
            loads: Default::default(),
            degraded: AtomicU64::default(),
            joined: AtomicU64::default(),
            fills: Default::default(),
            rejected: Default::default(),
        }
    }

    /// Returns the name that it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds what was counted. Calls and errors that there never were have no series.
    pub(super) fn samples(&self, out: &mut Vec<Sample>) {
        let mut add = |instrument: &'static Instrument, words: &[&'static str], value: Value| {
            out.push(Sample { instrument, name: Some(Arc::clone(&self.name)), words: words.to_vec(), value });
        };
        let count = |counter: &AtomicU64| Value::Number(counter.load(Relaxed));
        for (ending, requests) in Ending::ALL.iter().zip(&self.requests) {
            add(REQUESTS, &[ending.as_str()], Value::Number(requests.sum()));
        }
        for (operation, results) in OperationKind::ALL.iter().zip(&self.calls) {
            for (result, calls) in CallResult::NAMES.iter().zip(results) {
                let Some(calls) = calls.get() else { continue };
                add(OPERATION_DURATION, &[operation.as_str(), result], Value::Times(Box::new(calls.buckets())));
            }
        }
        for (operation, errors) in OperationKind::ALL.iter().zip(&self.errors) {
            let kinds = ErrorKind::ALL.iter().map(|kind| kind.as_str()).chain([PANIC]);
            for (kind, errors) in kinds.zip(errors).filter(|(_, errors)| errors.load(Relaxed) > 0) {
                add(OPERATION_ERRORS, &[operation.as_str(), kind], count(errors));
            }
        }
        for (result, loads) in LOAD_RESULTS.iter().zip(&self.loads) {
            add(LOAD_DURATION, &[result], Value::Times(Box::new(loads.buckets())));
        }
        add(LOADS_DEGRADED, &[], count(&self.degraded));
        add(LOADS_JOINED, &[], count(&self.joined));
        Fill::ALL.iter().zip(&self.fills).for_each(|(fill, fills)| add(FILLS, &[fill.as_str()], count(fills)));
        let rejected = Rejection::ALL.iter().zip(&self.rejected);
        rejected.for_each(|(reason, values)| add(REJECTED, &[reason.as_str()], count(values)));
    }

    fn count_error(&self, call: &ObservedCall) {
        let kinds = &self.errors[call.operation as usize];
        let at = match call.result {
            CallResult::Error(kind) => ErrorKind::ALL.iter().position(|other| *other == kind),
            CallResult::Panicked => Some(ErrorKind::ALL.len()),
            CallResult::Ok | CallResult::Cancelled => None,
        };
        if let Some(at) = at {
            kinds[at].fetch_add(1, Relaxed);
        }
    }
}

impl Recorder for CacheMetrics {
    #[inline]
    fn request(&self, ending: Ending, count: u64) {
        self.requests[ending as usize].add(count);
    }

    fn call(&self, call: &ObservedCall) {
        self.calls[call.operation as usize][call.result.index()].get_or_init(Box::default).record(call.duration);
        if call.result.index() == ERROR {
            self.count_error(call);
        }
    }

    fn event(&self, event: &Event) {
        let counter = match event {
            Event::Loaded(result, time) => return self.loads[usize::from(result.is_err())].record(*time),
            Event::Degraded => &self.degraded,
            Event::Joined => &self.joined,
            Event::Filled(fill) => &self.fills[*fill as usize],
            Event::Rejected(reason) => &self.rejected[*reason as usize],
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Where the results of calls have errors.
const ERROR: usize = CallResult::Panicked.index();

impl fmt::Debug for CacheMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMetrics").field("name", &self.name).finish_non_exhaustive()
    }
}
