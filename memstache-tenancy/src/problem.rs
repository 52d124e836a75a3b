//! Failures as answers.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    request::Parts,
};

use crate::layer::TenantBody;

/// A problem document (RFC 9457) that says no more than its status does, made once.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    text: Bytes,
    challenge: Option<HeaderValue>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode) -> Self {
        let (title, code) = (status.canonical_reason().unwrap_or("Error"), status.as_u16());
        let text = format!(r#"{{"type":"about:blank","title":"{title}","status":{code}}}"#);
        Self { status, text: text.into(), challenge: None }
    }

    /// RFC 9110, section 15.5.2: a 401 says how to do better.
    pub(crate) fn with_challenge(self, challenge: Option<&HeaderValue>) -> Self {
        let challenge = challenge.filter(|_| self.status == StatusCode::UNAUTHORIZED).cloned();
        Self { challenge, ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn response_to<B>(&self, parts: &Parts) -> Response<TenantBody<B>> {
        if is_grpc(parts) { self.grpc() } else { self.response(TenantBody::problem(self.text.clone())) }
    }

    pub(crate) fn response<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = &self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }

    /// A response of trailers only, which are then its headers.
    fn grpc<B>(&self) -> Response<TenantBody<B>> {
        let mut response = Response::new(TenantBody::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let (code, message) = grpc_status(self.status);
        headers.insert("grpc-status", code.into());
        headers.insert("grpc-message", HeaderValue::from_static(message));
        response
    }

    #[cfg(feature = "axum")]
    pub(crate) fn text(&self) -> Bytes {
        self.text.clone()
    }
}

fn is_grpc(parts: &Parts) -> bool {
    let kind = parts.headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    // Not gRPC-Web, which has another form.
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// What a gRPC client would make of an HTTP status ("HTTP to gRPC status code mapping"), but for 400, which is not the
/// server's fault here.
fn grpc_status(status: StatusCode) -> (u16, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => (3, "invalid argument"),
        StatusCode::UNAUTHORIZED => (16, "unauthenticated"),
        StatusCode::FORBIDDEN => (7, "permission denied"),
        StatusCode::NOT_FOUND => (5, "not found"),
        StatusCode::TOO_MANY_REQUESTS => (14, "unavailable"),
        _ => (2, "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of_kind(kind: &str) -> Parts {
        Request::post("/").header(CONTENT_TYPE, kind).body(()).unwrap().into_parts().0
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (kind, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(&of_kind(kind)), grpc, "{kind}");
        }
        assert!(!is_grpc(&Request::new(()).into_parts().0));
    }

    #[test]
    fn grpc_has_statuses_of_its_own() {
        for (status, code) in [(400, 3), (401, 16), (403, 7), (404, 5), (429, 14), (421, 2)] {
            let problem = Problem::new(StatusCode::from_u16(status).unwrap());
            let response = problem.response_to::<()>(&of_kind("application/grpc"));
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["grpc-status"], code.to_string());
            assert_eq!(response.headers()["content-type"], "application/grpc");
        }
    }

    #[test]
    fn an_unusual_status_has_a_title_too() {
        let problem = Problem::new(StatusCode::from_u16(499).unwrap());
        assert_eq!(&problem.text[..], br#"{"type":"about:blank","title":"Error","status":499}"#);
    }
}
