//! HTTP as a memo.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;

use super::{
    super::{Kept, Memo, MemoKey, Recalled},
    HttpMemo, MemoBody, StoredResponse,
    body::collect,
    freshness::{Freshness, freshness},
    key, problem,
};
use crate::{
    cache::{Loaded, Outcome},
    entry::MAX_TAGS,
    error::Error,
    name::Tag,
};

impl<B, R> Memo<Request<B>, Response<R>> for HttpMemo
where
    B: Body,
    R: Body<Data = Bytes, Error: Send> + Send + 'static,
{
    type Value = StoredResponse;
    type Answer = Response<MemoBody<R>>;
    type Error = Infallible;

    fn key(&self, request: &Request<B>) -> Option<MemoKey> {
        key::name(&self.settings, request).map(MemoKey::new)
    }

    async fn store(&self, response: Response<R>) -> Kept<StoredResponse, Response<MemoBody<R>>> {
        let (mut head, body) = response.into_parts();
        let tags = self.take_tags(&mut head.headers);
        let fresh = freshness(&self.settings, head.status, &head.headers);
        let (Some(fresh), Some(tags)) = (fresh, tags) else {
            let failed = head.status.is_server_error();
            let answer = self.answered(Response::from_parts(head, MemoBody::inner(body)), "pass");
            return if failed { Kept::Failed(answer) } else { Kept::Pass(answer) };
        };
        let body = match collect(body, self.settings.body_limit).await {
            Ok(body) if is_complete(&head.headers, &body) => body,
            Ok(body) => return self.unfit(head, MemoBody::whole(body)),
            Err(body) => return self.unfit(head, body),
        };
        Kept::store_with(StoredResponse::new(head.status, head.headers, body), |loaded| {
            living(loaded.tags(tags), fresh)
        })
    }

    fn restore(&self, value: StoredResponse, recalled: &Recalled) -> Response<MemoBody<R>> {
        let seen = match recalled.outcome {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Miss | Outcome::Negative => "miss",
        };
        self.answered(value.into_response(recalled.age.as_secs()), seen)
    }

    fn pass(&self, response: Response<R>) -> Response<MemoBody<R>> {
        let mut response = response.map(MemoBody::inner);
        self.take_tags(response.headers_mut());
        self.answered(response, "pass")
    }

    fn fail(&self, error: Error) -> Result<Response<MemoBody<R>>, Infallible> {
        tracing::debug!(kind = error.kind().as_str(), "a request could not be answered");
        Ok(self.answered(problem::response(&error), "pass"))
    }
}

impl HttpMemo {
    fn unfit<R: Body>(
        &self,
        head: http::response::Parts,
        body: MemoBody<R>,
    ) -> Kept<StoredResponse, Response<MemoBody<R>>> {
        Kept::Pass(self.answered(Response::from_parts(head, body), "pass"))
    }

    /// Takes the tag header off; `None` if it holds something else than tags, or too many.
    fn take_tags(&self, headers: &mut HeaderMap) -> Option<Vec<Tag>> {
        let Some(name) = &self.settings.tag_header else { return Some(Vec::new()) };
        let values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
        headers.remove(name);
        let mut tags = Vec::new();
        for value in &values {
            let words = value.to_str().ok()?.split([',', ' ', '\t']).filter(|word| !word.is_empty());
            tags.extend(words.map(Tag::new).collect::<Result<Vec<_>, _>>().ok()?);
        }
        (tags.len() <= MAX_TAGS).then_some(tags)
    }

    fn answered<R>(&self, mut response: Response<R>, seen: &'static str) -> Response<R> {
        if let Some(name) = &self.settings.status_header {
            response.headers_mut().insert(name.clone(), HeaderValue::from_static(seen));
        }
        response
    }
}

/// Gives a response its lifetime.
fn living(loaded: Loaded<StoredResponse>, fresh: Freshness) -> Loaded<StoredResponse> {
    let loaded = match fresh.ttl {
        Some(ttl) => loaded.ttl(ttl),
        None => loaded,
    };
    match fresh.grace {
        Some(grace) => loaded.stale_for(grace),
        None => loaded,
    }
}

/// Whether a body is as long as its head says (RFC 9111, 3.3). The answer to `HEAD` has none.
fn is_complete(headers: &HeaderMap, body: &Bytes) -> bool {
    let said = |length: &HeaderValue| length.to_str().ok().and_then(|length| length.parse().ok());
    body.is_empty() || headers.get_all(CONTENT_LENGTH).iter().all(|length| said(length) == Some(body.len()))
}
