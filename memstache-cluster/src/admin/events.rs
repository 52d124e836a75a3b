//! `GET /events`: the members that are there, then what changes, as server-sent events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use memstache_core::Clock;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{answer::Problem, state::Shared, tell};
use crate::{EngineEvent, Events, KeySpaceChange, Member};

/// How often something is sent to who follows when nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After how long a browser comes back that lost its connection.
const RETRY: Duration = Duration::from_secs(2);

/// One event: what happened, when this node told it, and to whom.
#[derive(Default, Serialize)]
struct Told<'a> {
    /// Milliseconds since 1970.
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<tell::Who>,
    /// As its events and `/peers` tell it; a member may have left before its breaker closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyspace: Option<&'a str>,
    /// What became of the keyspace, of the breaker or of the limiter.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

/// Follows the engine's events; ends when the engine stops. Nobody waits for who does not read.
pub(super) async fn follow(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let engine = shared.engine()?;
    let Ok(seat) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many follow events");
        let mut response = problem.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, RETRY.as_secs().into());
        return Ok(response);
    };
    let following = Following {
        events: engine.events(),
        clock: Arc::clone(&engine.node.clock),
        ready: VecDeque::from([Event::default().comment("members first").retry(RETRY)]),
        dropped: 0,
        _seat: seat,
    };
    let stream = stream::unfold(following, Following::next);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

struct Following {
    events: Events,
    clock: Arc<dyn Clock>,
    ready: VecDeque<Event>,
    dropped: u64,
    _seat: OwnedSemaphorePermit,
}

impl Following {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            let event = self.events.next().await?;
            let dropped = self.events.dropped();
            if dropped > self.dropped {
                self.dropped = dropped;
                self.put("dropped", Told { dropped: Some(dropped), ..Told::default() });
            }
            let (name, told) = told(&event);
            self.put(name, told);
        }
    }

    fn put(&mut self, name: &'static str, told: Told<'_>) {
        let told = Told { at: tell::unix_millis(self.clock.wall()), ..told };
        // Names and numbers: nothing that JSON cannot say.
        self.ready.extend(Event::default().event(name).json_data(told).ok());
    }
}

fn told(event: &EngineEvent) -> (&'static str, Told<'_>) {
    let of = |member: &Member| Told { peer: Some(member.into()), ..Told::default() };
    match event {
        EngineEvent::PeerJoined(member) => ("peer_joined", of(member)),
        EngineEvent::PeerLeft(member) => ("peer_left", of(member)),
        EngineEvent::PeerUpdated(member) => ("peer_updated", of(member)),
        EngineEvent::KeySpace { keyspace, change } => {
            let change = Some(match change {
                KeySpaceChange::Created => "created",
                KeySpaceChange::Updated => "updated",
                KeySpaceChange::Deleted => "deleted",
                KeySpaceChange::Flushed => "flushed",
                KeySpaceChange::Undefined => "undefined",
                KeySpaceChange::Conflict => "conflict",
            });
            ("keyspace", Told { keyspace: Some(keyspace.as_str()), change, ..Told::default() })
        }
        EngineEvent::PeerBreaker { peer, state } => {
            let (peer_id, change) = (Some(peer.to_string()), Some(state.as_str()));
            ("peer_breaker", Told { peer_id, change, ..Told::default() })
        }
        EngineEvent::SourceBreaker { keyspace, state } => {
            let (keyspace, change) = (Some(keyspace.as_str()), Some(state.as_str()));
            ("source_breaker", Told { keyspace, change, ..Told::default() })
        }
        EngineEvent::SourceLimiter { keyspace, refuses } => {
            let (keyspace, change) = (Some(keyspace.as_str()), Some(if *refuses { "refuses" } else { "passes" }));
            ("source_limiter", Told { keyspace, change, ..Told::default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::resilience::BreakerState;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_breaker_is_told_by_whose_it_is() {
        let member = Member::new("cache-1".parse().unwrap(), ([10, 0, 0, 1], 3320).into());
        let as_json = |event: EngineEvent| {
            let (name, event) = told(&event);
            (name, serde_json::to_value(&event).unwrap())
        };
        let opened = EngineEvent::PeerBreaker { peer: member.id, state: BreakerState::Open };
        let id = tell::Who::from(&member).id;
        assert_eq!(as_json(opened), ("peer_breaker", json!({ "at": 0, "peer_id": id, "change": "open" })));
        let keyspace = memstache_core::KeyspaceName::new("products").unwrap();
        let closed = EngineEvent::SourceBreaker { keyspace, state: BreakerState::HalfOpen };
        let expected = json!({ "at": 0, "keyspace": "products", "change": "half_open" });
        assert_eq!(as_json(closed), ("source_breaker", expected));
    }
}
