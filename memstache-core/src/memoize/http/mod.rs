//! Memoizing HTTP services.

mod body;
mod fields;
mod freshness;
mod key;
mod memo;
mod octets;
mod problem;
mod stored;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, StatusCode};

pub use self::{body::MemoBody, stored::StoredResponse};
use crate::lifetime::MAX_TTL;

/// A [`Memo`](super::Memo) of HTTP: caches what RFC 9111 lets a shared cache keep, for Axum, Hyper and the like.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memstache_core::BoxError> {
/// use std::time::Duration;
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use memstache_core::{Cache, Json, MemoryStore, Stack, memoize::{HttpMemo, MemoizeLayer}};
/// use tower::ServiceExt;
///
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
/// let cache = Cache::builder(stack).keyspace("pages").format(Json).ttl(Duration::from_secs(60)).build()?;
///
/// let app: Router = Router::new()
///     .route("/hello", get(|| async { "hello" }))
///     .layer(MemoizeLayer::with_memo(cache, HttpMemo::new()));
///
/// for seen in ["miss", "hit"] {
///     let response = app.clone().oneshot(Request::get("/hello").body(Body::empty())?).await?;
///     assert_eq!(response.headers()["x-cache"], seen);
/// }
/// # Ok(())
/// # }
/// ```
///
/// For tenants, build the cache with [`build_tenanted`](crate::CacheBuilder::build_tenanted), and let the layer find what
/// an authenticating middleware outside has left:
///
/// ```
/// # use axum::{Router, body::Body, http::Request};
/// # use memstache_core::{Cache, Json, MemoryStore, Stack, TenantId, memoize::{HttpMemo, MemoizeLayer}};
/// # let stack = Stack::over(MemoryStore::builder().build()?).build();
/// # let cache = Cache::builder(stack).keyspace("pages").format(Json).build_tenanted()?;
/// let layer = MemoizeLayer::with_memo(cache, HttpMemo::new().with_credentials())
///     .tenant_with(|request: &Request<Body>| request.extensions().get::<TenantId>().cloned());
/// # let _: Router = Router::new().route("/", axum::routing::get(|| async {})).layer(layer);
/// # Ok::<(), memstache_core::Error>(())
/// ```
///
/// Compress outside of this layer: what is stored is then one plain response, and `Vary: accept-encoding` does not
/// concern it.
///
/// # Requests
/// Looked up and stored: `GET` and `HEAD`, under their method, host, path and query, and the values of the headers named
/// by [`vary_on`](Self::vary_on). Passed by: other methods; requests with `Authorization` or `Cookie` (unless
/// [`with_credentials`](Self::with_credentials)), with `Range`, `If-Range`, `If-Match`, `If-Unmodified-Since` or
/// `Upgrade`, with a body; and those whose key is over 1,024 bytes, because a shorter one would need a hash that nobody
/// can make collide. `Cache-Control` in a request is ignored: a client does not decide for all others. A hit answers
/// `If-None-Match` and `If-Modified-Since` in full.
///
/// A header that responses depend on and that is not in the key lets one client choose what others get: name it in
/// `vary_on`, or strip it. In a nested Axum router the path is the nested one: give each such layer a keyspace, or a
/// [`prefix`](Self::prefix), of its own.
///
/// # Responses
/// Stored with status 200, 203, 301, 404 or 410 (see [`statuses`](Self::statuses); 1xx, 206 and 304 never), unless they
/// have
/// - `Cache-Control: no-store`, `no-cache` or `private` (with or without field names), or a lifetime of zero or one
///   that is no number;
/// - `Set-Cookie`, `Vary: *`, or a `Vary` on a header that is not in the key;
/// - `Expires` without `max-age` or `s-maxage` (dates are not parsed);
/// - a body over [`body_limit`](Self::body_limit), or of another length than `Content-Length` says, or with trailers, or
///   that fails; or a `Content-Type` of `text/event-stream` or `application/grpc`, which is not collected at all.
///
/// They live for `s-maxage`, else `max-age`, less their `Age`; else for [`ttl`](Self::ttl), else as the cache says.
/// `stale-while-revalidate` and `stale-if-error` (RFC 5861) are their grace, the longer of both; `must-revalidate` and
/// `proxy-revalidate` leave none. Connection headers are not stored, nor are extensions. A 5xx that is not stored counts
/// as a failure: a caller with a stale value gets that.
///
/// A response that is not stored goes out as it came, byte for byte: of one that is too large at most the limit and one
/// frame are held. Callers who waited for it call the service themselves.
///
/// # Answers
/// `x-cache: hit`, `stale`, `miss` or `pass` (see [`status_header`](Self::status_header)), and `Age` for what was
/// stored. Failures of the cache or the load are answers too, as `application/problem+json`: 504 for a timeout, 503
/// (with `Retry-After` if known) where something is overloaded or out of reach, 502 for an inner error, 500 for a panic
/// and the rest. So the service never fails, as `axum::Router::layer` wants it.
///
/// # Format
/// A JSON cache holds bodies as text; one that is not UTF-8 takes up to twice its size. A binary format takes the bytes.
#[derive(Clone, Debug)]
pub struct HttpMemo {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    prefix: Bytes,
    any_host: bool,
    credentials: bool,
    vary_on: Vec<HeaderName>,
    statuses: Vec<StatusCode>,
    body_limit: usize,
    ttl: Option<Duration>,
    status_header: Option<HeaderName>,
    tag_header: Option<HeaderName>,
}

impl HttpMemo {
    /// Creates one with the default settings.
    pub fn new() -> Self {
        let settings = Settings {
            prefix: Bytes::new(),
            any_host: false,
            credentials: false,
            vary_on: Vec::new(),
            statuses: vec![
                StatusCode::OK,
                StatusCode::NON_AUTHORITATIVE_INFORMATION,
                StatusCode::MOVED_PERMANENTLY,
                StatusCode::NOT_FOUND,
                StatusCode::GONE,
            ],
            body_limit: 1 << 20,
            ttl: None,
            status_header: Some(HeaderName::from_static("x-cache")),
            tag_header: None,
        };
        Self { settings: Arc::new(settings) }
    }

    /// Begins all keys with this, so that layers with equal paths can share a keyspace. Default: nothing.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Bytes>) -> Self {
        self.settings_mut().prefix = prefix.into();
        self
    }

    /// Makes these request headers a part of the key, so that responses may `Vary` on them. Default: none.
    ///
    /// Their values come from clients: each new one is an entry of its own.
    #[must_use]
    pub fn vary_on(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        let vary_on = &mut self.settings_mut().vary_on;
        vary_on.extend(headers);
        vary_on.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        vary_on.dedup();
        self
    }

    /// Leaves the host out of the key: for services that answer all hosts alike. Default: it is in.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.settings_mut().any_host = true;
        self
    }

    /// Caches requests with `Authorization` or `Cookie` like others. Default: they are passed by.
    ///
    /// Only where responses do not depend on who asks, or where the cache does
    /// ([`tenant_with`](super::MemoizeLayer::tenant_with)).
    #[must_use]
    pub fn with_credentials(mut self) -> Self {
        self.settings_mut().credentials = true;
        self
    }

    /// Chooses which statuses are stored; 1xx, 206 and 304 are not even then. Default: 200, 203, 301, 404, 410.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.settings_mut().statuses = statuses.into_iter().collect();
        self
    }

    /// Sets the longest body that is stored, in bytes. Default: 1 MiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings_mut().body_limit = bytes;
        self
    }

    /// Sets how long a response lives that does not say it; with zero such a response is not stored. At most
    /// [`MAX_TTL`]. Default: as long as the cache says.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings_mut().ttl = Some(ttl.min(MAX_TTL));
        self
    }

    /// Chooses the header that says how a request was answered; `None` for no such header. Default: `x-cache`.
    #[must_use]
    pub fn status_header(mut self, name: impl Into<Option<HeaderName>>) -> Self {
        self.settings_mut().status_header = name.into();
        self
    }

    /// Names the response header in which the service gives a response's tags, between commas or spaces. Default: none.
    ///
    /// It is taken off every answer. A response with a wrong or a 33rd tag is not stored, because it could not be
    /// invalidated.
    #[must_use]
    pub fn tag_header(mut self, name: HeaderName) -> Self {
        self.settings_mut().tag_header = Some(name);
        self
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Default for HttpMemo {
    fn default() -> Self {
        Self::new()
    }
}
