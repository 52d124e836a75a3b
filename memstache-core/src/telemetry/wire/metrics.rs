//! Metrics.

use std::time::SystemTime;

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{KeyValue, Library, Resource};
use crate::{
    observe::{Buckets, INSTRUMENTS, Instrument, InstrumentKind, Sample, Value},
    telemetry::finished::unix_nanos,
};

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Library>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(oneof = "Data", tags = "5, 7, 9")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Data {
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    #[prost(message, tag = "7")]
    Sum(Sum),
    #[prost(message, tag = "9")]
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Message)]
struct Gauge {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Number>,
}

#[derive(Clone, PartialEq, Message)]
struct Sum {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Number>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Times>,
    #[prost(int32, tag = "2")]
    temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(fixed64, tag = "2")]
    start_unix_nanos: u64,
    #[prost(fixed64, tag = "3")]
    unix_nanos: u64,
    /// In a oneof of the schema, so that zero is written too.
    #[prost(sfixed64, optional, tag = "6")]
    as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Times {
    #[prost(fixed64, tag = "2")]
    start_unix_nanos: u64,
    #[prost(fixed64, tag = "3")]
    unix_nanos: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    bounds: Vec<f64>,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: a lost export loses nothing but its moment.
const CUMULATIVE: i32 = 2;

/// Encodes an export of metrics, counted since `start`.
pub(in crate::telemetry) fn metrics(
    resource: &Resource,
    samples: &[Sample],
    start: SystemTime,
    now: SystemTime,
) -> Bytes {
    let span = (unix_nanos(start), unix_nanos(now));
    let metrics = INSTRUMENTS.iter().filter_map(|instrument| metric(instrument, samples, span)).collect();
    let scopes = vec![ScopeMetrics { scope: Some(Library::own()), metrics }];
    let resources = vec![ResourceMetrics { resource: Some(resource.clone()), scopes }];
    Export { resources }.encode_to_vec().into()
}

fn metric(instrument: &Instrument, samples: &[Sample], span: (u64, u64)) -> Option<Metric> {
    let mut of = samples.iter().filter(|sample| sample.instrument.name == instrument.name).peekable();
    of.peek()?;
    let data = match instrument.kind {
        InstrumentKind::Counter => {
            Data::Sum(Sum { points: of.map(|it| number(it, span)).collect(), temporality: CUMULATIVE, monotonic: true })
        }
        InstrumentKind::Gauge => Data::Gauge(Gauge { points: of.map(|it| number(it, span)).collect() }),
        InstrumentKind::Histogram => {
            Data::Histogram(Histogram { points: of.map(|it| times(it, span)).collect(), temporality: CUMULATIVE })
        }
    };
    Some(Metric {
        name: instrument.name.to_owned(),
        description: instrument.description.to_owned(),
        unit: instrument.unit.to_owned(),
        data: Some(data),
    })
}

fn number(sample: &Sample, (start_unix_nanos, unix_nanos): (u64, u64)) -> Number {
    let Value::Number(number) = sample.value else { unreachable!("counters and gauges are numbers") };
    let as_int = Some(i64::try_from(number).unwrap_or(i64::MAX));
    Number { start_unix_nanos, unix_nanos, as_int, attributes: attributes(sample) }
}

fn times(sample: &Sample, (start_unix_nanos, unix_nanos): (u64, u64)) -> Times {
    let Value::Times(buckets) = &sample.value else { unreachable!("histograms are of times") };
    Times {
        start_unix_nanos,
        unix_nanos,
        count: buckets.count(),
        sum: Some(buckets.sum.as_secs_f64()),
        counts: buckets.counts.to_vec(),
        bounds: Buckets::bounds().collect(),
        attributes: attributes(sample),
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    sample.attributes().map(|(attribute, value)| KeyValue::text(attribute.name(), value)).collect()
}
