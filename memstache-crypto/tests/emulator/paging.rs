//! Lists of every kind, one entry to a page: `nextLink` leads to the end, and no entry is missed or told twice.

use serde_json::{Value, json};

use crate::client::{Client, start};

/// Follows a list to its end; the ids of its entries, a page each.
async fn pages(client: &Client, list: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(format!("{list}?maxresults=1")));
    while let Some(path) = next {
        let page = client.get(&path).await.ok();
        let id = |entry: &Value| ["id", "kid"].iter().find_map(|name| entry[name].as_str()).unwrap().to_owned();
        pages.push(page["value"].as_array().unwrap().iter().map(id).collect());
        assert!(pages.len() <= 10, "{list} has no end");
        next = page["nextLink"].as_str().map(|link| {
            let path = link.strip_prefix(&client.0.base_url()).unwrap();
            assert!(path.starts_with(&format!("{list}?")), "{list} goes on as {path}");
            path.to_owned()
        });
    }
    pages
}

/// Asserts that two entries come in this order, a page each, and that no third page says so.
async fn assert_pages(client: &Client, list: &str, ids: [&str; 2]) {
    let base = client.0.base_url();
    let expected = ids.map(|id| vec![format!("{base}/{id}")]);
    assert_eq!(pages(client, list).await, expected, "{list}");
}

async fn create(client: &Client, name: &str) -> String {
    let made = client.post(&format!("/keys/{name}/create"), json!({ "kty": "RSA", "key_size": 2048 })).await.ok();
    made["key"]["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_and_their_versions() {
    let client = start().await;
    assert_eq!(pages(&client, "/keys").await, [Vec::<String>::new()], "an empty list is one page");
    create(&client, "b").await;
    let mut versions = [create(&client, "a").await, create(&client, "a").await];
    // Azure sorts versions by their ids, not by age.
    versions.sort();
    assert_pages(&client, "/keys", ["keys/a", "keys/b"]).await;
    assert_eq!(pages(&client, "/keys/a/versions").await, versions.map(|id| vec![id]));
    assert_eq!(pages(&client, "/keys/b/versions").await.len(), 1);
}

#[tokio::test]
async fn deleted_keys() {
    let client = start().await;
    for name in ["b", "a", "kept"] {
        create(&client, name).await;
    }
    for name in ["b", "a"] {
        client.delete(&format!("/keys/{name}")).await.ok();
    }
    assert_pages(&client, "/deletedkeys", ["keys/a", "keys/b"]).await;
    assert_eq!(pages(&client, "/keys").await.concat(), [format!("{}/keys/kept", client.0.base_url())]);
}

#[tokio::test]
async fn secrets_and_deleted_secrets() {
    let client = start().await;
    for name in ["d", "c", "b", "a"] {
        client.set(name, "v").await;
    }
    for name in ["d", "b"] {
        client.delete(&format!("/secrets/{name}")).await.ok();
    }
    assert_pages(&client, "/secrets", ["secrets/a", "secrets/c"]).await;
    assert_pages(&client, "/deletedsecrets", ["secrets/b", "secrets/d"]).await;
}

#[tokio::test]
async fn what_goes_and_comes_between_two_pages_disturbs_no_other() {
    let client = start().await;
    for name in ["a", "b", "c"] {
        client.set(name, "v").await;
    }
    let first = client.get("/secrets?maxresults=1").await.ok();
    let next = first["nextLink"].as_str().unwrap().strip_prefix(&client.0.base_url()).unwrap().to_owned();
    // The entry that the link begins after is gone, and another is before it.
    client.delete("/secrets/a").await.ok();
    client.set("0", "v").await;
    let second = client.get(&next).await.ok();
    assert_eq!(second["value"][0]["id"], format!("{}/secrets/b", client.0.base_url()));
    assert!(second["nextLink"].is_string());
}
