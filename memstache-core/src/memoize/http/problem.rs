//! Failures as answers.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body;

use super::MemoBody;
use crate::error::{Error, ErrorKind};

/// Answers a failure with a problem document (RFC 9457), which says no more than the status does.
pub(super) fn response<B: Body>(error: &Error) -> Response<MemoBody<B>> {
    let status = status(error.kind());
    let title = status.canonical_reason().unwrap_or("Error");
    let text = format!(r#"{{"type":"about:blank","title":"{title}","status":{}}}"#, status.as_u16());
    let mut response = Response::new(MemoBody::whole(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = error.retry_after() {
        // Rounded up: earlier is of no use.
        headers.insert(RETRY_AFTER, (after.as_secs() + u64::from(after.subsec_nanos() > 0)).into());
    }
    response
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Load => StatusCode::BAD_GATEWAY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
