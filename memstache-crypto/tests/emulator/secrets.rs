//! The secrets plane.

use std::{sync::Arc, time::Duration};

use memstache_core::{Clock as _, testing::ManualClock};
use serde_json::{Value, json};

use crate::client::{Client, builder, start};

/// The last part of an id.
fn version(bundle: &Value) -> String {
    bundle["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_secret_is_set_read_and_versioned() {
    let client = start().await;
    let first = client
        .put(
            "/secrets/Db-1",
            json!({ "value": "one", "contentType": "text/plain", "tags": { "a": "b" }, "attributes": { "exp": 4_000_000_000_u64 } }),
        )
        .await
        .ok();
    assert_eq!(
        (&first["value"], &first["contentType"], &first["tags"]["a"]),
        (&json!("one"), &json!("text/plain"), &json!("b"))
    );
    assert_eq!(first["attributes"]["exp"], 4_000_000_000_u64);
    assert_eq!((&first["attributes"]["enabled"], &first["attributes"]["recoverableDays"]), (&json!(true), &json!(90)));
    assert_eq!(first["id"], format!("{}/secrets/Db-1/{}", client.0.base_url(), version(&first)));
    assert_eq!(version(&first).len(), 32);

    let second = client.set("Db-1", "two").await;
    assert_ne!(version(&first), version(&second));
    assert_eq!(client.get("/secrets/Db-1/").await.ok()["value"], "two");
    assert_eq!(client.get("/secrets/db-1").await.ok()["value"], "two", "case makes no difference");
    assert_eq!(client.get(&format!("/secrets/Db-1/{}", version(&first))).await.ok(), first);
    assert_eq!(client.get("/secrets/Db-1/ffffffffffffffffffffffffffffffff").await.error().1, "SecretNotFound");
    assert_eq!(client.get("/secrets/other").await.error(), (404, "SecretNotFound", None));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_a_disabled_secret_is_not_read() {
    let client = start().await;
    let set = client.put("/secrets/n", json!({ "value": "v", "contentType": "c", "tags": { "a": "b" } })).await.ok();
    let path = format!("/secrets/n/{}", version(&set));
    let patched = client.patch(&path, json!({ "attributes": { "enabled": false, "nbf": 5 } })).await.ok();
    assert_eq!(
        (&patched["contentType"], &patched["tags"]["a"], &patched["attributes"]["nbf"]),
        (&json!("c"), &json!("b"), &json!(5))
    );
    assert_eq!(patched.get("value"), None);
    for path in ["/secrets/n/", path.as_str()] {
        assert_eq!(client.get(path).await.error(), (403, "Forbidden", Some("SecretDisabled")));
    }
    // Without a version it is the newest that is changed.
    let enabled = client
        .patch("/secrets/n/", json!({ "attributes": { "enabled": true }, "contentType": "d", "tags": {} }))
        .await
        .ok();
    assert_eq!((&enabled["contentType"], &enabled["tags"]), (&json!("d"), &json!({})));
    assert_eq!(client.get(&path).await.ok()["value"], "v");
    assert_eq!(client.patch("/secrets/n/", json!({ "value": "w" })).await.error().0, 400);
    assert_eq!(client.patch("/secrets/none/", json!({})).await.error().0, 404);
    assert_eq!(client.patch("/secrets/n/ab", json!({})).await.error().0, 404);
}

#[tokio::test]
async fn an_expired_secret_is_still_read() {
    let client = start().await;
    client.put("/secrets/n", json!({ "value": "v", "attributes": { "exp": 1, "nbf": 4_000_000_000_u64 } })).await.ok();
    assert_eq!(client.get("/secrets/n").await.ok()["value"], "v");
}

#[tokio::test]
async fn what_is_deleted_is_recovered_or_purged() {
    let client = start().await;
    let set = client.set("n", "v").await;
    let deleted = client.delete("/secrets/n").await.ok();
    assert_eq!(deleted["recoveryId"], format!("{}/deletedsecrets/n", client.0.base_url()));
    assert_eq!(deleted["scheduledPurgeDate"].as_i64().unwrap() - deleted["deletedDate"].as_i64().unwrap(), 90 * 86_400);
    assert_eq!(deleted.get("value"), None);
    assert_eq!(client.get("/deletedsecrets/n").await.ok(), deleted);
    assert_eq!(client.get("/deletedsecrets").await.ok()["value"][0]["recoveryId"], deleted["recoveryId"]);
    assert_eq!(client.get("/secrets/n").await.error().0, 404);
    assert_eq!(client.delete("/secrets/n").await.error().0, 404);
    let again = client.put("/secrets/N", json!({ "value": "w" })).await;
    assert_eq!(again.error(), (409, "Conflict", Some("ObjectIsDeletedButRecoverable")));

    assert_eq!(client.post("/deletedsecrets/n/recover", Value::Null).await.ok()["id"], set["id"]);
    assert_eq!(client.get("/secrets/n").await.ok()["value"], "v");
    assert_eq!(client.get("/deletedsecrets/n").await.error(), (404, "SecretNotFound", None));
    assert_eq!(client.post("/deletedsecrets/n/recover", Value::Null).await.error().0, 404);
    assert_eq!(client.delete("/deletedsecrets/n").await.error().0, 404);

    client.delete("/secrets/n").await.ok();
    let purged = client.delete("/deletedsecrets/n").await;
    assert_eq!((purged.status, purged.body), (204, Value::Null));
    assert_eq!(client.get("/deletedsecrets/n").await.error().0, 404);
    assert_ne!(client.set("n", "v").await["id"], set["id"], "the name is free again");
}

#[tokio::test]
async fn what_was_deleted_ninety_days_ago_is_gone() {
    let clock = Arc::new(ManualClock::new());
    let client = Client(builder().clock(Arc::clone(&clock) as _).start().await.unwrap());
    assert!(clock.now() > memstache_core::Tick::from_millis(0));
    client.set("n", "v").await;
    client.delete("/secrets/n").await.ok();
    clock.advance(Duration::from_secs(90 * 86_400 - 1));
    assert_eq!(client.get("/deletedsecrets/n").await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.get("/deletedsecrets/n").await.status, 404);
    client.set("n", "w").await;
}

#[tokio::test]
async fn lists_are_paged_by_name_and_show_no_values() {
    let client = start().await;
    for at in 0..30 {
        client.set(&format!("n{at:02}"), "hidden").await;
    }
    let (mut names, mut pages) = (Vec::new(), Vec::new());
    let mut next = Some("/secrets?maxresults=25".to_owned());
    while let Some(path) = next {
        let page = client.get(&path).await.ok();
        assert!(!page.to_string().contains("hidden"));
        let entries = page["value"].as_array().unwrap();
        names.extend(entries.iter().map(|entry| entry["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()));
        pages.push(entries.len());
        next = page["nextLink"].as_str().map(|link| link.strip_prefix(&client.0.base_url()).unwrap().to_owned());
    }
    assert_eq!(pages, [25, 5]);
    assert_eq!(names, (0..30).map(|at| format!("n{at:02}")).collect::<Vec<_>>());
    assert_eq!(client.get("/secrets?maxresults=26").await.error().0, 400);
    assert_eq!(client.get("/secrets?$skiptoken=!").await.error().0, 400);
}

#[tokio::test]
async fn versions_are_listed_page_by_page() {
    let client = start().await;
    let mut set = Vec::new();
    for at in 0..5 {
        set.push(client.set("n", &at.to_string()).await["id"].clone());
    }
    let (mut listed, mut next) = (Vec::new(), Some("/secrets/n/versions?maxresults=2".to_owned()));
    while let Some(path) = next {
        let page = client.get(&path).await.ok();
        listed.extend(page["value"].as_array().unwrap().iter().map(|entry| entry["id"].clone()));
        next = page["nextLink"].as_str().map(|link| link.strip_prefix(&client.0.base_url()).unwrap().to_owned());
    }
    set.sort_by_key(ToString::to_string);
    assert_eq!(listed, set);
    assert_eq!(client.get("/secrets/none/versions").await.error().0, 404);
}

#[tokio::test]
async fn a_backup_brings_all_versions_back() {
    let client = start().await;
    let first = client.set("n", "one").await;
    client.set("n", "two").await;
    let backup = client.post("/secrets/n/backup", Value::Null).await.ok();
    assert!(!backup.to_string().contains("one"));
    assert_eq!(client.post("/secrets/restore", backup.clone()).await.error(), (409, "Conflict", None));
    client.delete("/secrets/n").await.ok();
    let taken = client.post("/secrets/restore", backup.clone()).await;
    assert_eq!(taken.error(), (409, "Conflict", Some("ObjectIsDeletedButRecoverable")));
    client.delete("/deletedsecrets/n").await;
    client.post("/secrets/restore", backup.clone()).await.ok();
    assert_eq!(client.get("/secrets/n").await.ok()["value"], "two");
    assert_eq!(client.get(&format!("/secrets/n/{}", version(&first))).await.ok()["value"], "one");

    assert_eq!(client.post("/keys/restore", backup.clone()).await.error().0, 400, "not a key");
    assert_eq!(start().await.post("/secrets/restore", backup).await.error().0, 400, "another vault's");
    for wrong in [json!({}), json!({ "value": "" }), json!({ "value": "AAAA" }), json!({ "value": "?" })] {
        assert_eq!(client.post("/secrets/restore", wrong).await.error().0, 400);
    }
    assert_eq!(client.post("/secrets/none/backup", Value::Null).await.error().0, 404);
}

#[tokio::test]
async fn names_and_sizes_are_limited() {
    let client = start().await;
    client.set(&"n".repeat(127), &"v".repeat(25 * 1024)).await;
    for (name, body) in [
        ("a_b", json!({ "value": "v" })),
        ("a%2Fb", json!({ "value": "v" })),
        (&*"n".repeat(128), json!({ "value": "v" })),
        ("n", json!({ "value": "v".repeat(25 * 1024 + 1) })),
        ("n", json!({})),
        ("n", json!({ "value": 7 })),
        ("n", json!({ "value": "v", "contentType": "c".repeat(256) })),
        ("n", json!({ "value": "v", "attributes": { "exp": -1 } })),
        ("n", json!({ "value": "v", "tags": { "t": "x".repeat(513) } })),
    ] {
        assert_eq!(client.put(&format!("/secrets/{name}"), body).await.error().0, 400, "{name}");
    }
    assert_eq!(client.get("/secrets").await.ok()["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_vault_says_so() {
    let client = Client(builder().max_versions(2).start().await.unwrap());
    client.set("a", "1").await;
    client.set("a", "2").await;
    let full = client.put("/secrets/a", json!({ "value": "3" })).await;
    assert_eq!(full.error(), (403, "Forbidden", Some("VaultFull")));
    assert_eq!(client.get("/secrets/a").await.ok()["value"], "2");
}
