//! Bounds each attempt; the handle bounds the whole call.
//!
//! Unlike tower's, it goes by the stack's [`Clock`](crate::Clock), makes no timer for what is answered at once, says
//! of a write that was cut off that it may have happened, and tells the leaf until when the write may land.

mod future;
mod layer;
mod service;

pub use self::{
    future::TimeoutFuture,
    layer::{TimeoutConfig, TimeoutLayer},
    service::Timeout,
};
