//! Choosing where telemetry goes: every setting is checked, all at once.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tracing::Level;

use super::{
    Telemetry,
    drops::Drops,
    endpoint::Endpoint,
    inbox::inbox,
    layer::{Intake, SpanLayer},
    sender::Destination,
    wire::{KeyValue, Resource},
    worker::{BATCH, Worker},
};
use crate::{
    clock::{Clock, SystemClock},
    error::{Error, Result, all_of},
    observe::Registry,
};

/// Most attributes of a service.
const MOST_ATTRIBUTES: usize = 64;
/// Longest text of one, in bytes.
const LONGEST_TEXT: usize = 256;
/// Where OTLP over HTTP is listened for.
const OTLP_PORT: u16 = 4318;
/// Where Zipkin listens, for OTLP too.
const ZIPKIN_PORT: u16 = 9411;

/// Builds [`Telemetry`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting.
#[must_use = "nothing is sent before `build`"]
pub struct TelemetryBuilder {
    service: String,
    attributes: Vec<(String, String)>,
    /// With the field that chose it, and the port where there is none.
    collectors: Vec<(&'static str, String, u16)>,
    prometheus: bool,
    registry: Registry,
    level: Level,
    sample: f64,
    interval: Duration,
    timeout: Duration,
    flush_within: Duration,
    queue: usize,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl TelemetryBuilder {
    pub(super) fn new(service: String) -> Self {
        Self {
            service,
            attributes: Vec::new(),
            collectors: Vec::new(),
            prometheus: false,
            registry: Registry::new(),
            level: Level::INFO,
            sample: 1.0,
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(5),
            flush_within: Duration::from_secs(2),
            queue: 2048,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(|| fastrand::u64(..)),
        }
    }

    /// Sends spans to Jaeger, 1.35 or later, at its OTLP port: `http://host:4318`. Jaeger takes no metrics.
    pub fn jaeger(self, url: impl Into<String>) -> Self {
        self.add("jaeger", url, OTLP_PORT)
    }

    /// Sends spans to a Zipkin server that has the module `openzipkin-contrib/zipkin-otel`, at Zipkin's own port:
    /// `http://host:9411`.
    ///
    /// A Zipkin without it takes no OTLP: send to an OpenTelemetry collector with its `zipkin` exporter, by
    /// [`collector`](Self::collector). Zipkin takes no metrics.
    pub fn zipkin(self, url: impl Into<String>) -> Self {
        self.add("zipkin", url, ZIPKIN_PORT)
    }

    /// Sends spans and metrics to an OpenTelemetry collector, or whatever else takes both: `http://host:4318`.
    pub fn collector(self, url: impl Into<String>) -> Self {
        self.add("collector", url, OTLP_PORT)
    }

    fn add(mut self, field: &'static str, url: impl Into<String>, port: u16) -> Self {
        self.collectors.push((field, url.into(), port));
        self
    }

    /// Has [`Telemetry::prometheus_text`] answer what Prometheus reads. Default: it answers `None`.
    pub fn prometheus(mut self) -> Self {
        self.prometheus = true;
        self
    }

    /// Takes metrics from this registry, which belongs to one `Telemetry` only. Default: a new one.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Adds an attribute of the service, such as `deployment.environment.name`; at most 64, of 1 to 256 bytes each.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Sets down to which level the application's own spans and events are sent; memstache's are to `DEBUG`.
    /// Default: `INFO`.
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Sets which part of all traces is sent, from 0 to 1; drawn where a trace begins. Default: 1, all of them.
    pub fn sample(mut self, part: f64) -> Self {
        self.sample = part;
        self
    }

    /// Sets how often metrics are sent, from 100 ms to an hour. Default: 15 s. Spans are sent once there are 512, or after
    /// 1 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Bounds each export, from a millisecond to a minute; what a collector has not accepted by then is dropped.
    /// Default: 5 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Bounds [`Telemetry::flush`], [`Telemetry::shutdown`] and the drop of the guard, from a millisecond to a minute.
    /// Default: 2 s.
    pub fn flush_within(mut self, limit: Duration) -> Self {
        self.flush_within = limit;
        self
    }

    /// Sets how many spans may wait to be gathered, from 1 to a million; each takes some hundred bytes, and at most
    /// some 300 KiB if its fields and events are many and long. Default: 2048.
    pub fn queue(mut self, spans: usize) -> Self {
        self.queue = spans;
        self
    }

    /// Chooses the clock. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Chooses the source of uniform numbers, for the ids of traces and spans and for what is sampled.
    /// Default: a fast generator.
    pub fn random(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Builds the guard, and starts its thread if there is a collector to send to.
    ///
    /// # Errors
    /// `Invalid`, which names every wrong setting; `Io` if the thread cannot be started.
    pub fn build(self) -> Result<Telemetry> {
        let destinations = self.check()?;
        let drops = Arc::new(Drops::default());
        self.registry.count_drops(&drops)?;
        let resource = self.resource();
        let (spans, inbox) = inbox(self.queue, BATCH);
        let (orders, inquiries) = mpsc::channel(16);
        let collectors = destinations.len() as u64;
        let intake = Intake {
            spans: (collectors > 0).then_some(spans),
            drops: Arc::clone(&drops),
            collectors,
            level: self.level,
            sample: self.sample,
            clock: Arc::clone(&self.clock),
            random: self.random,
        };
        if collectors > 0 {
            let worker = Worker {
                spans: inbox,
                orders: inquiries,
                destinations,
                drops: Arc::clone(&drops),
                registry: self.registry.clone(),
                resource,
                clock: Arc::clone(&self.clock),
                interval: self.interval,
                limit: self.timeout,
                flush_within: self.flush_within,
            };
            worker.start()?;
        }
        Ok(Telemetry {
            layer: SpanLayer::new(intake),
            registry: self.registry,
            prometheus: self.prometheus,
            orders: (collectors > 0).then_some(orders),
            drops,
            clock: self.clock,
            flush_within: self.flush_within,
        })
    }

    fn check(&self) -> Result<Vec<Destination>> {
        let mut wrong = Vec::new();
        let mut note = |field: &str, good: bool, limit: &str, given: &dyn fmt::Display| {
            if !good {
                wrong.push(Error::invalid(field, limit, given));
            }
        };
        let length = "1 to 256 bytes long";
        let fits = |text: &str| (1..=LONGEST_TEXT).contains(&text.len());
        note("service", fits(&self.service), length, &format_args!("{} bytes", self.service.len()));
        for (name, value) in &self.attributes {
            let longest = name.len().max(value.len());
            let given = format_args!("{} and {} bytes", name.len(), value.len()).to_string();
            note("attribute", fits(name) && longest <= LONGEST_TEXT, "a name and a value of at most 256 bytes", &given);
        }
        let attributes = self.attributes.len();
        note("attributes", attributes <= MOST_ATTRIBUTES, "at most 64", &attributes);
        note("sample", (0.0..=1.0).contains(&self.sample), "from 0 to 1", &self.sample);
        let times = [
            ("interval", self.interval, Duration::from_millis(100), Duration::from_secs(3600), "from 100 ms to 1 h"),
            ("timeout", self.timeout, Duration::from_millis(1), Duration::from_secs(60), "from 1 ms to 60 s"),
            ("flush_within", self.flush_within, Duration::from_millis(1), Duration::from_secs(60), "from 1 ms to 60 s"),
        ];
        for (field, time, least, most, limit) in times {
            note(field, (least..=most).contains(&time), limit, &format_args!("{time:?}"));
        }
        note("queue", (1..=1_000_000).contains(&self.queue), "from 1 to 1000000", &self.queue);
        let somewhere = self.prometheus || !self.collectors.is_empty();
        note("telemetry", somewhere, "sent somewhere (jaeger, zipkin, collector, prometheus)", &"nothing");
        let parsed: Vec<_> = self.collectors.iter().map(|(field, url, port)| destination(field, url, *port)).collect();
        wrong.extend(parsed.iter().filter_map(|it| it.as_ref().err().cloned()));
        all_of(&wrong)?;
        Ok(parsed.into_iter().flatten().collect())
    }

    fn resource(&self) -> Resource {
        let own = [
            ("service.name", self.service.as_str()),
            ("telemetry.sdk.name", "memstache"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        let given = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Resource { attributes: own.into_iter().chain(given).map(|(name, value)| KeyValue::text(name, value)).collect() }
    }
}

fn destination(field: &'static str, url: &str, port: u16) -> Result<Destination> {
    let endpoint = Endpoint::parse(field, url, port)?;
    Ok(Destination { name: field, endpoint, traces: true, metrics: field == "collector" })
}

impl fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryBuilder")
            .field("service", &self.service)
            .field("collectors", &self.collectors.len())
            .field("prometheus", &self.prometheus)
            .finish_non_exhaustive()
    }
}
