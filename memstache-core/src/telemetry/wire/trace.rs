//! Spans.

use bytes::Bytes;
use prost::Message;

use super::{KeyValue, Library, Resource};
use crate::telemetry::finished::{Finished, Noted};

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Library>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_unix_nanos: u64,
    #[prost(fixed64, tag = "8")]
    end_unix_nanos: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "10")]
    dropped_attributes: u32,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(uint32, tag = "12")]
    dropped_events: u32,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    unix_nanos: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    dropped_attributes: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// Encodes an export of spans.
pub(in crate::telemetry) fn traces(resource: &Resource, spans: Vec<Finished>) -> Bytes {
    let spans = spans.into_iter().map(Span::from).collect();
    let scopes = vec![ScopeSpans { scope: Some(Library::own()), spans }];
    let resources = vec![ResourceSpans { resource: Some(resource.clone()), scopes }];
    Export { resources }.encode_to_vec().into()
}

impl From<Finished> for Span {
    fn from(span: Finished) -> Self {
        Self {
            trace_id: span.ids.trace.to_be_bytes().to_vec(),
            span_id: span.ids.span.to_be_bytes().to_vec(),
            parent_span_id: span.parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
            name: span.name.to_owned(),
            kind: span.kind as i32,
            start_unix_nanos: span.start,
            end_unix_nanos: span.end,
            attributes: attributes(span.noted.attributes),
            dropped_attributes: span.noted.dropped,
            events: span.events.into_iter().map(Event::from).collect(),
            dropped_events: span.dropped_events,
            status: span.noted.failed.then_some(Status { code: ERROR }),
        }
    }
}

impl From<(u64, Noted)> for Event {
    fn from((unix_nanos, noted): (u64, Noted)) -> Self {
        Self {
            unix_nanos,
            name: noted.message.unwrap_or_default(),
            attributes: attributes(noted.attributes),
            dropped_attributes: noted.dropped,
        }
    }
}

fn attributes(noted: Vec<(&'static str, super::Any)>) -> Vec<KeyValue> {
    noted.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect()
}
