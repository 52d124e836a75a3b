//! Layers that keep a stack from hanging, and from harming what is below it (feature `resilience`).
//!
//! [`Stack::resilient`](crate::Stack::resilient) puts all of them into a stack in one call, with defaults or a
//! [`ResilienceConfig`]. From the caller down, below the near cache:
//!
//! | layer | what it does | refuses with |
//! | --- | --- | --- |
//! | [`LimitLayer`] | bounds calls under way; sheds, never queues | `Overloaded` |
//! | [`RateLimitLayer`] | bounds items a second | `Overloaded`, with when to try again |
//! | [`BulkheadLayer`] | bounds bytes under way | `Overloaded` |
//! | the transforms | | |
//! | [`RetryLayer`] | repeats what is retryable and idempotent, from a budget | what the last attempt failed with |
//! | [`BreakerLayer`] | stops calling what fails; tries apart whether it is back | `Unavailable`, with when to try again |
//! | [`TimeoutLayer`] | bounds each attempt | `Timeout`, a write `Unknown` |
//!
//! A [`CircuitBreaker`] also guards a data source:
//! [`CacheBuilder::source_breaker`](crate::CacheBuilder::source_breaker). What the stack does while its store is away
//! is in [`OnDegraded`](crate::OnDegraded) and [`Cache::get_or_load`](crate::Cache::get_or_load).

mod breaker;
mod bulkhead;
mod config;
mod guarded;
mod health;
mod limit;
mod rate_limit;
mod retry;
mod share;
mod timeout;

pub(crate) use self::breaker::Within;
pub use self::{
    breaker::{
        Admitted, Breaker, BreakerConfig, BreakerFuture, BreakerLayer, BreakerService, BreakerSnapshot, BreakerState,
        CircuitBreaker, Permit, Probing, Refused, Transition, Verdict,
    },
    bulkhead::{Bulkhead, BulkheadLayer},
    config::{Resilience, ResilienceConfig, ResilienceSnapshot},
    guarded::GuardedFuture,
    limit::{Limit, LimitLayer},
    rate_limit::{RateConfig, RateLimit, RateLimitLayer, RateLimiter, RateSnapshot, RateState},
    retry::{Retried, RetryConfig, RetryLayer, RetryPolicy, RetrySnapshot},
    share::{LimitSnapshot, Taken},
    timeout::{Timeout, TimeoutConfig, TimeoutFuture, TimeoutLayer},
};
