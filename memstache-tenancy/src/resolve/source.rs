//! Where a tenant's name is looked for.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderName, request::Parts};

use super::{host::Domain, name::Answer};

/// One place where a request may say whose it is.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) place: Place,
    /// Whether clients cannot write there what they like.
    pub(super) trusted: bool,
}

#[derive(Clone)]
pub(super) enum Place {
    Header(HeaderName),
    PathSegment(usize),
    Subdomain(Arc<Domain>),
    Asked(Arc<Question>),
}

pub(super) type Question = dyn for<'a> Fn(&'a Parts) -> Option<Cow<'a, str>> + Send + Sync;

impl Place {
    pub(super) fn ask<'a>(&self, parts: &'a Parts) -> Answer<'a> {
        match self {
            Self::Header(name) => header(name, parts),
            Self::PathSegment(index) => path_segment(*index, parts.uri.path()),
            Self::Subdomain(domain) => domain.ask(parts),
            Self::Asked(question) => question(parts).map_or(Answer::Silent, Answer::of),
        }
    }

    /// Whether two look at the same thing, as far as can be seen.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(one), Self::Header(other)) => one == other,
            (Self::PathSegment(one), Self::PathSegment(other)) => one == other,
            (Self::Subdomain(one), Self::Subdomain(other)) => one == other,
            _ => false,
        }
    }
}

/// Twice the same is bad, too: proxies differ in which of two they read.
fn header<'a>(name: &HeaderName, parts: &'a Parts) -> Answer<'a> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Answer::Silent,
        (Some(only), None) => only.to_str().map_or(Answer::Bad, Answer::of),
        (Some(_), Some(_)) => Answer::Bad,
    }
}

/// Good names need no percent-encoding; whoever encodes them wants two readers of the path to differ.
fn path_segment(index: usize, path: &str) -> Answer<'_> {
    // `*` and CONNECT have no path.
    let Some(segments) = path.strip_prefix('/') else { return Answer::Silent };
    let mut segments = segments.split('/').skip(index);
    match segments.next() {
        None => Answer::Silent,
        // `/a/` has one segment, not two.
        Some("") if segments.next().is_none() => Answer::Silent,
        // RFC 3986, section 5.2.4: these are no names.
        Some("." | "..") => Answer::Bad,
        Some(segment) => Answer::of(segment),
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Self::PathSegment(index) => f.debug_tuple("PathSegment").field(index).finish(),
            Self::Subdomain(domain) => f.debug_tuple("Subdomain").field(domain).finish(),
            Self::Asked(_) => f.write_str("Asked"),
        }
    }
}
