//! Bounds the bytes of all calls that are under way, and sheds the others at once.
//!
//! What waits for a store that hangs is held in memory: without a bound in bytes, a slow store is a full process.

mod layer;
mod service;

pub use self::{layer::BulkheadLayer, service::Bulkhead};
