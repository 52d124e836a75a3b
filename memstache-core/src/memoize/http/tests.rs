use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use proptest::prelude::*;

use super::{
    HttpMemo, MemoBody, StoredResponse,
    body::collect,
    freshness::{Freshness, freshness},
    key,
};
use crate::lifetime::MAX_TTL;

type Empty = MemoBody<Never>;

/// A body that is never made.
enum Never {}

impl http_body::Body for Never {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        match *self {}
    }
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

fn judge(memo: &HttpMemo, status: u16, fields: &[(&str, &str)]) -> Option<Freshness> {
    freshness(&memo.settings, StatusCode::from_u16(status).unwrap(), &map(fields))
}

fn fresh(ttl: u64) -> Option<Freshness> {
    Some(Freshness { ttl: Some(Duration::from_secs(ttl)), grace: None })
}

#[test]
fn what_may_be_stored_and_for_how_long() {
    let control = |value| judge(&HttpMemo::new(), 200, &[("cache-control", value)]);
    let unsaid = Some(Freshness::default());
    let table = [
        ("", unsaid),
        ("public, , immutable", unsaid),
        ("max-age=60", fresh(60)),
        ("MAX-AGE=60, S-MaxAge=10", fresh(10)),
        ("s-maxage=10, max-age=0", fresh(10)),
        ("max-age=60, max-age=5", fresh(5)),
        ("max-age=\"7\"", fresh(7)),
        ("max-age=99999999999999999999999", fresh(MAX_TTL.as_secs())),
        ("max-age=0", None),
        ("max-age=60, s-maxage=0", None),
        ("max-age=", None),
        ("max-age", None),
        ("max-age=-1", None),
        ("max-age=1.5", None),
        ("max-age=1e3", None),
        ("no-store", None),
        ("max-age=60,no-cache", None),
        ("No-Cache=\"x\", max-age=60", None),
        ("private", None),
        ("max-age=60, private=\"set-cookie, x\"", None),
        ("ext=\"a, no-store, b\"", None),
        ("max-age=6\u{e9}", None),
    ];
    for (value, expected) in table {
        assert_eq!(control(value), expected, "{value}");
    }
    let explicit = HttpMemo::new().ttl(Duration::ZERO);
    assert_eq!(judge(&explicit, 200, &[]), None);
    assert_eq!(judge(&explicit, 200, &[("cache-control", "max-age=1")]), fresh(1));
    assert_eq!(judge(&HttpMemo::new().ttl(Duration::MAX), 200, &[]), fresh(MAX_TTL.as_secs()));
    let graced = |grace| Some(Freshness { ttl: None, grace: Some(Duration::from_secs(grace)) });
    assert_eq!(control("stale-while-revalidate=5, stale-if-error=30"), graced(30));
    assert_eq!(control("stale-if-error=30, must-revalidate"), graced(0));
}

#[test]
fn what_other_headers_forbid() {
    let memo = HttpMemo::new().vary_on([header::ACCEPT, header::ACCEPT]);
    let unsaid = Some(Freshness::default());
    let table: [(u16, &[(&str, &str)], _); 18] = [
        (200, &[("vary", "Accept"), ("vary", "")], unsaid),
        (200, &[("vary", "accept, accept-encoding")], None),
        (200, &[("vary", "accept"), ("vary", "*")], None),
        (200, &[("vary", "\u{e9}")], None),
        (200, &[("set-cookie", "a=b"), ("cache-control", "max-age=60")], None),
        (200, &[("expires", "0")], None),
        (200, &[("expires", "0"), ("cache-control", "max-age=9")], fresh(9)),
        (200, &[("age", "4"), ("cache-control", "max-age=9")], fresh(5)),
        (200, &[("age", "9"), ("cache-control", "max-age=9")], None),
        (200, &[("age", "x"), ("cache-control", "max-age=9")], fresh(9)),
        (200, &[("cache-control", "max-age=9"), ("cache-control", "no-store")], None),
        (200, &[("content-type", "Text/Event-Stream; charset=utf-8")], None),
        (200, &[("content-type", "application/grpc+proto")], None),
        (404, &[], unsaid),
        (302, &[], None),
        (206, &[], None),
        (304, &[], None),
        (500, &[("cache-control", "max-age=60")], None),
    ];
    for (status, fields, expected) in table {
        assert_eq!(judge(&memo, status, fields), expected, "{status} {fields:?}");
    }
    let all = HttpMemo::new().statuses([206, 304, 103, 302].map(|status| StatusCode::from_u16(status).unwrap()));
    assert_eq!([103, 206, 304, 302].map(|status| judge(&all, status, &[]).is_some()), [false, false, false, true]);
}

fn request(uri: &str, fields: &[(&str, &str)]) -> Request<Empty> {
    let mut request = Request::get(uri).body(Empty::whole(bytes::Bytes::new())).unwrap();
    *request.headers_mut() = map(fields);
    request
}

fn name(memo: &HttpMemo, request: &Request<Empty>) -> Option<Vec<u8>> {
    key::name(&memo.settings, request)
}

#[test]
fn which_requests_are_passed_by() {
    let memo = HttpMemo::new();
    let passes = |uri: &str, fields: &[(&str, &str)]| name(&memo, &request(uri, fields)).is_none();
    assert!(!passes("/", &[("cache-control", "no-store"), ("if-none-match", "x")]));
    for field in
        ["authorization", "cookie", "range", "if-range", "if-match", "if-unmodified-since", "upgrade", "content-length"]
    {
        assert!(passes("/", &[(field, "x")]), "{field}");
    }
    assert!(!passes("/", &[("content-length", "0")]));
    assert!(passes("/", &[("transfer-encoding", "chunked")]));
    assert!(passes("/", &[("host", "a"), ("host", "b")]), "two hosts");
    assert!(passes("http://good/", &[("host", "evil")]), "two hosts");
    assert!(!passes("http://good/", &[("host", "GOOD")]));
    assert!(!passes(&format!("/{}", "x".repeat(1000)), &[]));
    assert!(passes(&format!("/?{}", "x".repeat(1020)), &[]), "too long");
    let mut fat = request("/", &[]);
    *fat.body_mut() = Empty::whole("body".into());
    assert!(name(&memo, &fat).is_none());
    let mut post = request("/", &[]);
    *post.method_mut() = Method::POST;
    assert!(name(&memo, &post).is_none());
    assert!(name(&HttpMemo::new().with_credentials(), &request("/", &[("cookie", "a=b")])).is_some());
}

#[test]
fn what_is_in_the_key() {
    let memo = HttpMemo::new().vary_on([header::ACCEPT_LANGUAGE, header::ACCEPT]).prefix("p");
    let of = |uri: &str, fields: &[(&str, &str)]| name(&memo, &request(uri, fields)).unwrap();
    assert_eq!(of("/a?b", &[("host", "h"), ("accept", "x")]), b"p\nGET\nh\n/a?b\n\x01x\n\n");
    let different = [
        of("/a", &[]),
        of("/a?", &[]),
        of("/A", &[]),
        of("/a", &[("host", "h")]),
        of("/a", &[("accept", "x")]),
        of("/a", &[("accept", "")]),
        of("/a", &[("accept", "x"), ("accept", "y")]),
        of("/a", &[("accept", "x,y")]),
        of("/a", &[("accept-language", "x")]),
        of("/%61", &[]),
    ];
    for (n, one) in different.iter().enumerate() {
        assert!(!different[n + 1..].contains(one), "{n}");
    }
    assert_eq!(of("/a", &[("x-other", "1")]), of("/a", &[]));
    let anywhere = HttpMemo::new().any_host();
    assert_eq!(name(&anywhere, &request("/", &[("host", "a")])), name(&anywhere, &request("http://b/", &[])));
}

fn roundtrip(stored: &StoredResponse) -> Response<Empty> {
    let text = serde_json::to_vec(stored).unwrap();
    serde_json::from_slice::<StoredResponse>(&text).unwrap().into_response(0)
}

async fn bytes_of(body: Empty) -> bytes::Bytes {
    collect(body, usize::MAX).await.unwrap()
}

#[tokio::test]
async fn connection_headers_are_not_stored() {
    let headers = map(&[
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "1"),
        ("transfer-encoding", "chunked"),
        ("etag", "\"x\""),
        ("age", "3"),
    ]);
    let stored = StoredResponse::new(StatusCode::OK, headers, "x".into());
    let response = roundtrip(&stored);
    assert_eq!(*response.headers(), map(&[("etag", "\"x\""), ("age", "3")]));
    assert!(!format!("{stored:?}").contains("etag"));
}

proptest! {
    #[test]
    fn any_response_comes_back_as_it_was(
        body in prop::collection::vec(any::<u8>(), 0..200),
        values in prop::collection::vec("[\t -~\u{e9}]{0,8}", 0..4),
    ) {
        let mut headers = HeaderMap::new();
        for value in &values {
            headers.append("x-a", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let response = roundtrip(&StoredResponse::new(StatusCode::GONE, headers.clone(), body.clone().into()));
        prop_assert_eq!(response.status(), StatusCode::GONE);
        prop_assert_eq!(response.headers(), &headers);
        let back = futures_util::FutureExt::now_or_never(bytes_of(response.into_body())).unwrap();
        prop_assert_eq!(back, body);
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic(text in "\\PC{0,60}") {
        drop(serde_json::from_str::<StoredResponse>(&text));
        for field in [r#"[999999,0,[],"t"]"#, r#"[200,0,[["a b","t"]],"t"]"#, r#"[200,0,[["a","t\n"]],"t"]"#,
            r#"[200,0,[],"bĀ"]"#, r#"[200,0,[],"x"]"#, r#"[200,0,[],""]"#] {
            prop_assert!(serde_json::from_str::<StoredResponse>(field).is_err(), "{}", field);
        }
    }
}
