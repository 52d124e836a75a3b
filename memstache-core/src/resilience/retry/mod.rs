//! Repeats what is retryable and idempotent, after a pause, from a budget.
//!
//! The machinery is tower's: [`tower::retry::Retry`] with a [`RetryPolicy`] and a
//! [`TpsBudget`](tower::retry::budget::TpsBudget). The pauses are our own, because tower's backoff adds its jitter to
//! the whole pause, draws the same numbers in every call, and goes by tokio's clock: full jitter is uniform from zero
//! to what doubles with each attempt (M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015).

mod config;
mod layer;
mod partial;
mod policy;

pub use self::{
    config::RetryConfig,
    layer::{Retried, RetryLayer, RetrySnapshot},
    policy::RetryPolicy,
};
