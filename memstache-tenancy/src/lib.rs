#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod axum;
mod known;
#[cfg(feature = "http")]
mod layer;
#[cfg(feature = "http")]
mod problem;
#[cfg(feature = "http")]
mod request;
#[cfg(feature = "http")]
mod resolve;

pub use self::known::{AllTenants, KnownTenants};
#[cfg(feature = "http")]
pub use self::{
    layer::{TenantBody, TenantFuture, TenantLayer, TenantService},
    request::{NoTenant, TenantCache, TenantRequest},
    resolve::{MAX_PATH_SEGMENT, MAX_SOURCES, OnConflict, Refusal, RefusalStatus, Resolved, Resolver, ResolverBuilder},
};
