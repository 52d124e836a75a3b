//! Reading one product, both ways.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use memstache_core::{Fetched, LoadContext};

use super::{App, Problem, answer, paths, tenant::Asked};
use crate::{
    cache::{DEADLINE, NEGATIVE_TTL},
    catalogue::Product,
    database::{Route, SourceError},
    place::Place,
};

const MISSING: &str = "there is no such product";

/// `GET /products/{id}`: from the cache, or loaded into it, once however many ask.
pub(super) async fn cached(
    State(app): State<Arc<App>>,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let place = Place { shop: asked.shop, id: paths::product(&id)? };
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
    let fetched: Fetched<Product> = asked.caches.products.get_or_load(id, load).timeout(DEADLINE).entry().await?;
    Ok(answer::fetched(fetched, MISSING))
}

/// `GET /uncached/products/{id}`: from the database, each time.
pub(super) async fn uncached(
    State(app): State<Arc<App>>,
    asked: Asked,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let place = Place { shop: asked.shop, id: paths::product(&id)? };
    Ok(answer::bypassed(app.database.product(place, Route::Uncached).await?, MISSING))
}
