//! Putting, reading and deleting.

use memstache_cluster::{KeySpace, Put};
use memstache_core::{ErrorKind, TenantId};

use crate::kit::*;

#[tokio::test]
async fn what_is_put_is_read_until_it_is_deleted() {
    let engine = alone(KeySpace::builder(KS)).await;
    assert_eq!(read(&engine, "a").await, None);
    engine.put(KS, "a", "1").await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("1"));
    engine.put(KS, "a", "2").await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("2"));
    assert!(engine.delete(KS, "a").await.unwrap());
    assert!(!engine.delete(KS, "a").await.unwrap());
    assert_eq!(read(&engine, "a").await, None);
    let stats = engine.stats(KS).unwrap();
    assert_eq!((stats.remove_keys_requests, stats.removed_keys), (2, 1));
    assert_eq!((stats.gets, stats.cache_hits), (4, 2));
}

#[tokio::test]
async fn batches_answer_per_key_in_order_and_one_bad_key_fails_no_other() {
    let engine = alone(KeySpace::builder(KS).max_bytes(1 << 20)).await;
    let large = vec![7; 1 << 20];
    let entries = [("a", Put::new("1")), ("", "2".into()), ("c", Put::new(large)), ("d", "4".into())];
    let put = engine.put_many(KS, entries).await.unwrap();
    let kinds: Vec<_> = put.iter().map(|result| result.as_ref().err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::Invalid), Some(ErrorKind::TooLarge), None]);

    let found = engine.get_many(KS, ["d", "a", "", "a", "x"]).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|found| found.map_err(|error| error.kind())).collect();
    let value = |text: &'static str| Ok(Some(bytes::Bytes::from_static(text.as_bytes())));
    assert_eq!(found, [value("4"), value("1"), Err(ErrorKind::Invalid), value("1"), Ok(None)]);

    let gone = engine.delete_many(KS, ["a", "x", ""]).await.unwrap();
    assert_eq!(gone.into_iter().map(Result::ok).collect::<Vec<_>>(), [Some(true), Some(false), None]);
    let none: [&str; 0] = [];
    assert!(engine.get_many(KS, none).await.unwrap().is_empty());
    assert!(engine.delete_many(KS, none).await.unwrap().is_empty());
    assert!(engine.put_many(KS, [] as [(&str, &str); 0]).await.unwrap().is_empty());
}

#[tokio::test]
async fn odd_keys_are_keys_like_others() {
    let engine = alone(sourced(&Counting::default())).await;
    let long = vec![b'x'; 1024];
    let odd: Vec<&[u8]> = vec![b"..", b"a//b", b":", b"\xff\xfe\0", b" ", &long, b"products:a", b"a:products"];
    for key in &odd {
        engine.put(KS, key, key.to_vec()).await.unwrap();
    }
    for key in &odd {
        assert_eq!(engine.get(KS, key).await.unwrap().as_deref(), Some(*key));
    }
    for (key, given) in [(vec![], "0 bytes"), (vec![0; 64 * 1024], "65536 bytes")] {
        let error = engine.get(KS, &key).await.unwrap_err();
        assert_eq!(error.to_string(), format!("key must be 1 to 1024 bytes long, but {given} was given"));
        assert_eq!(engine.put(KS, &key, "v").await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(engine.delete(KS, &key).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn tenants_share_nothing() {
    let source = Counting::default();
    let engine = alone(sourced(&source)).await;
    let [a, b] = ["a", "b"].map(|name| engine.for_tenant(&TenantId::new(name).unwrap()));
    a.put(KS, "k", "of a").await.unwrap();
    assert_eq!(read(&a, "k").await.as_deref(), Some("of a"));
    assert_eq!(read(&b, "k").await.as_deref(), Some("k#1"));
    assert_eq!(read(&engine, "k").await.as_deref(), Some("k#2"));
    a.clear(KS).await.unwrap();
    assert_eq!(read(&a, "k").await.as_deref(), Some("k#3"));
    assert_eq!(read(&b, "k").await.as_deref(), Some("k#1"));
}

#[tokio::test]
async fn tags_and_clears_hide_what_was_before() {
    let engine = alone(KeySpace::builder(KS)).await;
    engine.put(KS, "a", Put::new("1").tags(["red"])).await.unwrap();
    engine.put(KS, "b", Put::new("2").tags(["blue"])).await.unwrap();
    let first = engine.invalidate_tag(KS, "red").await.unwrap();
    assert_eq!((read(&engine, "a").await, read(&engine, "b").await.as_deref()), (None, Some("2")));
    assert!(engine.clear(KS).await.unwrap() > first);
    assert_eq!(read(&engine, "b").await, None);
    engine.put(KS, "a", Put::new("3").tags(["red"])).await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("3"));
    assert_eq!(engine.invalidate_tag(KS, "").await.unwrap_err().kind(), ErrorKind::Invalid);
    let wrong = engine.put(KS, "a", Put::new("4").tags([""])).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_put_beats_the_default() {
    let engine = alone(KeySpace::builder(KS).default_ttl(secs(10))).await;
    let wall = memstache_core::Clock::wall(&memstache_core::SystemClock::new());
    engine.put(KS, "default", "v").await.unwrap();
    engine.put(KS, "own", Put::new("v").ttl(secs(20))).await.unwrap();
    engine.put(KS, "at", Put::new("v").expires_at(wall + secs(60))).await.unwrap();
    let over = engine.put(KS, "over", Put::new("v").expires_at(wall - secs(1))).await.unwrap_err();
    assert_eq!(over.to_string(), "expiry must be in the future, but one that is over was given");
    assert_eq!(engine.put(KS, "over", Put::new("v").ttl(secs(0))).await.unwrap_err().kind(), ErrorKind::Invalid);
    let mut seen = Vec::new();
    for _ in 0..3 {
        tokio::time::advance(secs(9)).await;
        let mut left = String::new();
        for key in ["default", "own", "at"] {
            if read(&engine, key).await.is_some() {
                left.push_str(&key[..1]);
            }
        }
        seen.push(left);
    }
    assert_eq!(seen, ["doa", "oa", "a"]);
}
