//! Server-sent events.

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{Request, StatusCode, header},
};
use futures_util::StreamExt as _;
use memstache_cluster::{Engine, KeySpace, MemberState, RateLimit, admin::Admin};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    kit::*,
    sources::{Counting, Stopwatch, millis, secs, sourced},
};

/// Who follows events.
struct Follower {
    body: BodyDataStream,
    text: String,
}

impl Follower {
    async fn new(router: &Router) -> Self {
        let request = Request::get(format!("{BASE}/events")).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()[header::CONTENT_TYPE]),
            (StatusCode::OK, &"text/event-stream".parse().unwrap())
        );
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event that is no comment; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
                let (kind, data) = (field("event:"), field("data:"));
                self.text = rest.to_owned();
                match (kind, data) {
                    (Some(kind), Some(data)) => return Some((kind, serde_json::from_str(&data).unwrap())),
                    _ => continue,
                }
            }
            let more = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let (kind, data) = self.next().await.unwrap();
            names.push(format!(
                "{kind} {} {}",
                data["peer"]["name"].as_str().unwrap(),
                data["peer"]["state"].as_str().unwrap()
            ));
        }
        names
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_told_of_the_members_then_of_what_changes() {
    let nodes = Nodes::start(3, |_| vec![users()]).await;
    let router = open(&nodes.engines[0]);
    let mut early = Follower::new(&router).await;
    let mut there = early.names(3).await;
    there.sort();
    assert_eq!(there, ["peer_joined cache-0 active", "peer_joined cache-1 active", "peer_joined cache-2 active"]);
    let gone = member(2).id;
    nodes.hall.change(|member| {
        let member = member.clone();
        Some(if member.id == gone { member.with_state(MemberState::Draining) } else { member })
    });
    assert_eq!(early.names(1).await, ["peer_updated cache-2 draining"]);
    nodes.hall.change(|member| (member.id != gone).then(|| member.clone()));
    let (kind, data) = early.next().await.unwrap();
    assert_eq!((kind.as_str(), &data["peer"]["bind_addr"]), ("peer_left", &"10.0.0.3".into()));
    assert!(data["at"].as_u64().unwrap() > 1_600_000_000_000);
    let mut late = Follower::new(&router).await;
    assert_eq!(late.names(2).await.len(), 2);
    nodes.engines[0].stop().await.unwrap();
    while early.next().await.is_some() {}
    while late.next().await.is_some() {}
    assert_eq!(get(&router, "/healthz").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_who_does_not_read_and_what_was_missed_is_told() {
    let nodes = Nodes::start(2, |_| vec![users()]).await;
    let mut slow = Follower::new(&open(&nodes.engines[0])).await;
    let other = member(1).id;
    for n in 0..1200 {
        let state = if n % 2 == 0 { MemberState::Draining } else { MemberState::Active };
        nodes.hall.change(|member| {
            let member = member.clone();
            Some(if member.id == other { member.with_state(state) } else { member })
        });
        tokio::time::sleep(millis(10)).await;
    }
    let dropped = loop {
        let (kind, data) = slow.next().await.unwrap();
        if kind == "dropped" {
            break data["dropped"].as_u64().unwrap();
        }
    };
    // Two members and 1,200 changes, of which 1,024 are kept.
    assert!((150..=178).contains(&dropped), "{dropped}");
}

#[tokio::test]
async fn so_many_follow_and_no_more() {
    let engine: Engine = alone([users()]).await;
    let router = built(Admin::builder(&engine).max_event_streams(2));
    let first = Follower::new(&router).await;
    let _second = Follower::new(&router).await;
    let refused = get(&router, "/events").await;
    assert_eq!(
        (refused.status, refused.error()),
        (StatusCode::SERVICE_UNAVAILABLE, "too many follow events".to_owned())
    );
    assert_eq!(refused.headers[header::RETRY_AFTER], "2");
    drop(first);
    Follower::new(&router).await;
}

#[tokio::test]
async fn changes_of_keyspaces_are_told() {
    let engine = alone([users()]).await;
    let mut follower = Follower::new(&open(&engine)).await;
    let shops = || KeySpace::builder("shops").build().unwrap();
    engine.create_keyspace(shops()).await.unwrap();
    engine.update_keyspace(KeySpace::builder("shops").max_bytes(1 << 20).build().unwrap()).await.unwrap();
    assert_eq!(post_as(&guarded(&engine), "/keyspaces/shops/flush", WRITE).await.status, StatusCode::OK);
    engine.delete_keyspace("shops").await.unwrap();
    for change in ["created", "updated", "flushed", "deleted"] {
        let (kind, data) = follower.next().await.unwrap();
        assert_eq!((kind.as_str(), &data["keyspace"], &data["change"]), ("keyspace", &"shops".into(), &change.into()));
    }
}

#[tokio::test]
async fn a_source_that_is_left_alone_is_told() {
    let source = Counting::default();
    let engine = alone([sourced(&source).build().unwrap()]).await;
    let mut follower = Follower::new(&open(&engine)).await;
    for n in 0..20 {
        assert!(engine.get("products", format!("fails{n}")).await.is_err());
    }
    let (kind, data) = follower.next().await.unwrap();
    assert_eq!((kind.as_str(), &data["keyspace"]), ("source_breaker", &"products".into()));
    assert_eq!(data["change"], "open");
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_refuses_is_told_once_and_when_it_does_so_no_more() {
    let limit = RateLimit::per_second(2).with_burst(1).with_wait(millis(0));
    let engine = alone([sourced(&Counting::default()).rate_limit(limit).build().unwrap()]).await;
    let mut follower = Follower::new(&open(&engine)).await;
    let steps = [(0, 4, Some("refuses")), (600, 1, None), (500, 1, Some("passes")), (0, 4, Some("refuses"))];
    for (step, (wait, loads, change)) in steps.into_iter().enumerate() {
        tokio::time::sleep(millis(wait)).await;
        for n in 0..loads {
            // What is refused is told by an event.
            let _ = engine.get("products", format!("{step}.{n}")).await;
        }
        let Some(change) = change else { continue };
        let (kind, data) = follower.next().await.unwrap();
        assert_eq!((kind.as_str(), &data["keyspace"]), ("source_limiter", &"products".into()));
        assert_eq!(data["change"], change);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_is_replaced_refuses_on_until_a_load_passes_whatever_the_limit_is_then() {
    let limit = |per_second| RateLimit::per_second(per_second).with_burst(1).with_wait(millis(0));
    let source = Counting::default();
    let engine = alone([sourced(&source).rate_limit(limit(2)).build().unwrap()]).await;
    let mut follower = Follower::new(&open(&engine)).await;
    let update = async |limit: Option<RateLimit>| {
        let spec = sourced(&source).default_ttl(secs(60));
        let spec = if let Some(limit) = limit { spec.rate_limit(limit) } else { spec };
        engine.update_keyspace(spec.build().unwrap()).await.unwrap();
    };
    let refused = async |beginning: &str| {
        for n in 0..4 {
            // What is refused is told by an event.
            let _ = engine.get("products", format!("{beginning}.{n}")).await;
        }
    };
    refused("old").await;
    update(Some(limit(1))).await;
    refused("new").await;
    update(None).await;
    tokio::time::sleep(secs(1)).await;
    engine.get("products", "passes").await.unwrap();
    let mut told = Vec::new();
    for _ in 0..4 {
        let (kind, data) = follower.next().await.unwrap();
        told.push((kind, data["change"].as_str().unwrap().to_owned()));
    }
    told.sort();
    let told: Vec<_> = told.iter().map(|(kind, change)| (kind.as_str(), change.as_str())).collect();
    let limiter = [("source_limiter", "passes"), ("source_limiter", "refuses")];
    assert_eq!(told, [[("keyspace", "updated"); 2], limiter].concat());
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive() {
    let engine = alone([users()]).await;
    let mut follower = Follower::new(&open(&engine)).await;
    follower.body.next().await.unwrap().unwrap();
    let started = Stopwatch::start();
    follower.body.next().await.unwrap().unwrap();
    assert_eq!(started.elapsed(), secs(15));
}
