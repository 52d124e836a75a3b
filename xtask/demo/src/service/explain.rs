//! Why a product would be answered from where it would.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use memstache_core::Explanation;

use super::{App, Problem};

/// `GET /explain/{key}`, a shop and a product's number as in `shop-01:7`: which tier would answer it now, and why the others
/// would not. It changes nothing, and loads nothing.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let place = app.place(&key)?;
    Ok(Json(app.caches.of(place.shop).products.explain(place.id.to_string()).await?))
}
