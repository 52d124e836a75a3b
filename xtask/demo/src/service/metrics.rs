//! What Prometheus scrapes.

use std::sync::Arc;

use axum::{extract::State, http::header, response::IntoResponse};
use memstache_core::observe::Registry;

use super::App;

/// `GET /metrics`: all counts and latencies of the cache, in Prometheus' text format.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, Registry::CONTENT_TYPE)], app.caches.registry.prometheus_text())
}
