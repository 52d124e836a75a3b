//! The layer that meters tenants, directly above the near cache.

mod cost;
mod future;
mod layer;
mod meter;
mod service;

pub use self::{future::QuotaFuture, layer::QuotaLayer, meter::MeterTenants, service::Quota};
