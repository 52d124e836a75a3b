//! What every request passes first: a stranger's name or a body is refused, the token is looked at, the answer is made safe.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{
    answer::{NOTHING, Problem, SAFE},
    state::Shared,
    tokens::{Refusal, Wish},
};

/// Lets a request through to its handler, or refuses it.
pub(super) async fn admit(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let wish = wish(&shared, &request);
    let mut response = match shared.tokens.admit(wish, request.headers()) {
        _ if is_a_strangers(&shared, &wish, &request) => misdirected(),
        Err(refusal) => refused(refusal),
        Ok(_) if has_body(request.headers()) => too_long(),
        Ok(access) => {
            request.extensions_mut().insert(access);
            next.run(request).await
        }
    };
    let headers = response.headers_mut();
    headers.extend(SAFE);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    response
}

fn wish(shared: &Shared, request: &Request) -> Wish {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Wish::Change;
    }
    match shared.base.strip(request.uri().path()) {
        Some("/healthz" | "/readyz") => Wish::Probe,
        _ => Wish::Read,
    }
}

fn refused(refusal: Refusal) -> Response {
    let (status, text, challenge) = match refusal {
        Refusal::UnknownReader => (
            StatusCode::UNAUTHORIZED,
            "a token is needed, as a bearer's or as a password",
            Some(HeaderValue::from_static("Basic realm=\"memstache\", charset=\"UTF-8\", Bearer realm=\"memstache\"")),
        ),
        Refusal::UnknownWriter => (
            StatusCode::UNAUTHORIZED,
            "the write token is needed, as a bearer's",
            Some(HeaderValue::from_static("Bearer realm=\"memstache\"")),
        ),
        Refusal::ReadOnly => (StatusCode::FORBIDDEN, "the token may read only", None),
        Refusal::NoWriters => (StatusCode::FORBIDDEN, "no write token was set", None),
    };
    let mut response = Problem::new(status, text).into_response();
    if let Some(challenge) = challenge {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Where reading needs no token, the name by which a browser asks has to be one of ours; a probe learns nothing.
fn is_a_strangers(shared: &Shared, wish: &Wish, request: &Request) -> bool {
    let open = !shared.tokens.guard_reads() && !matches!(wish, Wish::Probe);
    open && !shared.hosts.admit(request.uri(), request.headers())
}

fn misdirected() -> Response {
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "the host is none of this node's names").into_response()
}

/// No request needs a body; what is never read costs nothing.
fn has_body(headers: &HeaderMap) -> bool {
    let none = |length: &HeaderValue| length.as_bytes() == b"0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| !none(length))
}

fn too_long() -> Response {
    let mut response = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a request has no body here").into_response();
    // What follows on the connection is the body.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
