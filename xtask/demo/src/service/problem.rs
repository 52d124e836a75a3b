//! Errors as their callers see them: problem details (RFC 9457) that give nothing away.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use memstache_core::{Error, ErrorKind};
use serde_json::json;

use crate::database::SourceError;

/// Seconds after which a caller may try again.
const RETRY_AFTER: u64 = 1;

/// An error with its status and a sentence for the caller.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// What the operator is told.
    cause: Option<Cause>,
}

/// Why a request failed, for the operator: carried by the response, and not sent.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) String);

impl Problem {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into(), cause: None }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into(), cause: None }
    }

    pub(super) fn wrong_method() -> Self {
        let detail = "this path does not answer this method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, detail, cause: None }
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.into(), cause: None }
    }

    fn internal() -> Self {
        let detail = "the service made a mistake".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, detail, cause: None }
    }

    fn because(self, error: &(dyn std::error::Error + 'static)) -> Self {
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
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
                let detail = "the body must be at most 16 KiB long".to_owned();
                return Self { status: StatusCode::PAYLOAD_TOO_LARGE, detail, cause: None };
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
