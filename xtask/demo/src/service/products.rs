//! Reading one product, both ways.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use memstache_core::{Fetched, LoadContext};

use super::{App, Problem, answer};
use crate::{
    cache::{DEADLINE, NEGATIVE_TTL},
    catalogue::Product,
    database::{Route, SourceError},
};

const MISSING: &str = "there is no such product";

/// `GET /shops/{shop}/products/{id}`: from the cache, or loaded into it, once however many ask.
pub(super) async fn cached(
    State(app): State<Arc<App>>,
    Path((shop, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = app.place(&shop, &id)?;
    let source = Arc::clone(&app);
    let load = async move |context: LoadContext<Product>| {
        let product = source.database.product(place, Route::Cached).await?;
        Ok::<_, SourceError>(match product {
            Some(product) => {
                let tag = product.draft.category.tag();
                context.store(product).tags([tag])
            }
            None => context.negative(NEGATIVE_TTL),
        })
    };
    let products = &app.caches.of(place.shop).products;
    let fetched: Fetched<Product> = products.get_or_load(id, load).timeout(DEADLINE).entry().await?;
    Ok(answer::fetched(fetched, MISSING))
}

/// `GET /uncached/shops/{shop}/products/{id}`: from the database, each time.
pub(super) async fn uncached(
    State(app): State<Arc<App>>,
    Path((shop, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let place = app.place(&shop, &id)?;
    Ok(answer::bypassed(app.database.product(place, Route::Uncached).await?, MISSING))
}
