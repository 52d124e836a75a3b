//! Whose shop a request is for.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use memstache_core::{Json, TenantId};
use memstache_tenancy::{Resolver, TenantRequest as _};

use super::{App, Problem};
use crate::{
    cache::ShopCaches,
    place::{DOMAIN, Shop},
};

/// The header that names the shop where the host does not; where both do, they agree.
const X_SHOP: &str = "x-shop";

/// Takes a request for the shop of its host, `shop-01.localhost`, or of its header; one that names no shop is refused.
pub(super) fn resolver(shops: u16) -> memstache_core::Result<Resolver> {
    let known = move |tenant: &TenantId| Shop::parse(tenant.as_str(), shops).is_some();
    Resolver::builder().subdomain(DOMAIN).header(X_SHOP).known(known).build()
}

/// The shop that a request is for, with its part of the cache and no other's.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) shop: Shop,
    pub(super) caches: ShopCaches,
}

impl FromRequestParts<Arc<App>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let products = parts.tenant_cache::<Json>().map_err(|error| Problem::internal().because(&error))?;
        let shop = products.space().tenant().and_then(|name| Shop::parse(name, app.database.size().shops));
        let shop = shop.ok_or_else(Problem::internal)?;
        Ok(Self { shop, caches: ShopCaches::new(products.clone()) })
    }
}
