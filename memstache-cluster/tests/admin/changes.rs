//! What writers change.

use axum::http::StatusCode;
use memstache_core::TenantId;

use crate::{
    kit::*,
    sources::{Counting, secs, sourced},
};

#[tokio::test]
async fn a_flush_hides_what_a_keyspace_holds() {
    let engine = alone([users()]).await;
    engine.put("users", "a", "v").await.unwrap();
    let router = guarded(&engine);
    let answer = post_as(&router, "/keyspaces/users/flush", WRITE).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), serde_json::json!({ "done": "flushed", "keyspace": "users" }));
    assert_eq!(engine.get("users", "a").await.unwrap(), None);
    let acme = engine.for_tenant(&TenantId::new("acme").unwrap());
    acme.put("users", "a", "v").await.unwrap();
    post_as(&router, "/keyspaces/users/flush", WRITE).await;
    assert_eq!(acme.get("users", "a").await.unwrap(), None, "whosever it is");
    let missing = post_as(&router, "/keyspaces/none/flush", WRITE).await;
    assert_eq!(
        (missing.status, missing.error()),
        (StatusCode::NOT_FOUND, "there is no keyspace of this name".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_owns_nothing_and_answers_still() {
    let nodes = Nodes::start(3, |_| vec![users()]).await;
    for n in 0..60 {
        nodes.engines[0].put("users", format!("k{n}"), "v").await.unwrap();
    }
    let router = guarded(&nodes.engines[0]);
    let answer = post_as(&router, "/drain", WRITE).await;
    assert_eq!((answer.status, answer.json()["done"].as_str()), (StatusCode::ACCEPTED, Some("draining")));
    tokio::time::sleep(secs(3)).await;
    assert_eq!(get(&router, "/readyz").await.text(), "not ready");
    let status = get_as(&router, "/status", READ).await.json();
    assert_eq!((&status["node"]["state"], &status["peers"][0]["partitions"]), (&"draining".into(), &0.into()));
    for n in 0..60 {
        let value = nodes.engines[0].get("users", format!("k{n}")).await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"v"[..]), "k{n} was handed over");
    }
}

#[tokio::test]
async fn a_node_alone_has_nobody_to_drain_to() {
    let engine = alone([users()]).await;
    let answer = post_as(&guarded(&engine), "/drain", WRITE).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.error(), "a node that stands alone has nobody to hand over to");
    assert!(engine.is_ready());
}

#[tokio::test(start_paused = true)]
async fn warm_keys_are_loaded_when_a_writer_says_so() {
    let source = Counting::default();
    let engine = alone([sourced(&source).warm_keys(["a", "b"]).build().unwrap()]).await;
    let router = guarded(&engine);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(source.total(), 2);
    engine.delete("products", "a").await.unwrap();
    let answer = post_as(&router, "/warmup", WRITE).await;
    assert_eq!((answer.status, answer.json()["done"].as_str()), (StatusCode::ACCEPTED, Some("warming")));
    tokio::time::sleep(secs(1)).await;
    assert_eq!((source.asked("a"), source.asked("b")), (2, 1));
    engine.stop().await.unwrap();
    for path in ["/warmup", "/drain", "/keyspaces/products/flush"] {
        let answer = post_as(&router, path, WRITE).await;
        assert_eq!(
            (answer.status, answer.error()),
            (StatusCode::SERVICE_UNAVAILABLE, "the engine was stopped".to_owned())
        );
    }
}
