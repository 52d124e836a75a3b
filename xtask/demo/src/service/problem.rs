//! Errors as their callers see them: problem details (RFC 9457) that give nothing away.

use std::time::Duration;

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use memstache_core::{Error, ErrorKind};
use serde_json::json;

use crate::database::SourceError;

/// How long a caller is to wait that asks for what cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// An error with its status and a sentence for the caller.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// When the caller may try again.
    retry_after: Option<Duration>,
    /// What the operator is told.
    cause: Option<Cause>,
}

/// Why a request failed, for the operator: carried by the response, and not sent.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) String);

impl Problem {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not answer this method")
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(PAUSE), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// The shop has had as much as its plan allows; nothing is wrong with the service.
    fn too_many(retry_after: Duration) -> Self {
        let detail = "this shop asks more often than its plan allows";
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the service made a mistake")
    }

    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, cause: None }
    }

    pub(super) fn because(self, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { cause: Some(Cause(chain(error))), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            // In whole seconds (RFC 9110, section 10.2.3): who comes back after fewer is refused again.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        Self::unavailable("the products cannot be reached at the moment").because(&error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // Of all limits, only the rate of a tenant's plan knows when there is room again.
        if let (ErrorKind::Overloaded, Some(after)) = (error.kind(), error.retry_after()) {
            return Self::too_many(after);
        }
        let problem = match error.kind() {
            ErrorKind::Load | ErrorKind::Timeout | ErrorKind::Overloaded | ErrorKind::Unavailable => {
                Self::unavailable("the products cannot be reached at the moment")
            }
            ErrorKind::Unknown => Self::unavailable("the change may or may not have been made"),
            _ => Self::internal(),
        };
        problem.because(&error)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = match &rejection {
            JsonRejection::JsonDataError(_) => "the body lacks a field, or a field has the wrong type or value",
            JsonRejection::JsonSyntaxError(_) => "the body is not JSON",
            JsonRejection::MissingJsonContentType(_) => "the content type must be application/json",
            _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body must be at most 16 KiB long");
            }
            _ => "the body could not be read",
        };
        Self::invalid(detail)
    }
}

/// An error and its sources, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        line.push_str(": ");
        line.push_str(&source.to_string());
        next = source.source();
    }
    line
}
