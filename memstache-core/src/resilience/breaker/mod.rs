//! A circuit breaker: what fails is left alone for a while, then tried with care.
//!
//! [`Breaker`] is the state machine alone, without a clock, a lock or a runtime: for who holds one per connection or
//! shard. [`CircuitBreaker`] is one that many callers share: for data sources. [`BreakerLayer`] puts that into a stack.
//!
//! ```text
//!          failures in a row, or a rate over a window
//!   closed ------------------------------------------> open <----+
//!     ^                                                  |       |
//!     |                                          open_for|       | a probe failed
//!     |  n probes succeeded                              v       |
//!     +----------------------------------------------- half-open +
//! ```
//!
//! A miss, a value that cannot be opened and a caller's cancellation are no failures. The pattern is that of M. Nygard,
//! *Release It!*, 2nd ed., chapter 5.

mod config;
mod future;
mod layer;
mod machine;
mod prober;
mod service;
mod shared;
mod verdict;
mod window;
mod within;

pub(crate) use self::within::Within;
pub use self::{
    config::{BreakerConfig, Probing},
    future::BreakerFuture,
    layer::BreakerLayer,
    machine::{Breaker, BreakerSnapshot, BreakerState, Permit, Refused, Transition},
    service::BreakerService,
    shared::{Admitted, CircuitBreaker},
    verdict::Verdict,
};

#[cfg(test)]
mod tests;
