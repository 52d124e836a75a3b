//! A circuit breaker: what fails is left alone for a while, then tried with care.
//!
//! [`Breaker`] is the state machine alone, without a clock, a lock or a runtime: for who holds one per connection or
//! shard.
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
mod machine;
mod verdict;
mod window;

pub use self::{
    config::{BreakerConfig, Probing},
    machine::{Breaker, BreakerSnapshot, BreakerState, Permit, Refused, Transition},
    verdict::Verdict,
};

#[cfg(test)]
mod tests;
