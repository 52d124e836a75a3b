//! Nodes that agree.

use futures_util::future::join_all;
use memstache_core::{ErrorKind, KeyspaceName, SystemClock};

use super::{Nodes, kit::*};
use crate::{DataSourceError, EngineError, KeySpace};

#[tokio::test(start_paused = true)]
async fn each_key_is_loaded_once_by_its_owner_whoever_asks() {
    const KEYS: usize = 10_000;
    let nodes = Nodes::joined(3).await;
    let tasks = (0..3).flat_map(|node| (0..4).map(move |worker| (node, worker))).map(|(node, worker)| {
        let engine = nodes.engines[node].clone();
        tokio::spawn(async move {
            for n in 0..KEYS {
                let key = format!("k{}", (n + worker * KEYS / 4) % KEYS);
                assert_eq!(read(&engine, &key).await, Some(format!("{key}#1")));
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
    assert_eq!(nodes.loads(), KEYS as u64);
    for (node, source) in nodes.sources.iter().enumerate() {
        let owned = (0..KEYS).filter(|n| nodes.owner(&format!("k{n}")) == node).count();
        assert_eq!((source.total(), source.distinct()), (owned as u64, owned));
        assert!(owned > KEYS / 5, "{owned}");
        let stats = nodes.engines[node].stats(KS).unwrap();
        assert_eq!((stats.local_loads, stats.peer_errors), (owned as u64, 0));
        assert!(stats.server_requests > 0 && stats.peer_loads > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_node_writes_all_others_see() {
    let nodes = Nodes::joined(3).await;
    let [a, b, c] = [0, 1, 2].map(|node| &nodes.engines[node]);
    for n in 0..50 {
        let key = format!("k{n}");
        a.put(KS, &key, "put on a").await.unwrap();
        assert_eq!(read(b, &key).await.as_deref(), Some("put on a"));
        assert_eq!(read(c, &key).await.as_deref(), Some("put on a"));
        assert!(b.delete(KS, &key).await.unwrap());
        for engine in [a, b, c] {
            assert_eq!(read(engine, &key).await, Some(format!("{key}#1")), "loaded anew");
        }
    }
    assert_eq!(nodes.loads(), 50);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_gone_everywhere_where_there_is_no_source() {
    let nodes = Nodes::apart(3, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
    nodes.all_see(0..3).await;
    let [a, b, c] = [0, 1, 2].map(|node| &nodes.engines[node]);
    for n in 0..50 {
        let key = format!("k{n}");
        a.put(KS, &key, "v").await.unwrap();
        assert_eq!(read(c, &key).await.as_deref(), Some("v"));
        assert!(b.delete(KS, &key).await.unwrap());
        for engine in [a, b, c] {
            assert_eq!(read(engine, &key).await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn batches_go_to_all_owners_at_once_and_come_back_in_order() {
    let nodes = Nodes::joined(3).await;
    nodes.hub.delay(millis(10));
    let keys: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    let start = Stopwatch::start();
    let found = nodes.engines[0].get_many(KS, &keys).await.unwrap();
    for (key, found) in keys.iter().zip(found) {
        assert_eq!(found.unwrap().unwrap(), format!("{key}#1"));
    }
    assert!(start.elapsed() < millis(60), "{:?}", start.elapsed());
    assert!(nodes.sources.iter().all(|source| source.batches().len() == 1), "one question for each owner");
    let put = nodes.engines[1].put_many(KS, keys.iter().map(|key| (key, format!("put {key}")))).await.unwrap();
    assert!(put.iter().all(Result::is_ok));
    let found = nodes.engines[2].get_many(KS, &keys).await.unwrap();
    assert!(keys.iter().zip(found).all(|(key, found)| found.unwrap().unwrap() == format!("put {key}")));
    let gone = nodes.engines[0].delete_many(KS, &keys).await.unwrap();
    assert!(gone.into_iter().all(|gone| gone.unwrap()));
    assert_eq!(nodes.loads(), 300);
}

#[tokio::test(start_paused = true)]
async fn no_such_key_and_what_protects_the_source_keep_their_names_over_the_hop() {
    for negative in [false, true] {
        let keyspace = move |source: &Counting| {
            let builder = sourced(source).rate_limit(crate::RateLimit::per_second(3000).with_burst(6));
            if negative { builder.negative_ttl(secs(60)) } else { builder }
        };
        let nodes = Nodes::apart(3, SystemClock::new(), keyspace, |builder| builder).await;
        nodes.all_see(0..3).await;
        let (missing, notfound) = (nodes.key_of(1, "missing"), nodes.key_of(1, "notfound"));
        assert_eq!(read(&nodes.engines[0], &missing).await, None);
        assert_eq!(read(&nodes.engines[0], &notfound).await, None, "the budget is divided by three");
        let key = nodes.key_of(1, "k");
        let limited = try_read(&nodes.engines[0], &key).await.unwrap_err();
        assert_eq!(limited.find_source(), Some(&DataSourceError::RateLimited));
        assert_eq!(nodes.loads(), 2, "nobody goes round the limiter");
    }
}

#[tokio::test(start_paused = true)]
async fn the_leader_may_leave_on_another_node_and_the_others_get_the_value() {
    let nodes = Nodes::joined(3).await;
    let key = nodes.key_of(1, "gated");
    let ask = |node: usize| {
        let (engine, key) = (nodes.engines[node].clone(), key.clone());
        tokio::spawn(async move { read(&engine, &key).await })
    };
    let leader = ask(0);
    nodes.sources[1].begun().await;
    let others: Vec<_> = (0..100).map(|n| ask(n % 3)).collect();
    tokio::time::sleep(millis(10)).await;
    leader.abort();
    tokio::time::sleep(millis(10)).await;
    nodes.sources[1].open();
    for other in others {
        assert_eq!(other.await.unwrap(), Some(format!("{key}#1")));
    }
    assert_eq!(nodes.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_or_put_anywhere_during_a_load_is_not_brought_back_by_it() {
    for (writer, put) in [(0, true), (0, false), (1, true), (1, false), (2, true), (2, false)] {
        let nodes = Nodes::joined(3).await;
        let key = nodes.key_of(1, "gated");
        let (engine, asked) = (nodes.engines[0].clone(), key.clone());
        let waits = tokio::spawn(async move { read(&engine, &asked).await });
        nodes.sources[1].begun().await;
        match put {
            true => nodes.engines[writer].put(KS, &key, "put").await.unwrap(),
            false => drop(nodes.engines[writer].delete(KS, &key).await.unwrap()),
        }
        nodes.sources[1].open();
        assert!(waits.await.unwrap().is_some());
        let expected = if put { "put".to_owned() } else { format!("{key}#2") };
        for engine in &nodes.engines {
            assert_eq!(read(engine, &key).await.as_deref(), Some(&*expected), "by {writer}, put: {put}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_concurrent_puts_the_last_acknowledged_is_seen_everywhere() {
    let nodes = Nodes::joined(3).await;
    for n in 0..20 {
        let key = format!("k{n}");
        let puts = (0..3).map(|node| nodes.engines[node].put(KS, &key, format!("by {node}")));
        join_all(puts).await.into_iter().for_each(|put| put.unwrap());
        let seen = join_all(nodes.engines.iter().map(|engine| read(engine, &key))).await;
        assert!(seen.iter().all(|value| value == &seen[0] && value.is_some()), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyspace_that_the_owner_does_not_know_is_answered_from_the_source() {
    let nodes = Nodes::joined(3).await;
    let source = Counting::default();
    let with = KeySpace::builder("more").source(source.clone()).build().unwrap();
    nodes.engines[0].create_keyspace(with).await.unwrap();
    nodes.engines[0].create_keyspace(KeySpace::builder("bare").build().unwrap()).await.unwrap();
    for n in 0..20 {
        assert!(nodes.engines[0].get("more", format!("k{n}")).await.unwrap().is_some());
    }
    for n in 0..20 {
        nodes.engines[0].put("bare", format!("k{n}"), "v").await.unwrap();
        assert!(nodes.engines[1].get("bare", format!("k{n}")).await.unwrap().is_some());
    }
    let unknown = nodes.engines[1].get("more", "k").await.unwrap_err();
    assert_eq!(unknown.find_source(), Some(&EngineError::KeyspaceNotFound));
    assert!(KeyspaceName::new("more").is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_oversized_value_is_refused_by_its_owner_and_evicts_nothing() {
    let nodes = Nodes::joined(3).await;
    let key = nodes.key_of(1, "k");
    nodes.engines[1].put(KS, &key, "small").await.unwrap();
    let other = nodes.key_of(1, "large");
    let error = nodes.engines[0].put(KS, &other, vec![0; 4 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(read(&nodes.engines[2], &key).await.as_deref(), Some("small"));
}

#[tokio::test(start_paused = true)]
async fn an_owner_knows_what_all_nodes_read_of_its_keys_and_forgets_what_is_another_s() {
    let nodes = Nodes::joined(3).await;
    let key = nodes.key_of(1, "k");
    for node in [0, 1, 2, 0] {
        read(&nodes.engines[node], &key).await;
    }
    let hot = nodes.engines[1].hot_keys(KS, 10).unwrap();
    assert_eq!(hot.iter().map(|hot| (hot.key.text(), hot.hits)).collect::<Vec<_>>(), [(Some(&*key), 4.0)]);
    assert!(nodes.engines[0].hot_keys(KS, 10).unwrap().is_empty(), "it owns none of it");
    nodes.all_see([0, 2]).await;
    nodes.sees(1, [0, 2]);
    assert!(nodes.engines[1].hot_keys(KS, 10).unwrap().is_empty());
}
