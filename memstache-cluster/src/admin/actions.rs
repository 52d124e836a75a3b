//! What changes something; only writers get here.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{
    answer::{Problem, json},
    state::Shared,
};

type Answer = Result<Response, Problem>;

/// What was done.
#[derive(Serialize)]
struct Done<'a> {
    done: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyspace: Option<&'a str>,
}

/// Which keyspace; what surrounds the path may have parameters of its own.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
}

/// `POST /keyspaces/{name}/flush`
pub(super) async fn flush(State(shared): State<Arc<Shared>>, Path(Named { name }): Path<Named>) -> Answer {
    shared.engine()?.flush(&name).await?;
    tracing::info!("a keyspace was flushed by the admin endpoints");
    Ok(json(StatusCode::OK, &Done { done: "flushed", keyspace: Some(&name) }))
}

/// `POST /drain`: begun here, and seen by `/readyz` and `/status`.
pub(super) async fn drain(State(shared): State<Arc<Shared>>) -> Answer {
    shared.engine()?.begin_drain()?;
    tracing::info!("the node was drained by the admin endpoints");
    Ok(json(StatusCode::ACCEPTED, &Done { done: "draining", keyspace: None }))
}

/// `POST /warmup`: begun here.
pub(super) async fn warm_up(State(shared): State<Arc<Shared>>) -> Answer {
    let engine = shared.engine()?;
    engine.node.ready()?;
    crate::reader::warm(&engine.node);
    Ok(json(StatusCode::ACCEPTED, &Done { done: "warming", keyspace: None }))
}
