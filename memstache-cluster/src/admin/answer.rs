//! What is answered: JSON, text, and what is wrong.

use std::fmt;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use memstache_core::{Error, ErrorKind};
use serde::Serialize;

use crate::engine::EngineError;

/// Headers of every answer: nobody keeps it, shows it in a frame, or takes it for something else.
pub(super) const SAFE: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// What answers that are no page may do in a browser.
pub(super) const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// JSON, indented for people by two spaces.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        // Maps with keys that are no text; there are none.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// What is wrong with a request, as `{"error": …}`.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    text: String,
}

#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, text: impl fmt::Display) -> Self {
        Self { status, text: text.to_string() }
    }
}

impl From<Error> for Problem {
    /// Errors name no key and no secret.
    fn from(error: Error) -> Self {
        let missing = error.find_source::<EngineError>() == Some(&EngineError::KeyspaceNotFound);
        let status = match error.kind() {
            _ if missing => StatusCode::NOT_FOUND,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Unsupported | ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Unavailable | ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Timeout | ErrorKind::Unknown => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        json(self.status, &Told { error: &self.text })
    }
}
