//! Bounds how many items a second go down, by the generic cell rate algorithm (GCRA, ITU-T I.371).

mod layer;
mod limiter;
mod service;
mod state;

pub use self::{
    layer::RateLimitLayer,
    limiter::{RateConfig, RateLimiter, RateSnapshot},
    service::RateLimit,
    state::RateState,
};
