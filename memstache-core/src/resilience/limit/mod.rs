//! Bounds how many calls are under way, and sheds the others at once.
//!
//! Nothing queues: a queue in front of a busy store only makes every answer late. Like tower's concurrency limit under
//! its load shedding, but without the allocations of a call that is refused.

mod layer;
mod service;

pub use self::{layer::LimitLayer, service::Limit};
