//! Explanations on their way through a transform: what they carry is opened as if it had been read.

use super::{Step, Transform};
use crate::{
    address::Address,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    request::{Explain, Explained, Found, Get, GetItem, Lookup, OnMiss, OneOrMany, Reason, Request, Response, Scope},
    service::CacheService,
};

/// Asks below, and finds out which of the entries in the answer can be opened.
///
/// `inner` was readied.
pub(super) fn explain<S: CacheService, T: Transform>(
    inner: &mut S,
    transform: T,
    op: Explain,
) -> impl Future<Output = Result<Response>> + Send + use<S, T> {
    let (items, scope) = (op.items.clone(), op.scope);
    let below = inner.call(Request::Explain(op));
    async move {
        let mut explained = match below.await.map_err(Into::into)? {
            Response::Explained(explained) if explained.len() == items.len() => explained,
            _ => return Err(Error::new(ErrorKind::Protocol, "a layer answered something else to Explain")),
        };
        let tiers = explained.iter().flatten().map(Vec::len).max().unwrap_or(0);
        for tier in 0..tiers {
            open_tier(&transform, &items, scope, &mut explained, tier).await;
        }
        Ok(Response::Explained(explained))
    }
}

/// Opens what one tier holds of all keys.
async fn open_tier<T: Transform>(
    transform: &T,
    items: &OneOrMany<Address>,
    scope: Scope,
    explained: &mut Explained,
    tier: usize,
) {
    let held = explained.map_ref(|reports| {
        let report = reports.as_ref().ok().and_then(|reports| reports.get(tier));
        report.filter(|report| report.reason.is_none()).and_then(|report| report.entry.clone())
    });
    if held.iter().all(Option::is_none) {
        return;
    }
    let found = held.map(|entry| Ok(entry.map_or(Lookup::Miss, Lookup::Hit)));
    let opened = open(transform, items, scope, found).await;
    for (at, reports) in explained.iter_mut().enumerate() {
        let report = reports.as_mut().ok().and_then(|reports| reports.get_mut(tier));
        let Some(report) = report.filter(|report| report.reason.is_none()) else { continue };
        let Some(entry) = &mut report.entry else { continue };
        match opened.as_ref().map(|found| found.as_slice().get(at)) {
            Ok(Some(Ok(Lookup::Hit(plain) | Lookup::Stale(plain, _)))) => *entry = plain.clone(),
            Ok(Some(Ok(Lookup::Negative(meta)))) => *entry = Entry { value: bytes::Bytes::new(), meta: meta.clone() },
            Ok(Some(Ok(_)) | None) => report.reason = Some(Reason::Rejected),
            Ok(Some(Err(error))) | Err(error) => report.reason = Some(unopened(error)),
        }
    }
}

/// Gives a transform what was found as the answer to a read.
async fn open<T: Transform>(transform: &T, items: &OneOrMany<Address>, scope: Scope, found: Found) -> Result<Found> {
    let get = Get { items: items.map_ref(|address| GetItem::from(address.clone())), on_miss: OnMiss::Report, scope };
    let (_, pending) = match transform.request(Request::Get(get)) {
        Step::Now(asked) => asked?,
        Step::Wait(asked) => asked.await?,
        Step::Answer(_) => return Err(Error::new(ErrorKind::Unsupported, "a layer answers reads by itself")),
    };
    let response = match transform.response(pending, Response::Found(found)) {
        Step::Now(response) => response?,
        Step::Wait(response) => response.await?,
        Step::Answer(response) => response,
    };
    match response {
        Response::Found(found) if found.len() == items.len() => Ok(found),
        _ => Err(Error::new(ErrorKind::Protocol, "a layer answered something else to Get")),
    }
}

/// What a value is to a reader that was not opened with this error.
fn unopened(error: &Error) -> Reason {
    if error.is_retryable() { Reason::Unavailable } else { Reason::Rejected }
}
