//! Reading through a source.

use std::sync::{Arc, OnceLock};

use memstache_cluster::{Engine, Expiry, Key, KeySpace, Sourced, source_fn};
use memstache_core::ErrorKind;

use crate::kit::*;

#[tokio::test(start_paused = true)]
async fn a_key_is_loaded_once_for_all_who_ask() {
    let source = Counting::default();
    let engine = alone(sourced(&source)).await;
    let reads = (0..100).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move { read(&engine, &format!("slow{}", n % 4)).await })
    });
    for value in futures_util::future::join_all(reads).await {
        assert!(value.unwrap().unwrap().ends_with("#1"));
    }
    assert_eq!((source.total(), source.distinct()), (4, 4));
    let stats = engine.stats(KS).unwrap();
    assert_eq!((stats.gets, stats.cache_hits, stats.loads), (100, 0, 100));
    assert_eq!((stats.loads_deduped, stats.local_loads, stats.local_load_errs), (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_asks_the_source_once_for_what_is_missing() {
    let source = Counting::default();
    let engine = alone(sourced(&source).negative_ttl(secs(9))).await;
    engine.put(KS, "there", "v").await.unwrap();
    let found = engine.get_many(KS, ["a", "there", "missing", "a", "fails", "notfound"]).await.unwrap();
    let text = |found: &memstache_core::Result<Option<bytes::Bytes>>| match found {
        Ok(Some(value)) => String::from_utf8(value.to_vec()).unwrap(),
        Ok(None) => "none".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["a#1", "v", "none", "a#1", "Load", "none"]);
    assert_eq!(source.batches(), [4]);
    let again = engine.get_many(KS, ["missing", "a", "notfound"]).await.unwrap();
    assert_eq!(again.iter().map(text).collect::<Vec<_>>(), ["none", "a#1", "none"]);
    assert_eq!(source.total(), 4, "nothing was asked for again");
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_such_key_is_remembered_if_asked_for() {
    for (ttl, asked) in [(None, 3), (Some(secs(10)), 1)] {
        let source = Counting::default();
        let builder = sourced(&source);
        let engine = alone(match ttl {
            Some(ttl) => builder.negative_ttl(ttl),
            None => builder,
        })
        .await;
        for _ in 0..3 {
            assert_eq!(read(&engine, "missing").await, None);
            assert_eq!(read(&engine, "notfound").await, None);
        }
        assert_eq!((source.asked("missing"), source.asked("notfound")), (asked, asked));
        if ttl.is_some() {
            tokio::time::advance(secs(11)).await;
            assert_eq!(read(&engine, "missing").await, None);
            assert_eq!(source.asked("missing"), 2);
        }
        engine.put(KS, "missing", "found").await.unwrap();
        assert_eq!(read(&engine, "missing").await.as_deref(), Some("found"));
    }
}

/// The source's own end, then the keyspace's, then the default, then none.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_loaded_value_is_decided_in_order() {
    let by_source = source_fn(|key: Key| async move {
        let value = Sourced::new(key.name().to_vec());
        Ok(Some(match key.name() {
            b"source" | b"source, key" => value.ttl(secs(5)),
            b"over" => value.ttl(secs(0)),
            _ => value,
        }))
    });
    let of_key = |key: &Key| key.name().ends_with(b"key").then_some(Expiry::After(secs(15)));
    let engine = alone(KeySpace::builder(KS).source(by_source).expiry(of_key).default_ttl(secs(25))).await;
    let keys = ["source", "source, key", "key", "default"];
    for key in keys {
        assert_eq!(read(&engine, key).await.as_deref(), Some(key));
    }
    assert_eq!(read(&engine, "over").await.as_deref(), Some("over"), "answered");
    let entries = || engine.stats(KS).unwrap().main_entries;
    assert_eq!(entries(), 4, "and not kept");
    tokio::time::sleep(secs(7)).await;
    assert_eq!(entries(), 2);
    tokio::time::sleep(secs(10)).await;
    assert_eq!(entries(), 1);
    tokio::time::sleep(secs(10)).await;
    assert_eq!(entries(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_or_hangs_harms_only_who_waits_for_that_key() {
    let source = Counting::default();
    let engine = alone(sourced(&source).read_timeout(secs(1)).load_timeout(secs(2))).await;
    assert_eq!(try_read(&engine, "panics").await.unwrap_err().kind(), ErrorKind::LoadPanicked);
    assert_eq!(read(&engine, "fine").await.as_deref(), Some("fine#1"));
    let hung = try_read(&engine, "hangs").await.unwrap_err();
    assert_eq!(hung.kind(), ErrorKind::Timeout);
    let cause = hung.find_source::<memstache_cluster::DataSourceError>();
    assert_eq!(cause, Some(&memstache_cluster::DataSourceError::DeadlineExceeded));
    assert_eq!(read(&engine, "fine").await.as_deref(), Some("fine#1"));
    tokio::time::sleep(secs(3)).await;
    assert_eq!(source.running(), 0, "the load was ended");
}

#[tokio::test(start_paused = true)]
async fn a_source_may_ask_the_engine() {
    let engine: Arc<OnceLock<Engine>> = Arc::default();
    let handle = Arc::clone(&engine);
    let nested = source_fn(move |key: Key| {
        let engine = handle.get().cloned();
        async move {
            let Some(rest) = key.text().and_then(|text| text.strip_prefix("after:")) else {
                return Ok(Some(Sourced::new("the end")));
            };
            let engine = engine.expect("it was started");
            let end = engine.get(KS, rest).await?.expect("there is one");
            engine.put(KS, format!("seen:{rest}"), "yes").await?;
            Ok(Some(Sourced::new(end)))
        }
    });
    let started = alone(KeySpace::builder(KS).source(nested)).await;
    engine.set(started.clone()).expect("set once");
    assert_eq!(read(&started, "after:after:after:x").await.as_deref(), Some("the end"));
    assert_eq!(read(&started, "seen:after:x").await.as_deref(), Some("yes"));
    assert_eq!(started.stats(KS).unwrap().local_loads, 4);
}

#[tokio::test(start_paused = true)]
async fn the_leader_may_leave_and_a_hundred_others_get_the_value() {
    let source = Counting::default();
    let engine = alone(sourced(&source)).await;
    let ask = || {
        let engine = engine.clone();
        tokio::spawn(async move { read(&engine, "gated").await })
    };
    let leader = ask();
    source.begun().await;
    let others: Vec<_> = (0..100).map(|_| ask()).collect();
    tokio::time::sleep(millis(10)).await;
    leader.abort();
    tokio::time::sleep(millis(10)).await;
    source.open();
    for other in others {
        assert_eq!(other.await.unwrap().as_deref(), Some("gated#1"));
    }
    assert_eq!(source.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_or_put_during_a_load_is_not_brought_back_by_it() {
    for put in [false, true] {
        let source = Counting::default();
        let engine = alone(sourced(&source)).await;
        let reader = engine.clone();
        let waits = tokio::spawn(async move { read(&reader, "gated").await });
        source.begun().await;
        match put {
            true => engine.put(KS, "gated", "put").await.unwrap(),
            false => assert!(!engine.delete(KS, "gated").await.unwrap()),
        }
        source.open();
        assert_eq!(waits.await.unwrap().as_deref(), Some(if put { "put" } else { "gated#1" }), "put: {put}");
        assert_eq!(read(&engine, "gated").await.as_deref(), Some(if put { "put" } else { "gated#2" }));
    }
}

#[tokio::test(start_paused = true)]
async fn stale_values_are_served_while_one_load_refreshes_them_or_the_source_fails() {
    let source = Counting::default();
    let engine = alone(sourced(&source).default_ttl(secs(10)).stale_for(secs(20))).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    tokio::time::sleep(secs(11)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"), "stale, while it is refreshed");
    tokio::time::sleep(millis(10)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#2"));
    tokio::time::sleep(secs(11)).await;
    source.break_down(true);
    for _ in 0..3 {
        assert_eq!(read(&engine, "a").await.as_deref(), Some("a#2"), "stale, because the source fails");
        tokio::time::sleep(secs(1)).await;
    }
    tokio::time::sleep(secs(30)).await;
    assert_eq!(try_read(&engine, "a").await.unwrap_err().kind(), ErrorKind::Load);
}

#[tokio::test(start_paused = true)]
async fn values_are_refreshed_before_they_end() {
    let source = Counting::default();
    let engine = alone(sourced(&source).default_ttl(secs(10)).refresh_ahead(0.5)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    tokio::time::sleep(secs(4)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    tokio::time::sleep(secs(2)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"), "at once, and refreshed");
    tokio::time::sleep(millis(10)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#2"));
    assert_eq!(source.total(), 2);
}
