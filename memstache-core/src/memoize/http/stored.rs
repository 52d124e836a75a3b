//! A response as it is cached.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{AGE, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use http_body::Body;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{MemoBody, fields::elements, freshness::age, octets::Octets};

/// A response as a cache holds it: status, age when it came, headers, body.
///
/// `Debug` shows no content.
pub struct StoredResponse {
    status: StatusCode,
    /// How old it was when it came, in seconds.
    age: u64,
    headers: HeaderMap,
    body: Bytes,
}

impl StoredResponse {
    /// Takes a whole response; its connection headers are left out (RFC 9111, 3.1).
    pub(super) fn new(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Self {
        let age = age(&headers);
        let named: Vec<HeaderName> = elements(&headers, &CONNECTION).flatten().flat_map(str::parse).collect();
        let fixed = [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, AGE];
        let others = ["keep-alive", "proxy-connection", "proxy-authentication-info"].map(HeaderName::from_static);
        for name in named.iter().chain(&fixed).chain(&others) {
            headers.remove(name);
        }
        Self { status, age, headers, body }
    }

    /// Makes a response again, `seconds` after it was stored.
    pub(super) fn into_response<B: Body>(self, seconds: u64) -> Response<MemoBody<B>> {
        let mut response = Response::new(MemoBody::whole(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let age = self.age.saturating_add(seconds);
        if age > 0 {
            response.headers_mut().insert(AGE, age.into());
        }
        response
    }
}

impl Serialize for StoredResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |value: &HeaderValue| Octets(Bytes::copy_from_slice(value.as_bytes()));
        let headers: Vec<(&str, Octets)> =
            self.headers.iter().map(|(name, held)| (name.as_str(), value(held))).collect();
        (self.status.as_u16(), self.age, headers, Octets(self.body.clone())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StoredResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (status, age, fields, body) = <(u16, u64, Vec<(String, Octets)>, Octets)>::deserialize(deserializer)?;
        let status = StatusCode::from_u16(status).map_err(D::Error::custom)?;
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(D::Error::custom)?;
            let value = HeaderValue::from_maybe_shared(value.0).map_err(D::Error::custom)?;
            headers.try_append(name, value).map_err(D::Error::custom)?;
        }
        Ok(Self { status, age, headers, body: body.0 })
    }
}

impl std::fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (headers, body_len) = (self.headers.len(), self.body.len());
        f.debug_struct("StoredResponse")
            .field("status", &self.status)
            .field("headers", &headers)
            .field("body_len", &body_len)
            .finish_non_exhaustive()
    }
}
