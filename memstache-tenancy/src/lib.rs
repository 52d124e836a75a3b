#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "config")]
mod config;
mod known;
#[cfg(feature = "http")]
mod layer;
#[cfg(feature = "quota")]
mod plan;
#[cfg(feature = "http")]
mod problem;
#[cfg(feature = "quota")]
mod quota;
#[cfg(feature = "http")]
mod request;
#[cfg(feature = "http")]
mod resolve;
#[cfg(feature = "quota")]
mod tenants;

#[cfg(feature = "config")]
pub use self::config::{CONFIG_EXAMPLE, register};
pub use self::known::{AllTenants, KnownTenants};
#[cfg(feature = "http")]
pub use self::{
    layer::{TenantBody, TenantFuture, TenantLayer, TenantService},
    request::{NoTenant, TenantCache, TenantRequest},
    resolve::{MAX_PATH_SEGMENT, MAX_SOURCES, OnConflict, Refusal, RefusalStatus, Resolved, Resolver, ResolverBuilder},
};
#[cfg(feature = "quota")]
pub use self::{
    plan::{MAX_WEIGHT, OverQuota, Plan, PlanBuilder, Plans, PlansBuilder},
    quota::{MeterTenants, Quota, QuotaFuture, QuotaLayer},
    tenants::{DEFAULT_NAMED, SamplingTask, TenantMetrics, Tenants, TenantsBuilder, Usage},
};
