#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "config")]
mod config;
#[cfg(feature = "quota")]
mod plan;
#[cfg(feature = "quota")]
mod quota;
#[cfg(feature = "quota")]
mod tenants;

#[cfg(feature = "config")]
pub use self::config::{CONFIG_EXAMPLE, register};
#[cfg(feature = "quota")]
pub use self::{
    plan::{MAX_WEIGHT, OverQuota, Plan, PlanBuilder, Plans, PlansBuilder},
    quota::{MeterTenants, Quota, QuotaFuture, QuotaLayer},
    tenants::{DEFAULT_NAMED, TenantMetrics, Tenants, TenantsBuilder, Usage},
};
