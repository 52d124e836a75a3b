//! One request that has a place in a cache.

use std::{error::Error as StdError, fmt, future::poll_fn, mem, sync::Arc};

use parking_lot::Mutex;
use tower_service::Service;

use super::{Kept, Memo, MemoKey, Recalled};
use crate::{
    cache::{Cache, Fetched, IntoLoaded, LoadContext, Loaded},
    error::{BoxError, Error, ErrorKind, Result},
    format::Format,
};

/// Answers from the cache, or through it, or past it.
pub(super) async fn recall<S, F, M, Req>(
    cache: Cache<F>,
    key: MemoKey,
    memo: M,
    inner: S,
    request: Req,
) -> Result<M::Answer, M::Error>
where
    S: Service<Req, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    S::Response: Send,
    F: Format,
    M: Memo<Req, S::Response>,
    Req: Send + 'static,
{
    let ticket = Ticket::new((inner, request));
    let loader = {
        let (ticket, memo) = (ticket.clone(), memo.clone());
        move |_: LoadContext<M::Value>| load(memo, ticket)
    };
    let load = cache.get_or_load::<M::Value, _, _, _, _, _>(key.name, loader).with_write(key.options);
    match load.entry().await {
        Ok(Fetched { value: Some(value), outcome, age, ttl_left, .. }) => {
            Ok(memo.restore(value, &Recalled { outcome, age, ttl_left }))
        }
        Err(error) if error.find_source::<Failed>().is_none() => memo.fail(error),
        Ok(_) | Err(_) => match ticket.take() {
            State::Passed(answer) => Ok(answer),
            State::Waiting((inner, request)) => match call(inner, request).await {
                Ok(response) => Ok(memo.pass(response)),
                Err(error) => memo.fail(inner_failed(error)),
            },
            State::Gone => memo.fail(Error::new(ErrorKind::Protocol, "the response was answered twice")),
        },
    }
}

/// Makes the ticket's call, and leaves in the ticket what is not for the cache.
async fn load<S, M, Req>(memo: M, ticket: Ticket<(S, Req), M::Answer>) -> Result<Loaded<M::Value>, BoxError>
where
    S: Service<Req, Error: Into<BoxError>>,
    M: Memo<Req, S::Response>,
{
    let State::Waiting((inner, request)) = ticket.take() else { return Err(Failed.into()) };
    let response = call(inner, request).await.map_err(Into::into)?;
    match memo.store(response).await {
        Kept::Store(loaded) => Ok(loaded),
        Kept::Pass(answer) => {
            ticket.pass(answer);
            // For the cache it is as if the source had no such key.
            Ok(IntoLoaded::<M::Value>::into_loaded(None::<M::Value>))
        }
        Kept::Failed(answer) => {
            ticket.pass(answer);
            Err(Failed.into())
        }
    }
}

/// Readies a service of one's own and calls it.
async fn call<S: Service<Req>, Req>(mut inner: S, request: Req) -> Result<S::Response, S::Error> {
    poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}

pub(super) fn inner_failed(error: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Load, "the inner service failed").with_source(error)
}

/// A call on its way: who waited in vain for another's response takes his own call back and makes it.
struct Ticket<C, A>(Arc<Mutex<State<C, A>>>);

enum State<C, A> {
    /// The call was not made.
    Waiting(C),
    /// It was, and this is what came of it.
    Passed(A),
    /// It runs, or its response is in the cache, or lost.
    Gone,
}

impl<C, A> Ticket<C, A> {
    fn new(call: C) -> Self {
        Self(Arc::new(Mutex::new(State::Waiting(call))))
    }

    fn take(&self) -> State<C, A> {
        mem::replace(&mut *self.0.lock(), State::Gone)
    }

    fn pass(&self, answer: A) {
        *self.0.lock() = State::Passed(answer);
    }
}

impl<C, A> Clone for Ticket<C, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The mark of a load whose response is a failure, which the ticket holds.
#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service answered with a failure")
    }
}

impl StdError for Failed {}
