//! Whether the service can do its work.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use memstache_core::Condition;
use serde_json::json;
use tokio::time::timeout;

use super::App;

/// How long a probe's value would stay if it were not removed.
const PROBE_TTL: Duration = Duration::from_secs(5);

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// `GET /healthz`: reads and locks the database; writes, reads and removes in the cache. `503` if either fails, or a part of
/// the cache is down. With how each part is: near cache, breakers, limits, store.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let (database, cache) = tokio::join!(timeout(PATIENCE, app.database.ping()), probe(&app));
    // The probe says whether it works, the parts how they are.
    let parts = app.caches.all.health();
    let database = database.is_ok_and(|ping| ping.is_ok());
    let cache = cache.unwrap_or(false) && parts.condition != Condition::Down;
    let status = if database && cache { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |good| if good { "ok" } else { "failing" };
    let body = json!({
        "status": word(database && cache),
        "database": word(database),
        "cache": word(cache),
        "parts": parts,
    });
    (status, Json(body)).into_response()
}

/// No shop's keys are touched, and no two probes share one.
async fn probe(app: &App) -> memstache_core::Result<bool> {
    let (cache, number) = (app.caches.all.shared(), fastrand::u64(..));
    let key = format!("probe:{number}");
    cache.set(&key, &number).ttl(PROBE_TTL).await?;
    let read = cache.get::<u64>(&key).await?;
    Ok(cache.remove(&key).await? && read == Some(number))
}
