//! Whose an HTTP request is: resolution, the layer, the extractor.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod building;
#[cfg(feature = "axum")]
mod extractor;
mod kit;
mod layer;
mod loads;
mod memoized;
mod model;
mod readiness;
mod refusals;
mod resolution;
