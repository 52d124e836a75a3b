//! Which path is answered by what.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};

use super::{
    access::admit,
    actions,
    answer::{Problem, json, text},
    events, metrics, page,
    state::Shared,
    tell::{self, Question},
    tokens::Access,
};

type Answer = Result<Response, Problem>;

/// The endpoints, as a router without a fallback of its own: others may be merged with it.
pub(super) fn outer(shared: &Arc<Shared>) -> Router {
    let inner = inner(shared).into_service::<Body>();
    let base = &shared.base;
    let mut outer = Router::new().route_service(&base.join("/"), inner.clone());
    if !base.as_str().is_empty() {
        outer = outer.route_service(base.as_str(), inner.clone());
    }
    outer.route_service(&base.join("/{*below}"), inner)
}

/// The endpoints; whatever else is asked below the base path is answered here, too.
fn inner(shared: &Arc<Shared>) -> Router {
    let routes: [(&str, MethodRouter<Arc<Shared>>); 15] = [
        ("", get(page::show)),
        ("/", get(page::show)),
        ("/peers", get(peers)),
        ("/keyspaces", get(keyspaces)),
        ("/hotkeys", get(hot_keys)),
        ("/partitions", get(partitions)),
        ("/status", get(status)),
        ("/explain/{keyspace}/{*key}", get(explain)),
        ("/events", get(events::follow)),
        ("/metrics", get(metrics::tell)),
        ("/healthz", get(healthz)),
        ("/readyz", get(readyz)),
        ("/keyspaces/{name}/flush", post(actions::flush)),
        ("/drain", post(actions::drain)),
        ("/warmup", post(actions::warm_up)),
    ];
    let mut router = Router::new();
    for (path, route) in routes {
        let path = shared.base.join(path);
        if !path.is_empty() {
            router = router.route(&path, route);
        }
    }
    router
        .fallback(missing)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(shared), admit))
        .with_state(Arc::clone(shared))
}

async fn peers(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(json(StatusCode::OK, &tell::peers(&shared.engine()?)))
}

async fn keyspaces(State(shared): State<Arc<Shared>>, Extension(access): Extension<Access>) -> Answer {
    Ok(json(StatusCode::OK, &tell::keyspaces(&shared.engine()?, access)))
}

async fn hot_keys(State(shared): State<Arc<Shared>>, Extension(access): Extension<Access>) -> Answer {
    Ok(json(StatusCode::OK, &tell::hot_keys(&shared.engine()?, access)))
}

async fn partitions(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(json(StatusCode::OK, &tell::partitions(&shared.engine()?)))
}

async fn status(State(shared): State<Arc<Shared>>, Extension(access): Extension<Access>) -> Answer {
    Ok(json(StatusCode::OK, &tell::status(&shared.engine()?, access)))
}

/// Tells of a key to those who showed a token: whether it is there is known to few.
async fn explain(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    if request.extensions().get() < Some(&Access::Reader) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "keys are explained to those with a token only"));
    }
    let engine = shared.engine()?;
    let question = Question::read(&shared.base, request.uri())?;
    Ok(json(StatusCode::OK, &tell::explain(&engine, &question).await?))
}

async fn healthz() -> Response {
    text(StatusCode::OK, "ok")
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.engine() {
        Ok(engine) if engine.is_ready() => text(StatusCode::OK, "ready"),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    }
}

async fn missing() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here").into_response()
}

async fn not_allowed() -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed").into_response()
}
