//! A recorder for the `metrics` crate.

use std::{fmt, sync::Arc};

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::{
    CallResult, Ending, Event, Fill, Instrument, InstrumentKind, ObservedCall, OperationKind, Recorder, Rejection,
    instruments::{
        FILLS, LOAD_DURATION, LOAD_RESULTS, LOADS_DEGRADED, LOADS_JOINED, OPERATION_DURATION, OPERATION_ERRORS,
        REJECTED, REQUESTS,
    },
};
use crate::{error::Result, name};

/// The instruments that a [`Recorder`] is told about; tiers and tenants are asked, and telemetry counts itself.
const RECORDED: &[&Instrument] =
    &[REQUESTS, OPERATION_DURATION, OPERATION_ERRORS, LOAD_DURATION, LOADS_DEGRADED, LOADS_JOINED, FILLS, REJECTED];

/// Reports to the [`metrics`](https://docs.rs/metrics) facade, and so to whatever exporter the application has installed.
///
/// What a [`Recorder`] is told has the names, units and attributes of the [table](crate::observe), times in seconds. What
/// tiers hold and tenants use is asked by a [`Registry`](super::Registry) only.
///
/// ```
/// # fn main() -> memstache_core::Result<()> {
/// use memstache_core::{Cache, Json, MemoryStore, Stack, observe::{MetricsRecorder, ObserveLayer}};
///
/// // After the exporter was installed: whoever is installed later hears nothing of this recorder.
/// let recorder = MetricsRecorder::new("products")?;
/// let stack = Stack::over(MemoryStore::builder().build()?).observe(ObserveLayer::new(recorder.clone())).build();
/// let cache = Cache::builder(stack).keyspace("products").format(Json).recorder(recorder).build()?;
/// # let _ = cache;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MetricsRecorder(Arc<Handles>);

/// Looked up once, so that recording is an addition.
struct Handles {
    cache: Arc<str>,
    requests: Vec<Counter>,
    /// By operation, then by result.
    calls: Vec<Histogram>,
    loads: Vec<Histogram>,
    degraded: Counter,
    joined: Counter,
    fills: Vec<Counter>,
    rejected: Vec<Counter>,
}

impl MetricsRecorder {
    /// Creates the recorder of a cache, with the exporter that is installed now.
    ///
    /// # Errors
    /// `Invalid` unless the name is 1 to 64 bytes of `[A-Za-z0-9._-]`.
    pub fn new(cache: &str) -> Result<Self> {
        let cache = name::label("the cache's name", cache)?;
        RECORDED.iter().for_each(|instrument| describe(instrument));
        let name = || cache.to_string();
        let with = |instrument: &Instrument, value: &'static str| counter!(instrument.name, "memstache.cache" => name(), instrument.attributes[1].name() => value);
        let call = |operation: &OperationKind, result: &'static str| {
            histogram!(OPERATION_DURATION.name, "memstache.cache" => name(),
                "memstache.operation" => operation.as_str(), "memstache.result" => result)
        };
        let load = |result: &&'static str| histogram!(LOAD_DURATION.name, "memstache.cache" => name(), "memstache.result" => *result);
        let handles = Handles {
            requests: Ending::ALL.iter().map(|ending| with(REQUESTS, ending.as_str())).collect(),
            calls: OperationKind::ALL
                .iter()
                .flat_map(|operation| CallResult::NAMES.iter().map(move |result| call(operation, result)))
                .collect(),
            loads: LOAD_RESULTS.iter().map(load).collect(),
            degraded: counter!(LOADS_DEGRADED.name, "memstache.cache" => name()),
            joined: counter!(LOADS_JOINED.name, "memstache.cache" => name()),
            fills: Fill::ALL.iter().map(|fill| with(FILLS, fill.as_str())).collect(),
            rejected: Rejection::ALL.iter().map(|reason| with(REJECTED, reason.as_str())).collect(),
            cache: Arc::clone(&cache),
        };
        Ok(Self(Arc::new(handles)))
    }
}

fn describe(instrument: &Instrument) {
    let unit = if instrument.unit == "s" { Unit::Seconds } else { Unit::Count };
    match instrument.kind {
        InstrumentKind::Histogram => describe_histogram!(instrument.name, unit, instrument.description),
        InstrumentKind::Counter | InstrumentKind::Gauge => {
            describe_counter!(instrument.name, unit, instrument.description);
        }
    }
}

impl Recorder for MetricsRecorder {
    fn request(&self, ending: Ending, count: u64) {
        self.0.requests[ending as usize].increment(count);
    }

    fn call(&self, call: &ObservedCall) {
        let at = call.operation as usize * CallResult::NAMES.len() + call.result.index();
        self.0.calls[at].record(call.duration.as_secs_f64());
        if let Some(kind) = call.result.error_type() {
            counter!(OPERATION_ERRORS.name, "memstache.cache" => self.0.cache.to_string(),
                "memstache.operation" => call.operation.as_str(), "error.type" => kind)
            .increment(1);
        }
    }

    fn event(&self, event: &Event) {
        let handles = &*self.0;
        let counter = match event {
            Event::Loaded(result, time) => {
                return handles.loads[usize::from(result.is_err())].record(time.as_secs_f64());
            }
            Event::Degraded => &handles.degraded,
            Event::Joined => &handles.joined,
            Event::Filled(fill) => &handles.fills[*fill as usize],
            Event::Rejected(reason) => &handles.rejected[*reason as usize],
        };
        counter.increment(1);
    }
}

impl fmt::Debug for MetricsRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRecorder").field("cache", &self.0.cache).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::INSTRUMENTS;

    #[test]
    fn all_but_what_is_asked_is_recorded() {
        let others = INSTRUMENTS.iter().filter(|instrument| RECORDED.iter().all(|it| it.name != instrument.name));
        let asked = [
            "memstache.tier.",
            "memstache.tenant.",
            "memstache.breaker.",
            "memstache.shed",
            "memstache.retries",
            "memstache.timeouts",
            "memstache.telemetry.dropped",
            "db.client.operation.duration",
        ];
        assert!(others.clone().all(|it| asked.iter().any(|begin| it.name.starts_with(begin))));
        assert_eq!(others.count() + RECORDED.len(), INSTRUMENTS.len());
    }
}
