//! Lists of categories.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};
use memstache_core::LoadContext;

use super::{App, Problem, answer, paths, tenant::Asked};
use crate::{
    cache::DEADLINE,
    catalogue::{Line, Sort},
    database::SourceError,
};

/// `GET /categories/{category}?sort=newest|price|name`: the first products of a category.
///
/// Each order is an entry of its own; all of a category carry its tag, by which a change hides them at once.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Asked { shop, caches }: Asked,
    Path(category): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (category, sort) = (paths::category(&category)?, sort(query.as_deref())?);
    let source = Arc::clone(&app);
    let load = async move |context: LoadContext<Vec<Line>>| {
        let list = source.database.list(shop, category, sort).await?;
        Ok::<_, SourceError>(context.store(list).tags([category.tag()]))
    };
    let key = format!("{category}:{}", sort.name());
    let fetched = caches.lists.get_or_load(key, load).timeout(DEADLINE).entry().await?;
    Ok(answer::fetched(fetched, "there is no such category"))
}

fn sort(query: Option<&str>) -> Result<Sort, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Sort::default()) };
    let wrong = || Problem::invalid("the query must be sort=newest, sort=price or sort=name");
    query.strip_prefix("sort=").and_then(Sort::parse).ok_or_else(wrong)
}
