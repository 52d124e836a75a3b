//! Prometheus' text format, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>; names after
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>: dots become underscores, units
//! suffixes, and counters end with `_total`.

use std::fmt::{self, Write};

use super::{
    histogram::Buckets,
    sample::{Sample, Value},
};
use crate::observe::{INSTRUMENTS, Instrument, InstrumentKind};

/// Writes samples, grouped by instrument in the order of the table.
pub(super) fn render(samples: &[Sample]) -> String {
    let mut out = String::with_capacity(samples.len() * 96);
    for instrument in INSTRUMENTS {
        let of = samples.iter().filter(|sample| sample.instrument.name == instrument.name);
        // Writing to a string does not fail.
        let _ = family(&mut out, instrument, of);
    }
    out
}

fn family<'a>(out: &mut String, instrument: &Instrument, samples: impl Iterator<Item = &'a Sample>) -> fmt::Result {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let name = name(instrument);
    writeln!(out, "# HELP {name} {}.", instrument.description)?;
    writeln!(out, "# TYPE {name} {}", instrument.kind)?;
    samples.try_for_each(|sample| series(out, &name, sample))
}

fn series(out: &mut String, name: &str, sample: &Sample) -> fmt::Result {
    let labels: Vec<String> = sample
        .attributes()
        .map(|(attribute, value)| format!("{}=\"{}\"", underscored(attribute.name()), escaped(value)))
        .collect();
    let labels = labels.join(",");
    match &sample.value {
        Value::Number(number) => writeln!(out, "{name}{{{labels}}} {number}"),
        Value::Times(buckets) => {
            let bounds = Buckets::bounds().map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
            let mut below = 0;
            for (bound, count) in bounds.zip(buckets.counts) {
                below += count;
                writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
            }
            writeln!(out, "{name}_sum{{{labels}}} {}", buckets.sum.as_secs_f64())?;
            writeln!(out, "{name}_count{{{labels}}} {}", buckets.count())
        }
    }
}

fn name(instrument: &Instrument) -> String {
    let unit = match instrument.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
    let total = if instrument.kind == InstrumentKind::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", underscored(instrument.name))
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::observe::{CallResult, Ending, ObservedCall, OperationKind, Recorder as _, Registry};

    #[test]
    fn one_cache_as_prometheus_reads_it() {
        let registry = Registry::new();
        let recorder = registry.recorder("products").unwrap();
        recorder.request(Ending::Hit, 3);
        for micros in [1, 2, 70_000_000] {
            let time = Duration::from_micros(micros);
            recorder.call(&ObservedCall::new(OperationKind::Get, CallResult::Ok, 1, time));
        }
        let text = registry.prometheus_text();
        for line in [
            "# TYPE memstache_requests_total counter",
            "memstache_requests_total{memstache_cache=\"products\",memstache_outcome=\"hit\"} 3",
            "memstache_requests_total{memstache_cache=\"products\",memstache_outcome=\"stale\"} 0",
            "# TYPE memstache_operation_duration_seconds histogram",
            "memstache_operation_duration_seconds_bucket{memstache_cache=\"products\",memstache_operation=\"get\",\
             memstache_result=\"ok\",le=\"0.000001\"} 1",
            "memstache_operation_duration_seconds_bucket{memstache_cache=\"products\",memstache_operation=\"get\",\
             memstache_result=\"ok\",le=\"10\"} 2",
            "memstache_operation_duration_seconds_bucket{memstache_cache=\"products\",memstache_operation=\"get\",\
             memstache_result=\"ok\",le=\"+Inf\"} 3",
            "memstache_operation_duration_seconds_sum{memstache_cache=\"products\",memstache_operation=\"get\",\
             memstache_result=\"ok\"} 70.000003",
            "memstache_operation_duration_seconds_count{memstache_cache=\"products\",memstache_operation=\"get\",\
             memstache_result=\"ok\"} 3",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(!text.contains("memstache_operation_errors"), "there were none");
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        let sample = Sample {
            instrument: INSTRUMENTS[0],
            name: Some(Arc::from("x")),
            words: vec!["hit"],
            value: Value::Number(1),
        };
        assert_eq!(sample.attributes().map(|(_, value)| value).collect::<Vec<_>>(), ["x", "hit"]);
    }
}
