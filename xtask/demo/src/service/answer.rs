//! Answers that say where they came from.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, header::AGE},
    response::{IntoResponse, Response},
};
use memstache_core::{Fetched, Outcome};
use serde::Serialize;

use super::problem::Problem;

/// Says how the cache answered: `hit`, `stale`, `negative` or `miss`; `bypass` if it was not asked.
pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Answers with what was fetched; `404` if the source has no such thing.
pub(super) fn fetched<T: Serialize>(fetched: Fetched<T>, missing: &'static str) -> Response {
    let headers = [(X_CACHE, outcome(fetched.outcome)), (AGE, HeaderValue::from(fetched.age.as_secs()))];
    match fetched.value {
        Some(value) => (headers, Json(value)).into_response(),
        None => (headers, Problem::not_found(missing)).into_response(),
    }
}

/// Answers with what the source said itself.
pub(super) fn bypassed<T: Serialize>(value: Option<T>, missing: &'static str) -> Response {
    let headers = [(X_CACHE, HeaderValue::from_static("bypass"))];
    match value {
        Some(value) => (headers, Json(value)).into_response(),
        None => (headers, Problem::not_found(missing)).into_response(),
    }
}

fn outcome(outcome: Outcome) -> HeaderValue {
    HeaderValue::from_static(match outcome {
        Outcome::Hit => "hit",
        Outcome::Stale => "stale",
        Outcome::Negative => "negative",
        _ => "miss",
    })
}
