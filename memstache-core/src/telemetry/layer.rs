//! Takes part in a `tracing` subscriber and hands over every span that has ended.

use std::{fmt, sync::Arc, time::Duration};

use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{
    drops::{Drops, Signal},
    finished::{Finished, Ids, Noted, unix_nanos},
    inbox::Slot,
};
use crate::{
    clock::Clock,
    observe::{Propagator, TraceContext},
};

/// The target of every span of memstache begins with this.
const OWN: &str = "memstache";

/// A layer of a `tracing_subscriber` registry that sends the spans of memstache and of the application.
///
/// Made by [`Telemetry::layer`](super::Telemetry::layer). Spans of memstache are taken from level `DEBUG`, others from
/// [`TelemetryBuilder::level`](super::TelemetryBuilder::level). A span that is not taken is passed over: its children
/// belong to its parent. Handing over a span waits for nothing: if there is no room, the span is dropped and counted.
///
/// The fields `otel.kind` (`server`, `client`, …) and `otel.status_code` (`error`) are understood, `memstache.parent` is the
/// `traceparent` of the span of another process that a span belongs to, and a span with a field
/// `error.type` has failed. A text is cut at 256 bytes; a span has at most 32 attributes and 32 events.
#[derive(Clone)]
pub struct SpanLayer(Arc<Intake>);

pub(super) struct Intake {
    /// Where spans go; `None` if nobody wants them.
    pub(super) spans: Option<Slot>,
    pub(super) drops: Arc<Drops>,
    /// How many collectors get each span.
    pub(super) collectors: u64,
    pub(super) level: Level,
    pub(super) sample: f64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// What is known of an open span.
enum Open {
    /// Its trace is not sampled.
    Unsampled,
    Sampled(Box<(Finished, Duration)>),
}

impl SpanLayer {
    pub(super) fn new(intake: Intake) -> Self {
        Self(Arc::new(intake))
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let level = if metadata.target().starts_with(OWN) { Level::DEBUG } else { self.0.level };
        self.0.spans.is_some() && *metadata.level() <= level
    }

    /// A root is sampled by chance, and all below as it is.
    fn open(&self, attributes: &Attributes<'_>, parent: Option<Option<Ids>>) -> Open {
        let intake = &*self.0;
        let mut noted = Noted::default();
        attributes.record(&mut noted);
        // That of another process, whatever was going on here when the span began.
        let remote = noted.parent.map(|parent| {
            let ids = Ids { trace: parent.trace_id, span: parent.span_id };
            parent.is_sampled().then_some(ids)
        });
        let parent = remote.or(parent);
        let ids = match parent {
            Some(None) => return Open::Unsampled,
            Some(Some(parent)) => Ids { trace: parent.trace, span: intake.id() },
            None if !intake.draws() => return Open::Unsampled,
            None => Ids { trace: u128::from(intake.id()) << 64 | u128::from(intake.id()), span: intake.id() },
        };
        let start = unix_nanos(intake.clock.wall());
        let finished = Finished {
            ids,
            parent: parent.flatten().map(|parent| parent.span),
            name: attributes.metadata().name(),
            kind: noted.kind.unwrap_or_default(),
            start,
            end: start,
            noted,
            events: Vec::new(),
            dropped_events: 0,
        };
        Open::Sampled(Box::new((finished, intake.clock.elapsed())))
    }
}

impl Intake {
    /// An id; zero stands for none.
    fn id(&self) -> u64 {
        (self.random)().max(1)
    }

    /// Whether a trace that begins is sampled.
    fn draws(&self) -> bool {
        // 53 bits, as many as a float has.
        let drawn = ((self.random)() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < self.sample
    }

    fn hand_over(&self, span: Finished) {
        let sent = self.spans.as_ref().is_some_and(|spans| spans.put(span));
        if !sent {
            self.drops.dropped(Signal::Traces, self.collectors);
        }
    }
}

/// Runs something with the nearest open span that is taken, from this one upwards.
fn with_open<'a, S, T>(span: Option<SpanRef<'a, S>>, mut with: impl FnMut(&mut Open) -> T) -> Option<T>
where
    S: LookupSpan<'a>,
{
    span?.scope().find_map(|span| span.extensions_mut().get_mut::<Open>().map(&mut with))
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !self.takes(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let parent = with_open(span.parent(), |open| match open {
            Open::Unsampled => None,
            Open::Sampled(parent) => Some(parent.0.ids),
        });
        span.extensions_mut().insert(self.open(attributes, parent));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(Open::Sampled(open)) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.0.noted);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.takes(event.metadata()) {
            return;
        }
        with_open(context.event_span(event), |open| {
            if let Open::Sampled(open) = open {
                let mut noted = Noted::default();
                event.record(&mut noted);
                open.0.add_event(unix_nanos(self.0.clock.wall()), noted);
            }
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(Open::Sampled(open)) = open {
            let (mut finished, began) = *open;
            let took = self.0.clock.elapsed().saturating_sub(began);
            finished.end = finished.start.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            self.0.hand_over(finished);
        }
    }
}

/// Of the current span, where the subscriber is a `tracing_subscriber` registry with layers.
impl Propagator for SpanLayer {
    fn current(&self) -> Option<TraceContext> {
        tracing::dispatcher::get_default(|dispatch| {
            let registry = dispatch.downcast_ref::<Registry>()?;
            let span = registry.span(dispatch.current_span().id()?);
            with_open(span, |open| match open {
                // The others are told that nobody keeps it, so that they do not begin traces of their own.
                Open::Unsampled => TraceContext { trace_id: 1, span_id: 1, flags: 0 },
                Open::Sampled(open) => {
                    let Ids { trace, span } = open.0.ids;
                    TraceContext { trace_id: trace, span_id: span, flags: 1 }
                }
            })
        })
    }
}

impl fmt::Debug for SpanLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanLayer")
            .field("level", &self.0.level)
            .field("sample", &self.0.sample)
            .finish_non_exhaustive()
    }
}
