//! The page, as it is sent.

use axum::http::header;
use data_encoding::BASE64;
use memstache_cluster::KeySpace;
use ring::digest::{SHA256, digest};

use crate::{kit::*, sources::Counting};

/// What stands between two tags.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split_once(after).unwrap().0).collect()
}

#[tokio::test]
async fn its_policy_knows_its_script_and_its_style_and_nothing_else() {
    let engine = alone([users()]).await;
    let answer = get(&open(&engine), "/").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    let page = answer.text();
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let elements = between(page, &format!("<{tag}>"), &format!("</{tag}>"));
        assert_eq!(elements.len(), 1, "{tag}");
        let hash = BASE64.encode(digest(&SHA256, elements[0].as_bytes()).as_ref());
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}';")), "{policy}");
    }
    assert!(!policy.contains("unsafe") && policy.starts_with("default-src 'none'"), "{policy}");
    for outside in ["http://", "https://", " src=", " style=", " onclick", " onload", "@import", "url("] {
        let markup = page.replace(between(page, "<script>", "</script>")[0], "");
        assert!(!markup.contains(outside), "{outside}");
    }
    assert!(!page.contains("<!--="), "every mark is filled");
}

#[tokio::test(start_paused = true)]
async fn without_a_script_it_is_tables() {
    let nodes =
        Nodes::start(3, |_| vec![KeySpace::builder("products").source(Counting::default()).build().unwrap()]).await;
    for key in ["a", "b", "a"] {
        nodes.engines[0].get("products", key).await.unwrap();
    }
    let page = get(&open(&nodes.engines[0]), "").await.text().to_owned();
    for part in [
        "cache-0",
        "cache-1",
        "10.0.0.3:3320",
        "zone-2",
        "products",
        "with a source",
        "closed",
        "healthy",
        "in partition",
        "running",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}
