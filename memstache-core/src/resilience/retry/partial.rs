//! Answers of a batch, put together from its attempts.

use crate::{
    error::{Error, ErrorKind},
    request::{OneOrMany, Request, Response},
};

/// The answers so far, and which of them the next attempt is for.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub(super) answers: Response,
    pub(super) places: Vec<usize>,
}

impl Partial {
    /// Puts the answers of the last attempt in their places.
    pub(super) fn merge(mut self, attempt: Result<Response, Error>, reads: bool) -> Response {
        match attempt {
            Ok(attempt) if attempt.len() == self.places.len() => put(&mut self.answers, attempt, &self.places, reads),
            Ok(_) => self.fail(&Error::new(ErrorKind::Protocol, "a layer answered another number of items"), reads),
            Err(error) => self.fail(&error, reads),
        }
        self.answers
    }

    fn fail(&mut self, error: &Error, reads: bool) {
        fn fail<T>(items: &mut OneOrMany<Result<T, Error>>, places: &[usize], error: &Error, reads: bool) {
            let items = items.as_mut_slice();
            places.iter().for_each(|place| replace(&mut items[*place], Err(error.clone()), reads));
        }
        let Self { answers, places } = self;
        match answers {
            Response::Found(items) => fail(items, places, error, reads),
            Response::Stored(items) => fail(items, places, error, reads),
            Response::Removed(items) | Response::Touched(items) => fail(items, places, error, reads),
            Response::Invalidated(items) => fail(items, places, error, reads),
            Response::Explained(items) => fail(items, places, error, reads),
        }
    }
}

fn put(answers: &mut Response, attempt: Response, places: &[usize], reads: bool) {
    fn put<T>(
        into: &mut OneOrMany<Result<T, Error>>,
        from: OneOrMany<Result<T, Error>>,
        places: &[usize],
        reads: bool,
    ) {
        let into = into.as_mut_slice();
        from.into_iter().zip(places).for_each(|(item, place)| replace(&mut into[*place], item, reads));
    }
    match (answers, attempt) {
        (Response::Found(into), Response::Found(from)) => put(into, from, places, reads),
        (Response::Stored(into), Response::Stored(from)) => put(into, from, places, reads),
        (Response::Removed(into), Response::Removed(from)) | (Response::Touched(into), Response::Touched(from)) => {
            put(into, from, places, reads);
        }
        (Response::Invalidated(into), Response::Invalidated(from)) => put(into, from, places, reads),
        (Response::Explained(into), Response::Explained(from)) => put(into, from, places, reads),
        // Another operation's answer: what failed stays failed.
        _ => {}
    }
}

fn replace<T>(held: &mut Result<T, Error>, new: Result<T, Error>, reads: bool) {
    let unsure = held.as_ref().is_err_and(|error| is_unsure(error, reads));
    *held = new.map_err(|error| if unsure { unsure_of(error) } else { error });
}

/// Returns whether after this error a write may have happened.
pub(super) fn is_unsure(error: &Error, reads: bool) -> bool {
    !reads && matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Timeout)
}

/// Makes the last error of a write, one of whose attempts may have happened, say so.
pub(super) fn unsure_of(error: Error) -> Error {
    if error.kind() == ErrorKind::Unknown {
        return error;
    }
    let detail = "an attempt to write may or may not have happened, and later ones failed";
    let unsure = Error::new(ErrorKind::Unknown, detail).with_retryable(error.is_retryable());
    let unsure = if let Some(after) = error.retry_after() { unsure.with_retry_after(after) } else { unsure };
    unsure.with_source(error)
}

/// Leaves only some items in a request.
pub(super) fn keep(request: &mut Request, places: &[usize]) {
    fn keep<T: Clone>(items: &mut OneOrMany<T>, places: &[usize]) {
        let all = items.as_slice();
        *items = places.iter().map(|place| all[*place].clone()).collect();
    }
    match request {
        Request::Get(op) => keep(&mut op.items, places),
        Request::Set(op) => keep(&mut op.items, places),
        Request::Remove(op) => keep(&mut op.items, places),
        Request::Touch(op) => keep(&mut op.items, places),
        Request::Invalidate(op) => keep(&mut op.items, places),
        Request::Explain(op) => keep(&mut op.items, places),
    }
}
