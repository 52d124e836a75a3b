//! The tenant's cache, in the extensions of its requests.

mod body;
mod future;
#[allow(clippy::module_inception, reason = "one middleware, one folder: the layer has a file of its own")]
mod layer;
mod service;

pub use self::{body::TenantBody, future::TenantFuture, layer::TenantLayer, service::TenantService};
