//! What a request is cached under.

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING,
        UPGRADE,
    },
};
use http_body::Body;

use super::Settings;
use crate::address::MAX_NAME;

/// Returns the name of a request; `None` passes it by.
///
/// ```text
/// prefix LF method LF host LF path ? query LF { { SOH value }* LF }*     one line for each header of `vary_on`
/// ```
///
/// LF and SOH occur in no method, host, path or header value, so that no two requests share a name.
pub(super) fn name<B: Body>(settings: &Settings, request: &Request<B>) -> Option<Vec<u8>> {
    if !is_plain(settings, request) {
        return None;
    }
    let (uri, headers) = (request.uri(), request.headers());
    let mut name = Vec::with_capacity(128);
    let mut line = |parts: &[&[u8]]| {
        parts.iter().for_each(|part| name.extend_from_slice(part));
        name.push(b'\n');
    };
    line(&[&settings.prefix]);
    line(&[request.method().as_str().as_bytes()]);
    line(&[if settings.any_host { b"" } else { host(uri, headers)? }]);
    line(&[
        uri.path().as_bytes(),
        if uri.query().is_some() { b"?" } else { b"" },
        uri.query().unwrap_or("").as_bytes(),
    ]);
    for header in &settings.vary_on {
        let values: Vec<&[u8]> = headers.get_all(header).iter().flat_map(|value| [b"\x01", value.as_bytes()]).collect();
        line(&values);
    }
    (name.len() <= MAX_NAME).then_some(name)
}

/// Whether a request asks for a whole resource, for nobody in particular.
fn is_plain<B: Body>(settings: &Settings, request: &Request<B>) -> bool {
    let headers = request.headers();
    let personal = !settings.credentials && (headers.contains_key(AUTHORIZATION) || headers.contains_key(COOKIE));
    let special = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE];
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !personal
        && !special.iter().any(|name| headers.contains_key(name))
        && !has_body(request)
}

/// Whether there is a body, which is not in the key; by its type or by its head.
fn has_body<B: Body>(request: &Request<B>) -> bool {
    let (body, headers) = (request.body(), request.headers());
    let announced = headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0");
    announced || !(body.is_end_stream() || body.size_hint().exact() == Some(0))
}

/// Returns whom the request is for; `None` if its head says two things, of which the service may believe either.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut said = headers.get_all(HOST).iter().map(HeaderValue::as_bytes).chain(authority);
    let Some(first) = said.next() else { return Some(b"") };
    said.all(|other| other.eq_ignore_ascii_case(first)).then_some(first)
}
