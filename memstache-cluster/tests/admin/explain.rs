//! One key, explained.

use axum::http::StatusCode;
use memstache_core::TenantId;

use crate::{
    kit::*,
    sources::{Counting, sourced},
};

#[tokio::test(start_paused = true)]
async fn every_node_names_the_owner_and_what_it_holds() {
    let nodes = Nodes::start(3, |_| vec![users()]).await;
    nodes.engines[0].put("users", "ada", "a value").await.unwrap();
    let mut owners = Vec::new();
    let mut mine = 0;
    for engine in &nodes.engines {
        let told = get_as(&guarded(engine), "/explain/users/ada", READ).await.json();
        let ranked: Vec<_> = told["ranked"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(ranked.len(), 3);
        assert_eq!(told["owner"], ranked[0]);
        let tier = &told["tiers"][0];
        assert_eq!(
            (&tier["holds"], &tier["entry"]["bytes"], &tier["loading"]),
            (&true.into(), &7.into(), &false.into())
        );
        assert_eq!(told["error"], serde_json::Value::Null);
        assert_eq!(told["epoch"].as_str().unwrap().len(), 16);
        mine += usize::from(told["is_mine"] == true);
        owners.push(told["owner"].clone());
        assert!(!told.to_string().contains("a value") && !told.to_string().contains("ada"), "{told}");
    }
    assert_eq!(mine, 1);
    assert!(owners.iter().all(|owner| *owner == owners[0]));
    let missing = get_as(&guarded(&nodes.engines[0]), "/explain/users/bob", READ).await.json();
    assert_eq!(
        (&missing["tiers"][0]["holds"], &missing["tiers"][0]["reason"]),
        (&false.into(), &"never_stored".into())
    );
}

#[tokio::test]
async fn keys_are_any_bytes_and_tenants_have_their_own() {
    let engine = alone([users()]).await;
    let router = guarded(&engine);
    let acme = engine.for_tenant(&TenantId::new("acme").unwrap());
    for (key, path) in [
        (&b"a/b"[..], "a/b"),
        (b"a//b", "a%2F%2Fb"),
        (b"..", ".."),
        (b"../../etc", "..%2f../etc"),
        (b"\xff\x00 %", "%ff%00%20%25"),
        ("ä?".as_bytes(), "%C3%A4%3F"),
        (b"%zz", "%zz"),
    ] {
        for (handle, query) in [(&engine, ""), (&acme, "?x=1&tenant=acme")] {
            let path = format!("/explain/users/{path}{query}");
            let holds = async || get_as(&router, &path, READ).await.json()["tiers"][0]["holds"].clone();
            assert_eq!(holds().await, false, "{path}");
            handle.put("users", key, "v").await.unwrap();
            assert_eq!(holds().await, true, "{path}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_explained_is_named() {
    let engine = alone([users(), sourced(&Counting::default()).build().unwrap()]).await;
    let router = guarded(&engine);
    for (path, status, part) in [
        ("/explain/none/a", StatusCode::NOT_FOUND, "there is no keyspace of this name"),
        ("/explain/users", StatusCode::NOT_FOUND, "there is nothing here"),
        ("/explain/users/", StatusCode::NOT_FOUND, "there is nothing here"),
        ("/explain/a%20b/a", StatusCode::BAD_REQUEST, "keyspace must be"),
        ("/explain/%ff/a", StatusCode::BAD_REQUEST, "keyspace must be UTF-8"),
        ("/explain/users/a?tenant=a%20b", StatusCode::BAD_REQUEST, "tenant"),
        ("/explain/users/a?tenant=", StatusCode::BAD_REQUEST, "tenant"),
    ] {
        let answer = get_as(&router, path, READ).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.error().contains(part), "{path}: {}", answer.error());
    }
    let long = format!("/explain/users/{}", "k".repeat(1025));
    let answer = get_as(&router, &long, READ).await;
    assert_eq!(answer.error(), "key must be 1 to 1024 bytes long, but 1025 bytes was given");
    assert_eq!(get_as(&router, "/explain/products/a", READ).await.status, StatusCode::OK);
}
