use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tower::retry::{
    Policy,
    budget::{Budget, TpsBudget},
};

use super::{
    RetryConfig,
    partial::{Partial, is_unsure, keep, unsure_of},
};
use crate::{
    clock::{BoxFuture, Clock},
    error::{Error, ErrorKind, Result},
    request::{Request, Response},
};

/// Over how long the budget goes.
const BUDGET_TIME: Duration = Duration::from_secs(10);
/// How many calls that went well are paid in at once: the budget has a lock and reads a clock.
const PAID_AT_ONCE: u64 = 16;

/// What all calls of a [`RetryLayer`](super::RetryLayer) share.
pub(super) struct Shared {
    pub(super) config: RetryConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Fn() -> f64 + Send + Sync>,
    budget: TpsBudget,
    succeeded: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) exhausted: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        config: RetryConfig,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Fn() -> f64 + Send + Sync>,
    ) -> Arc<Self> {
        let fraction = config.budget * PAID_AT_ONCE as f64;
        Arc::new(Self {
            config,
            clock,
            random,
            budget: TpsBudget::new(BUDGET_TIME, config.reserve, fraction as f32),
            succeeded: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
        })
    }

    fn succeeded(&self) {
        if self.succeeded.fetch_add(1, Relaxed) % PAID_AT_ONCE == PAID_AT_ONCE - 1 {
            self.budget.deposit();
        }
    }

    /// Returns the pause before a call is repeated, paid for; `None`: it is not.
    fn pause(&self, made: u32, error: &Error, request: &Request) -> Option<BoxFuture<'static, ()>> {
        let pause = self.config.pause(made, error, (self.random)())?;
        let end = self.clock.now().after(pause);
        if request.scope().deadline.is_some_and(|deadline| end >= deadline) {
            return None;
        }
        if !self.budget.withdraw() {
            self.exhausted.fetch_add(1, Relaxed);
            return None;
        }
        self.retries.fetch_add(1, Relaxed);
        Some(self.clock.sleep_until(end))
    }
}

/// What is repeated, when, and how the answers of all attempts become one: the policy of tower's retry.
///
/// Only retryable errors of idempotent requests are; a pause that would end after the deadline is not begun. Of a
/// batch, only the items that failed are. A write of which one attempt may have happened stays
/// [`Unknown`](crate::ErrorKind::Unknown) whatever the later ones fail with.
#[derive(Clone)]
pub struct RetryPolicy {
    /// `None`: nothing is repeated.
    shared: Option<Arc<Shared>>,
    /// Repetitions so far.
    made: u32,
    /// Whether an attempt at all that is still open may have happened.
    unsure: bool,
    partial: Option<Box<Partial>>,
}

impl RetryPolicy {
    pub(super) const fn new(shared: Option<Arc<Shared>>) -> Self {
        Self { shared, made: 0, unsure: false, partial: None }
    }

    /// Makes every error that comes after an attempt which may have happened say so.
    fn unsure(&self, result: Result<Response>) -> Result<Response> {
        if !self.unsure {
            return result;
        }
        let mut response = result.map_err(unsure_of)?;
        response.change_errors(unsure_of);
        Ok(response)
    }
}

impl Policy<Request, Response, Error> for RetryPolicy {
    type Future = BoxFuture<'static, ()>;

    fn retry(&mut self, request: &mut Request, result: &mut Result<Response>) -> Option<Self::Future> {
        let shared = self.shared.clone()?;
        if self.made == 0 && result.as_ref().is_ok_and(|response| !response.has_errors()) {
            shared.succeeded();
            return None;
        }
        let reads = request.is_read();
        let before = self.partial.take();
        let asked = before.as_ref().map(|partial| partial.places.clone());
        if before.is_some() || self.unsure {
            let attempt = self.unsure(std::mem::replace(result, Err(taken())));
            *result = match before {
                Some(partial) => Ok(partial.merge(attempt, reads)),
                None => attempt,
            };
        }
        let pause = match result {
            Err(error) => {
                let pause = shared.pause(self.made, error, request)?;
                self.unsure |= is_unsure(error, reads);
                pause
            }
            Ok(response) => {
                let Some((places, error)) = failed(response) else {
                    shared.succeeded();
                    return None;
                };
                let pause = shared.pause(self.made, &error, request)?;
                narrow(request, asked.as_deref(), &places);
                self.partial = Some(Box::new(Partial { answers: response.clone(), places }));
                pause
            }
        };
        self.made += 1;
        Some(pause)
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        // Also for the last attempt: without a request, tower does not ask the policy, which puts the answers together.
        (self.shared.is_some() && request.is_idempotent()).then(|| request.clone())
    }
}

/// Returns the places of what failed and may be repeated, and the error that wants the longest pause.
fn failed(response: &Response) -> Option<(Vec<usize>, Error)> {
    let retryable = |place: &usize| response.error_at(*place).is_some_and(Error::is_retryable);
    let places: Vec<usize> = (0..response.len()).filter(retryable).collect();
    let errors = places.iter().filter_map(|place| response.error_at(*place));
    let error = errors.max_by_key(|error| error.retry_after())?.clone();
    Some((places, error))
}

/// Leaves in a request, which asks for some places of the whole (all, if none are named), only these.
fn narrow(request: &mut Request, asked: Option<&[usize]>, places: &[usize]) {
    if places.len() == request.len() {
        return;
    }
    match asked {
        None => keep(request, places),
        Some(asked) => {
            let within = |place: &usize| asked.iter().position(|asked| asked == place);
            keep(request, &places.iter().filter_map(within).collect::<Vec<_>>());
        }
    }
}

/// Stands in for an answer while it is worked on.
fn taken() -> Error {
    Error::new(ErrorKind::Protocol, "an answer was taken twice")
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy").field("made", &self.made).finish_non_exhaustive()
    }
}
