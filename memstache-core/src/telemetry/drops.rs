//! What collectors got, and what they did not.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::observe::{SIGNALS, Sample, TELEMETRY_DROPPED, Value};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

/// What became of what was to be sent.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    delivered: [AtomicU64; 2],
    dropped: [AtomicU64; 2],
}

/// What [`Telemetry`](super::Telemetry) has sent since it was built: once for each collector that was to get it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetryStats {
    /// Spans that a collector accepted.
    pub spans_delivered: u64,
    /// Spans that it did not get: no room in a queue, out of reach, too slow, refused.
    pub spans_dropped: u64,
    /// Exports of all metrics that a collector accepted.
    pub exports_delivered: u64,
    /// Exports that it did not get. The next one makes up for it: counts are cumulative.
    pub exports_dropped: u64,
}

impl Drops {
    pub(super) fn delivered(&self, signal: Signal, count: u64) {
        self.delivered[signal as usize].fetch_add(count, Relaxed);
    }

    pub(super) fn dropped(&self, signal: Signal, count: u64) {
        self.dropped[signal as usize].fetch_add(count, Relaxed);
    }

    pub(super) fn stats(&self) -> TelemetryStats {
        let [spans_delivered, exports_delivered] = [0, 1].map(|at: usize| self.delivered[at].load(Relaxed));
        let [spans_dropped, exports_dropped] = [0, 1].map(|at: usize| self.dropped[at].load(Relaxed));
        TelemetryStats { spans_delivered, spans_dropped, exports_delivered, exports_dropped }
    }

    /// Adds what was dropped, for the registry.
    pub(crate) fn samples(&self, out: &mut Vec<Sample>) {
        out.extend(SIGNALS.iter().zip(&self.dropped).map(|(signal, dropped)| Sample {
            instrument: TELEMETRY_DROPPED,
            name: None,
            words: vec![signal],
            value: Value::Number(dropped.load(Relaxed)),
        }));
    }
}

/// Something on its way to one collector: unless it is delivered, it is dropped, and counted.
#[derive(Debug)]
pub(super) struct Parcel<T> {
    pub(super) content: T,
    pub(super) signal: Signal,
    open: u64,
    drops: Arc<Drops>,
}

impl<T> Parcel<T> {
    pub(super) fn new(drops: &Arc<Drops>, signal: Signal, count: u64, content: T) -> Self {
        Self { content, signal, open: count, drops: Arc::clone(drops) }
    }

    /// It was accepted, but for so many.
    pub(super) fn delivered(mut self, refused: u64) {
        let all = self.open;
        self.open = refused.min(all);
        self.drops.delivered(self.signal, all - self.open);
    }
}

impl<T> Drop for Parcel<T> {
    fn drop(&mut self) {
        self.drops.dropped(self.signal, self.open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_delivered_is_dropped() {
        let drops = Arc::new(Drops::default());
        drop(Parcel::new(&drops, Signal::Traces, 5, ()));
        Parcel::new(&drops, Signal::Traces, 7, ()).delivered(2);
        Parcel::new(&drops, Signal::Metrics, 1, ()).delivered(9);
        let stats = drops.stats();
        assert_eq!((stats.spans_delivered, stats.spans_dropped), (5, 7));
        assert_eq!((stats.exports_delivered, stats.exports_dropped), (0, 1));
    }
}
