//! Extractors for Axum.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use memstache_core::Format;

use crate::{
    problem::Problem,
    request::{NoTenant, TenantCache, TenantRequest},
};

impl<S: Sync, F: Format> FromRequestParts<S> for TenantCache<F> {
    type Rejection = NoTenant;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoTenant> {
        parts.tenant_cache::<F>().cloned().map(Self).inspect_err(|error| log(*error))
    }
}

impl<S: Sync, F: Format> OptionalFromRequestParts<S> for TenantCache<F> {
    type Rejection = NoTenant;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, NoTenant> {
        match parts.tenant_cache::<F>() {
            Ok(cache) => Ok(Some(Self(cache.clone()))),
            Err(NoTenant::Exempt) => Ok(None),
            Err(error) => {
                log(error);
                Err(error)
            }
        }
    }
}

fn log(error: NoTenant) {
    tracing::error!("a handler wants a tenant's cache and there is none: {error}");
}

impl IntoResponse for NoTenant {
    fn into_response(self) -> Response {
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR);
        problem.response(Body::from(problem.text()))
    }
}
