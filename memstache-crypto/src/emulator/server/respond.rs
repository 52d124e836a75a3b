//! One request over HTTP.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use super::PATIENCE;
use crate::emulator::{
    MAX_BODY,
    failure::Failure,
    front::{Asked, Front},
};

type Answer = Response<Full<Bytes>>;

/// Answers a request. Once the vault is asked, it does what it is asked, though the client may be gone.
pub(super) async fn respond(
    front: Arc<Front>,
    scheme: &'static str,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let latency = front.faults.lock().latency;
    if !latency.is_zero() {
        let clock = &front.vault.clock;
        clock.sleep_until(clock.now().after(latency)).await;
    }
    let (head, body) = request.into_parts();
    let answered = match read(body).await {
        Ok(body) => ask(front, scheme, head, body).await,
        Err(failure) => Err(failure),
    };
    Ok(answered.map_or_else(refusal, success))
}

async fn read(body: Incoming) -> Result<Bytes, Failure> {
    let too_long =
        |_| Failure::new(413, "RequestEntityTooLarge", format!("The body must have at most {MAX_BODY} bytes."));
    let too_slow = |_| Failure::new(408, "RequestTimeout", "The body took too long.");
    let collected = timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await.map_err(too_slow)?;
    Ok(collected.map_err(too_long)?.to_bytes())
}

async fn ask(
    front: Arc<Front>,
    scheme: &'static str,
    head: http::request::Parts,
    body: Bytes,
) -> Result<Option<Value>, Failure> {
    // Keys are made and files written: not on a thread that others wait for.
    let work = tokio::task::spawn_blocking(move || {
        let header = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        front.answer(&Asked {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            scheme,
            host: authority.or_else(|| header(HOST)).unwrap_or_default(),
            authorization: header(AUTHORIZATION),
            body: &body,
        })
    });
    work.await.unwrap_or_else(|_| Err(Failure::internal("The emulator failed.")))
}

fn success(value: Option<Value>) -> Answer {
    match value {
        Some(value) => json(StatusCode::OK, &value),
        None => {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
    }
}

fn refusal(failure: Failure) -> Answer {
    let status = StatusCode::from_u16(failure.status).expect("failures have the codes of HTTP");
    let mut answer = json(status, &failure.body());
    let headers = answer.headers_mut();
    if let Some(challenge) = failure.challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = failure.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
