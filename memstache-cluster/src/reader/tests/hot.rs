//! Copies of hot keys.

use std::time::Duration;

use futures_util::{FutureExt as _, future::join_all};
use memstache_core::{
    Address, Consistency, ErasedService, Get, GetItem, KeyspaceName, Lookup, OnMiss, Response, Scope, Space,
    SystemClock,
};

use super::{Nodes, kit::*};
use crate::{HotCopies, KeySpace, KeySpaceBuilder, Put};

/// Nodes with copies of all that is read at all.
async fn eager(count: usize, keyspace: impl Fn(&Counting) -> KeySpaceBuilder) -> Nodes {
    let copies = HotCopies::above(0.1);
    let nodes = Nodes::apart(count, SystemClock::new(), |source| keyspace(source).hot_copies(copies), |it| it).await;
    nodes.all_see(0..count).await;
    nodes
}

/// Reads until no owner is asked any more.
async fn copied(nodes: &Nodes, node: usize, key: &str) {
    for _ in 0..5 {
        read(&nodes.engines[node], key).await;
    }
    let asked = nodes.hub.calls("fetch") + nodes.hub.calls("run");
    assert!(read(&nodes.engines[node], key).await.is_some());
    assert_eq!(nodes.hub.calls("fetch") + nodes.hub.calls("run"), asked, "it has a copy");
}

#[tokio::test(start_paused = true)]
async fn a_put_or_a_delete_is_never_followed_by_what_was_there() {
    for sourced_keys in [false, true] {
        let keyspace = |source: &Counting| if sourced_keys { sourced(source) } else { KeySpace::builder(KS) };
        let nodes = eager(3, keyspace).await;
        let key = nodes.key_of(1, "k");
        for round in 0..20 {
            nodes.engines[round % 3].put(KS, &key, Put::new(format!("put {round}")).tags(["red"])).await.unwrap();
            for engine in &nodes.engines {
                assert_eq!(read(engine, &key).await, Some(format!("put {round}")));
            }
            copied(&nodes, 0, &key).await;
            copied(&nodes, 2, &key).await;
            let hot = &nodes.engines[1].hot_keys(KS, 1).unwrap()[0];
            assert_eq!((hot.key.text(), hot.copies), (Some(&*key), 2));
            let stats = nodes.engines[0].stats(KS).unwrap();
            assert!(stats.hot_entries == 1 && stats.hot_bytes > 0 && stats.main_entries == 0, "{stats:?}");
            let engine = &nodes.engines[(round + 1) % 3];
            match round % 4 {
                0 => assert!(engine.delete(KS, &key).await.unwrap()),
                1 => drop(engine.invalidate_tag(KS, "red").await.unwrap()),
                2 => drop(engine.clear(KS).await.unwrap()),
                _ => continue,
            }
            for engine in &nodes.engines {
                assert_ne!(read(engine, &key).await, Some(format!("put {round}")), "round {round}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_be_reached_is_waited_out_and_answers_with_nothing_old() {
    let nodes = eager(3, |_| KeySpace::builder(KS)).await;
    let key = nodes.key_of(1, "k");
    nodes.engines[1].put(KS, &key, "old").await.unwrap();
    copied(&nodes, 0, &key).await;
    copied(&nodes, 2, &key).await;
    nodes.hub.cut(nodes.members[1].id, nodes.members[0].id);
    let began = Stopwatch::start();
    let mut put = Box::pin(nodes.engines[2].put(KS, &key, "new"));
    while (&mut put).now_or_never().is_none() {
        // Not acknowledged yet: the copy may still answer.
        let seen = nodes.engines[0].get(KS, &key).now_or_never();
        assert!(seen.is_none_or(|seen| seen.is_err() || seen.unwrap().unwrap() == "old"));
        tokio::time::sleep(millis(10)).await;
    }
    let took = began.elapsed();
    assert!(took > millis(800) && took < millis(1100), "{took:?}: one lease");
    let late = nodes.engines[0].get(KS, &key).now_or_never();
    assert!(late.is_none_or(|late| late.is_err()), "it asks the owner, which it cannot reach");
    assert_eq!(read(&nodes.engines[2], &key).await.as_deref(), Some("new"));
    nodes.hub.heal();
    assert_eq!(read(&nodes.engines[0], &key).await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_not_used_after_a_change_of_owner() {
    let nodes = eager(3, |_| KeySpace::builder(KS)).await;
    nodes.all_see(0..2).await;
    let key = nodes.key_of(1, "k");
    nodes.engines[1].put(KS, &key, "old").await.unwrap();
    copied(&nodes, 0, &key).await;
    // Both see another owner; who had the copy has not written it.
    nodes.all_see([0, 2]).await;
    nodes.sees(1, [0, 2]);
    nodes.engines[2].put(KS, &key, "new").await.unwrap();
    assert_eq!(read(&nodes.engines[0], &key).await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn who_is_left_out_answers_with_no_copy_of_what_was_hidden() {
    let nodes = eager(3, |_| KeySpace::builder(KS)).await;
    let home = nodes.home();
    let (out, owner) = ((home + 1) % 3, (home + 2) % 3);
    let key = nodes.key_of(owner, "k");
    let put =
        async |value: &'static str| nodes.engines[owner].put(KS, &key, Put::new(value).tags(["red"])).await.unwrap();
    put("old").await;
    copied(&nodes, out, &key).await;
    // The others leave one out, who hears nothing of it and has a copy.
    for node in [home, owner] {
        nodes.sees(node, [home, owner]);
    }
    nodes.engines[home].invalidate_tag(KS, "red").await.unwrap();
    let late = nodes.engines[out].get(KS, &key).now_or_never();
    assert!(late.is_none_or(|late| !matches!(late, Ok(Some(_)))), "it had a copy");
    // It goes on asking as before, and is given none any more.
    put("newer").await;
    for _ in 0..5 {
        drop(nodes.engines[out].get(KS, &key).await);
    }
    nodes.engines[home].invalidate_tag(KS, "red").await.unwrap();
    let late = nodes.engines[out].get(KS, &key).now_or_never();
    assert!(late.is_none_or(|late| !matches!(late, Ok(Some(_)))), "it was given a copy");
}

#[tokio::test(start_paused = true)]
async fn more_reads_are_more_copies_and_as_they_get_fewer_so_do_the_copies() {
    let copies = HotCopies::above(200.0);
    let keyspace = |source: &Counting| sourced(source).hot_copies(copies);
    let nodes = Nodes::apart(6, SystemClock::new(), keyspace, |builder| builder).await;
    nodes.all_see(0..6).await;
    let (key, cold) = (nodes.key_of(0, "hot"), nodes.key_of(0, "cold"));
    let mut seen = Vec::new();
    // Reads of each of five nodes in ten milliseconds, and how many copies there are at the end of it.
    for (every, least, most) in [(40, 0, 0), (10, 2, 4), (2, 5, 5), (10, 2, 5), (50, 0, 1)] {
        for tick in 0..12_000 {
            if tick % every == 0 {
                join_all((1..6).map(|node| read(&nodes.engines[node], &key))).await;
            }
            if tick % 500 == 0 {
                read(&nodes.engines[1], &cold).await;
            }
            tokio::time::sleep(millis(1)).await;
        }
        tokio::time::sleep(millis(5)).await;
        let hot = nodes.engines[0].hot_keys(KS, 10).unwrap();
        let of = |name: &str| hot.iter().find(|hot| hot.key.text() == Some(name)).unwrap();
        let rate = 5000.0 / f64::from(every);
        assert!((of(&key).per_second / rate - 1.0).abs() < 0.5, "{} for {rate} a second", of(&key).per_second);
        assert!((least..=most).contains(&of(&key).copies), "{} copies at {rate} a second", of(&key).copies);
        assert_eq!(of(&cold).copies, 0);
        seen.push((rate, of(&key).per_second.round(), of(&key).copies));
    }
    println!("reads a second, as the owner sees them, copies: {seen:?}");
}

/// Reads of four nodes for some seconds, one key a hundred times as often as the mean of the others; returns how many keys each node was asked
/// for by others.
async fn loads_of(copies: Option<HotCopies>) -> (Vec<u64>, usize) {
    let keyspace = |source: &Counting| match copies {
        Some(copies) => sourced(source).hot_copies(copies),
        None => sourced(source).without_hot_copies(),
    };
    let nodes = Nodes::apart(5, SystemClock::new(), keyspace, |builder| builder).await;
    nodes.all_see(0..5).await;
    let hot = nodes.key_of(0, "hot");
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..800 {
        let reads = (0..5).flat_map(|node| (0..4).map(move |_| node)).map(|node| {
            // 200 others: the hot one is a third of all.
            let key = if rng.u32(..300) < 100 { hot.clone() } else { format!("k{}", rng.u32(..200)) };
            let engine = &nodes.engines[node];
            async move { read(engine, &key).await }
        });
        let reads: Vec<_> = reads.collect();
        join_all(reads).await;
        tokio::time::sleep(millis(5)).await;
    }
    let requests: Vec<_> = nodes.engines.iter().map(|engine| engine.stats(KS).unwrap().server_requests).collect();
    (requests, nodes.hub.calls("seen") + nodes.hub.calls("recall"))
}

#[tokio::test(start_paused = true)]
async fn a_key_at_a_hundred_times_the_mean_is_no_bottleneck() {
    let share = |requests: &[u64]| requests[0] as f64 / requests.iter().sum::<u64>() as f64;
    let (without, _) = loads_of(None).await;
    let (with, beside) = loads_of(Some(HotCopies::default())).await;
    println!(
        "keys asked of each node, the owner of the hot one first: {without:?} without copies, {with:?} with, {beside} calls beside"
    );
    assert!(share(&without) > 0.4, "{}", share(&without));
    assert!(share(&with) < 0.3, "{}: a fifth is its own", share(&with));
    assert!(with[0] * 2 < without[0] && beside < 200);
}

#[tokio::test(start_paused = true)]
async fn what_copies_may_not_answer_is_asked_of_the_owner() {
    let nodes = eager(3, |_| KeySpace::builder(KS)).await;
    let (key, other) = (nodes.key_of(1, "k"), nodes.key_of(1, "other"));
    for key in [&key, &other] {
        nodes.engines[1].put(KS, key, "v").await.unwrap();
    }
    copied(&nodes, 0, &key).await;
    let address = |key: &str| Address::plain(&Space::new(None, &KeyspaceName::new(KS).unwrap()), key).unwrap();
    let service = ErasedService::new(nodes.engines[0].service(KS).unwrap());
    let calls = || nodes.hub.calls("fetch") + nodes.hub.calls("run");
    let ask = |items: Vec<GetItem>, scope: Scope| {
        let get = Get { items: items.into_iter().collect(), on_miss: OnMiss::Lease, scope };
        let service = service.clone();
        async move {
            match service.dispatch(get).await.unwrap() {
                Response::Found(found) => found
                    .into_iter()
                    .map(|found| match found.unwrap() {
                        Lookup::Hit(entry) => entry,
                        other => panic!("{other:?}"),
                    })
                    .collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        }
    };
    let (before, item) = (calls(), || GetItem::from(address(&key)));
    let copy = ask(vec![item()], Scope::default()).await.remove(0);
    assert_eq!(calls(), before);
    for scope in [
        Scope { consistency: Consistency::Authority, ..Scope::default() },
        Scope { max_staleness: Some(Duration::from_secs(60)), ..Scope::default() },
    ] {
        let before = calls();
        let entry = ask(vec![item()], scope).await.remove(0);
        assert_eq!((calls(), entry.meta.version), (before + 1, copy.meta.version), "the version is the owner's");
    }
    let before = calls();
    let both = ask(vec![item(), GetItem::from(address(&other)), item()], Scope::default()).await;
    assert_eq!((calls(), both.len()), (before + 1, 3), "what is here is here, the rest is asked for");
}

#[tokio::test(start_paused = true)]
async fn a_fast_delete_waits_for_no_copy_and_says_how_many_there_may_be() {
    let nodes = eager(3, |_| KeySpace::builder(KS)).await;
    let key = nodes.key_of(1, "k");
    // Until nobody asks previous owners any more.
    tokio::time::sleep(secs(15)).await;
    for deleter in 0..3 {
        nodes.engines[1].put(KS, &key, "v").await.unwrap();
        copied(&nodes, 0, &key).await;
        copied(&nodes, 2, &key).await;
        // Node 2 hears nothing, unless it asks itself.
        nodes.hub.cut(nodes.members[1].id, nodes.members[2].id);
        let began = Stopwatch::start();
        if deleter == 2 {
            nodes.hub.heal();
        }
        let partial = nodes.engines[deleter].delete_fast(KS, &key).await.unwrap();
        assert_eq!((partial.unacked, began.elapsed()), (2, Duration::ZERO));
        assert_eq!(read(&nodes.engines[1], &key).await, None, "its owner has removed it");
        tokio::time::sleep(millis(10)).await;
        assert_eq!(read(&nodes.engines[0], &key).await, None, "told beside");
        tokio::time::sleep(millis(1100)).await;
        nodes.hub.heal();
        assert_eq!(read(&nodes.engines[2], &key).await, None, "its lease has run out");
        tokio::time::sleep(millis(1100)).await;
        assert_eq!(nodes.engines[deleter].delete_fast(KS, &key).await.unwrap().unacked, 0, "nobody has a copy");
    }
    nodes.hub.kill(nodes.members[1].id);
    let error = nodes.engines[0].delete_fast(KS, &key).await.unwrap_err();
    assert_eq!(error.kind(), memstache_core::ErrorKind::Unavailable);
}
