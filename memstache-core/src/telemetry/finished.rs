//! A span that has ended, and what is noted in it, within bounds.

use std::{
    fmt::{self, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::field::{Field, Visit};

use super::wire::Any;
use crate::observe::TraceContext;

/// Most attributes of a span or event.
const MOST_ATTRIBUTES: usize = 32;
/// Most events of a span.
const MOST_EVENTS: usize = 32;
/// Longest text of an attribute, in bytes.
const LONGEST_TEXT: usize = 256;

/// Which span, of which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) trace: u128,
    pub(super) span: u64,
}

/// The part that a span plays; numbered as OTLP does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// A span on its way to a collector.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) ids: Ids,
    pub(super) parent: Option<u64>,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) noted: Noted,
    pub(super) events: Vec<(u64, Noted)>,
    pub(super) dropped_events: u32,
}

impl Finished {
    /// One of which nothing is known but its number.
    #[cfg(test)]
    pub(super) fn numbered(span: u64) -> Self {
        Self {
            ids: Ids { trace: 1, span },
            parent: None,
            name: "x",
            kind: Kind::default(),
            start: 0,
            end: 0,
            noted: Noted::default(),
            events: Vec::new(),
            dropped_events: 0,
        }
    }

    /// Adds an event, as long as there is room.
    pub(super) fn add_event(&mut self, unix_nanos: u64, noted: Noted) {
        if self.events.len() < MOST_EVENTS {
            self.events.push((unix_nanos, noted));
        } else {
            self.dropped_events += 1;
        }
    }
}

/// What is noted in a span or event.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) attributes: Vec<(&'static str, Any)>,
    /// Attributes for which there was no room.
    pub(super) dropped: u32,
    /// What an event says.
    pub(super) message: Option<String>,
    pub(super) kind: Option<Kind>,
    /// The span of another process that it belongs to.
    pub(super) parent: Option<TraceContext>,
    /// Whether what the span stands for failed.
    pub(super) failed: bool,
}

impl Noted {
    fn note(&mut self, field: &Field, value: Any) {
        let name = field.name();
        match (name, &value) {
            ("message", Any::Text(text)) => self.message = Some(text.clone()),
            ("otel.kind", Any::Text(text)) => self.kind = kind(text),
            ("memstache.parent", Any::Text(text)) => self.parent = text.parse().ok(),
            ("otel.status_code", Any::Text(text)) => self.failed = text.eq_ignore_ascii_case("error"),
            _ => {
                self.failed |= name == "error.type";
                let known = self.attributes.iter().position(|(known, _)| *known == name);
                match known {
                    Some(at) => self.attributes[at].1 = value,
                    None if self.attributes.len() < MOST_ATTRIBUTES => self.attributes.push((name, value)),
                    None => self.dropped += 1,
                }
            }
        }
    }
}

impl Visit for Noted {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Cut::default();
        // It fails once the text is long enough.
        let _ = write!(text, "{value:?}");
        self.note(field, Any::Text(text.0));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Cut::default();
        let _ = text.write_str(value);
        self.note(field, Any::Text(text.0));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, Any::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // OTLP knows no larger ones.
        self.note(field, i64::try_from(value).map_or_else(|_| Any::Text(value.to_string()), Any::Int));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, Any::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, Any::Bool(value));
    }
}

fn kind(text: &str) -> Option<Kind> {
    let kinds = [
        ("internal", Kind::Internal),
        ("server", Kind::Server),
        ("client", Kind::Client),
        ("producer", Kind::Producer),
        ("consumer", Kind::Consumer),
    ];
    kinds.into_iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, kind)| kind)
}

/// A text that takes no more than it may, so that a long one is not even written.
#[derive(Default)]
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST_TEXT - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        self.0.push_str(&text[..end]);
        Err(fmt::Error)
    }
}

/// Nanoseconds since 1970, as OTLP counts.
pub(super) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut text = Cut::default();
        assert!(write!(text, "{}", "é".repeat(200)).is_err());
        assert_eq!(text.0, "é".repeat(128));
        let mut text = Cut::default();
        assert!(write!(text, "{}émore", "x".repeat(255)).is_err());
        assert_eq!(text.0.len(), 255);
    }

    #[test]
    fn events_have_a_bound() {
        let mut span = Finished::numbered(1);
        (0..MOST_EVENTS as u64 + 3).for_each(|at| span.add_event(at, Noted::default()));
        assert_eq!((span.events.len(), span.dropped_events), (MOST_EVENTS, 3));
    }

    #[test]
    fn kinds_have_the_numbers_of_the_protocol() {
        let numbers =
            ["INTERNAL", "server", "client", "producer", "consumer"].map(|it| kind(it).map(|kind| kind as i32));
        assert_eq!(numbers, [Some(1), Some(2), Some(3), Some(4), Some(5)]);
        assert_eq!(kind("other"), None);
    }

    #[test]
    fn the_time_before_1970_is_its_beginning() {
        assert_eq!(unix_nanos(UNIX_EPOCH - std::time::Duration::from_secs(1)), 0);
    }
}
