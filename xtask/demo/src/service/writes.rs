//! Changing products: the database first, then what the cache has of them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};

use super::{App, Problem, paths, tenant::Asked};
use crate::{
    cache::ShopCaches,
    catalogue::{Category, Draft, Product},
    place::Place,
};

/// By how much the prices of a category change.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reprice {
    percent: i32,
}

/// How many prices were changed.
#[derive(Clone, Copy, Debug, Serialize)]
struct Repriced {
    products: usize,
}

/// `PUT /products/{id}`: replaces a product. Whoever asks after the answer gets the new one.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    asked: Asked,
    Path(id): Path<String>,
    body: Result<Json<Draft>, JsonRejection>,
) -> Result<Response, Problem> {
    let place = Place { shop: asked.shop, id: paths::product(&id)? };
    let Json(draft) = body?;
    draft.check().map_err(Problem::invalid)?;
    let product = to_its_end(async move { app.write(place, asked.caches, draft).await }).await?;
    Ok(Json(product).into_response())
}

/// `POST /categories/{category}/reprice`: changes all prices of a category, and hides by one
/// invalidation whatever the cache has of it.
pub(super) async fn reprice(
    State(app): State<Arc<App>>,
    asked: Asked,
    Path(category): Path<String>,
    body: Result<Json<Reprice>, JsonRejection>,
) -> Result<Response, Problem> {
    let category = paths::category(&category)?;
    let Json(Reprice { percent }) = body?;
    if !(-90..=100).contains(&percent) {
        return Err(Problem::invalid("percent must be from -90 to 100"));
    }
    let products = to_its_end(async move { app.change_prices(asked, category, percent).await }).await?;
    Ok(Json(Repriced { products }).into_response())
}

/// Runs a write as a task of its own: a caller that hangs up must not part the database from the cache.
async fn to_its_end<T: Send + 'static>(
    write: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let torn = |_| Err(Problem::unavailable("the change may or may not have been made"));
    tokio::spawn(write).await.unwrap_or_else(torn)
}

impl App {
    async fn write(&self, place: Place, caches: ShopCaches, draft: Draft) -> Result<Product, Problem> {
        // Two writes of a product must reach the cache in the order in which they reached the database.
        let _turn = self.writing.lock().await;
        let written = self.database.update(place, draft).await?;
        let written = written.ok_or_else(|| Problem::not_found("there is no such product"))?;
        let product = written.product;
        let (category, left) = (product.draft.category, written.left);
        caches.products.set(place.id.to_string(), &product).tags([category.tag()]).await?;
        let listed = if left == category { vec![category.tag()] } else { vec![category.tag(), left.tag()] };
        caches.lists.invalidate_tags(listed).await?;
        Ok(product)
    }

    async fn change_prices(&self, asked: Asked, category: Category, percent: i32) -> Result<usize, Problem> {
        let _turn = self.writing.lock().await;
        let products = self.database.reprice(asked.shop, category, percent).await?;
        asked.caches.products.invalidate_tag(category.tag()).await?;
        asked.caches.lists.invalidate_tag(category.tag()).await?;
        Ok(products)
    }
}
