//! What is recorded is what the table says, by Prometheus' text and by the `metrics` crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use memstache_core::observe::{Attribute, INSTRUMENTS, Instrument, InstrumentKind, MetricsRecorder, Registry};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::workload;

/// As the specification of OpenTelemetry turns names into Prometheus' ones.
fn prometheus_name(instrument: &Instrument) -> String {
    let unit = if instrument.unit == "s" {
        "_seconds"
    } else if instrument.unit == "By" {
        "_bytes"
    } else {
        ""
    };
    let total = if instrument.kind == InstrumentKind::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", instrument.name.replace('.', "_"))
}

fn assert_attributes(instrument: &Instrument, attributes: &[(String, String)], separator: &str) {
    let names: Vec<_> = attributes.iter().map(|(name, _)| name.as_str()).collect();
    let told: Vec<_> = instrument.attributes.iter().map(|it| it.name().replace('.', separator)).collect();
    assert_eq!(names, told, "{}", instrument.name);
    for ((_, value), attribute) in attributes.iter().zip(instrument.attributes) {
        match attribute {
            Attribute::Cache => assert_eq!(value, "products"),
            Attribute::Tenant => assert_eq!(value, "(other)"),
            Attribute::DbSystem => assert_eq!(value, "redis"),
            Attribute::DbOperation => assert_eq!(value, "EVALSHA"),
            Attribute::DbProcedure => assert_eq!(value, "set"),
            Attribute::DbErrorType => assert_eq!(value, "timeout"),
            known => assert!(known.values().unwrap().contains(&value.as_str()), "{}: {value}", instrument.name),
        }
    }
}

#[tokio::test]
async fn the_text_has_every_instrument_of_the_table_and_no_other() {
    let registry = Registry::new();
    workload::everything(registry.recorder("products").unwrap(), Some(&registry)).await;
    let text = registry.prometheus_text();
    let known: BTreeMap<_, _> = INSTRUMENTS.iter().map(|it| (prometheus_name(it), *it)).collect();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(known[name].kind.to_string(), kind, "{name}");
            assert!(seen.insert(name.to_owned()), "{name} once");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert_eq!(format!("{}.", known[name].description), help);
            continue;
        }
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, value) = rest.split_once("} ").unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let instrument = known.get(family).unwrap_or_else(|| panic!("{name} is not in the table"));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        let labels: Vec<_> = labels.split(',').map(pair).filter(|(name, _)| name != "le").collect();
        assert_attributes(instrument, &labels, "_");
    }
    let missing: Vec<_> = known.keys().filter(|name| !seen.contains(*name)).collect();
    assert_eq!(missing, ["memstache_telemetry_dropped_total"], "only telemetry itself counts that");
}

/// What the `metrics` crate was told.
#[derive(Debug, Default)]
struct Told {
    described: BTreeMap<String, Option<Unit>>,
    /// Series, with what was added to them.
    sums: BTreeMap<(String, Vec<(String, String)>), f64>,
}

/// An exporter that keeps everything.
#[derive(Clone, Debug, Default)]
struct Exporter(Arc<Mutex<Told>>);

#[derive(Debug)]
struct Series(Exporter, (String, Vec<(String, String)>));

impl Series {
    fn add(&self, value: f64) {
        *self.0.0.lock().unwrap().sums.entry(self.1.clone()).or_default() += value;
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }
    fn absolute(&self, _: u64) {
        unreachable!("counters are added to");
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Exporter {
    fn series(&self, key: &Key) -> Arc<Series> {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        let series = Series(self.clone(), (key.name().to_owned(), labels));
        series.add(0.0);
        Arc::new(series)
    }

    fn describe(&self, key: &KeyName, unit: Option<Unit>) {
        self.0.lock().unwrap().described.insert(key.as_str().to_owned(), unit);
    }
}

impl Recorder for Exporter {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        unreachable!("there are none");
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        unreachable!("there are none");
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}

#[test]
fn the_metrics_crate_is_told_what_a_recorder_is_told_by_the_same_names() {
    let exporter = Exporter::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = Registry::new();
    metrics::with_local_recorder(&exporter, || {
        let both = Both(MetricsRecorder::new("products").unwrap(), registry.recorder("products").unwrap());
        runtime.block_on(workload::everything(both, None));
    });
    assert!(MetricsRecorder::new("a name").unwrap_err().to_string().contains("the cache's name"));

    let told = exporter.0.lock().unwrap();
    // What is asked each time is not recorded.
    let asked = ["tier.", "tenant.", "breaker.", "shed", "retries", "timeouts", "telemetry."];
    let own = |it: &Instrument| it.name.strip_prefix("memstache.");
    let recorded = |it: &&&Instrument| own(it).is_some_and(|name| !asked.iter().any(|begin| name.starts_with(begin)));
    let names: BTreeSet<_> = INSTRUMENTS.iter().filter(recorded).map(|it| it.name).collect();
    let series: BTreeSet<_> = told.sums.keys().map(|(name, _)| name.as_str()).collect();
    assert_eq!(series, names);
    let text = registry.prometheus_text();
    for ((name, attributes), sum) in &told.sums {
        let instrument = INSTRUMENTS.iter().find(|it| it.name == name).unwrap();
        assert_attributes(instrument, attributes, ".");
        let unit = if instrument.unit == "s" { Unit::Seconds } else { Unit::Count };
        assert_eq!(told.described[name.as_str()], Some(unit), "{name}");
        if instrument.kind == InstrumentKind::Counter {
            let labels: Vec<_> =
                attributes.iter().map(|(name, value)| format!("{}=\"{value}\"", name.replace('.', "_"))).collect();
            let line = format!("{}{{{}}} {sum}", prometheus_name(instrument), labels.join(","));
            assert!(text.lines().any(|it| it == line), "both count the same: {line}\n{text}");
        }
    }
}

/// Tells two recorders.
#[derive(Clone, Debug)]
struct Both<A, B>(A, B);

impl<A, B> memstache_core::observe::Recorder for Both<A, B>
where
    A: memstache_core::observe::Recorder,
    B: memstache_core::observe::Recorder,
{
    fn request(&self, ending: memstache_core::observe::Ending, count: u64) {
        self.0.request(ending, count);
        self.1.request(ending, count);
    }

    fn call(&self, call: &memstache_core::observe::ObservedCall) {
        self.0.call(call);
        self.1.call(call);
    }

    fn event(&self, event: &memstache_core::observe::Event) {
        self.0.event(event);
        self.1.event(event);
    }
}
