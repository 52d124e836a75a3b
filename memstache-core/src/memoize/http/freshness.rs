//! Whether a response may be stored, and how long it stays fresh: a subset of RFC 9111.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{AGE, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, SET_COOKIE, VARY},
};

use super::{Settings, fields::elements};
use crate::lifetime::MAX_TTL;

/// How long a response may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freshness {
    /// `None`: neither the response nor the settings say.
    pub(super) ttl: Option<Duration>,
    /// `None`: the response does not say.
    pub(super) grace: Option<Duration>,
}

/// Returns how long a response may be kept, by its head; `None` if it may not.
pub(super) fn freshness(settings: &Settings, status: StatusCode, headers: &HeaderMap) -> Option<Freshness> {
    let never = status.is_informational()
        || matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED)
        || headers.contains_key(SET_COOKIE);
    if never || !settings.statuses.contains(&status) || is_stream(headers) || !varies_within(headers, &settings.vary_on)
    {
        return None;
    }
    let said = CacheControl::read(headers)?;
    let ttl = match said.s_maxage.or(said.max_age) {
        Some(seconds) => Some(seconds.checked_sub(age(headers)).filter(|left| *left > 0)?),
        None if headers.contains_key(EXPIRES) || settings.ttl == Some(Duration::ZERO) => return None,
        None => None,
    };
    let grace = if said.revalidate { Some(0) } else { said.grace };
    Some(Freshness { ttl: ttl.map(span).or(settings.ttl), grace: grace.map(span) })
}

/// What a response's `Cache-Control` says, if it does not forbid storing.
#[derive(Default)]
struct CacheControl {
    s_maxage: Option<u64>,
    max_age: Option<u64>,
    grace: Option<u64>,
    revalidate: bool,
}

impl CacheControl {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut said = Self::default();
        for element in elements(headers, &CACHE_CONTROL) {
            let (name, value) = element?.split_once('=').map_or((element?, None), |(name, value)| (name, Some(value)));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" | "private" => return None,
                // Said twice, the shorter counts (RFC 9111, 4.2.1).
                "s-maxage" => said.s_maxage = shorter(said.s_maxage, seconds(value)?),
                "max-age" => said.max_age = shorter(said.max_age, seconds(value)?),
                "must-revalidate" | "proxy-revalidate" => said.revalidate = true,
                "stale-while-revalidate" | "stale-if-error" => said.grace = said.grace.max(seconds(value)),
                _ => {}
            }
        }
        Some(said)
    }
}

fn shorter(so_far: Option<u64>, seconds: u64) -> Option<u64> {
    Some(so_far.map_or(seconds, |so_far| so_far.min(seconds)))
}

/// Reads delta-seconds; quotes are tolerated, and what overflows is very long (RFC 9111, 1.2.2).
fn seconds(value: Option<&str>) -> Option<u64> {
    let digits = value?.trim().trim_matches('"');
    let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Returns how old a response is already; zero if it does not say.
pub(super) fn age(headers: &HeaderMap) -> u64 {
    headers.get(AGE).and_then(|value| seconds(value.to_str().ok())).unwrap_or(0)
}

fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(MAX_TTL)
}

/// Whether the response depends on no header but these.
fn varies_within(headers: &HeaderMap, known: &[HeaderName]) -> bool {
    elements(headers, &VARY).all(|name| name.is_some_and(|name| known.iter().any(|known| known == name)))
}

/// Whether the body comes bit by bit, for as long as somebody listens: nobody could wait for its end.
fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let media = value.as_bytes().to_ascii_lowercase();
        media.starts_with(b"text/event-stream") || media.starts_with(b"application/grpc")
    })
}
