//! Nodes that die, hang, disagree and are paused.

use memstache_core::{ErrorKind, SystemClock};

use super::{Nodes, hub::member, kit::*};
use crate::{KeySpace, Members, Put, reader::adopt};

#[tokio::test(start_paused = true)]
async fn with_its_owner_gone_a_key_is_answered_from_the_source_and_others_see_nothing() {
    let nodes = Nodes::joined(3).await;
    nodes.hub.kill(nodes.members[2].id);
    let start = Stopwatch::start();
    for n in 0..100 {
        let key = format!("k{n}");
        assert!(read(&nodes.engines[0], &key).await.is_some());
        if nodes.owner(&key) != 2 {
            nodes.engines[1].put(KS, &key, "v").await.unwrap();
        }
    }
    assert!(start.elapsed() < secs(1));
    let lost = nodes.key_of(2, "k");
    let error = nodes.engines[0].put(KS, &lost, "v").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable(), "{error:?}");
    assert_eq!(nodes.engines[0].delete(KS, &lost).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let stats = nodes.engines[0].stats(KS).unwrap();
    assert!(stats.peer_errors > 10 && stats.local_load_errs == 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_dead_owner_fails_for_its_keys_only() {
    let nodes = bare().await;
    let keys: Vec<String> = (0..90).map(|n| format!("k{n}")).collect();
    let put = nodes.engines[0].put_many(KS, keys.iter().map(|key| (key, "v"))).await.unwrap();
    assert!(put.iter().all(Result::is_ok));
    nodes.hub.kill(nodes.members[2].id);
    let found = nodes.engines[0].get_many(KS, &keys).await.unwrap();
    for (key, found) in keys.iter().zip(found) {
        match found {
            Ok(value) => assert!(nodes.owner(key) != 2 && value.is_some()),
            Err(error) => assert!(nodes.owner(key) == 2 && error.kind() == ErrorKind::Unavailable),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_costs_less_than_the_deadline_and_the_source_answers() {
    let nodes = Nodes::joined(3).await;
    nodes.hub.cut(nodes.members[0].id, nodes.members[1].id);
    let key = nodes.key_of(1, "slow");
    let start = Stopwatch::start();
    assert_eq!(read(&nodes.engines[0], &key).await, Some(format!("{key}#1")));
    assert!(start.elapsed() >= secs(3) && start.elapsed() < secs(4), "{:?}", start.elapsed());
    assert_eq!(nodes.sources[0].asked(&key), 1);
    let put = nodes.engines[0].put(KS, &key, "v").await.unwrap_err();
    assert_eq!(put.kind(), ErrorKind::Unknown, "it may have happened");
    nodes.hub.heal();
    nodes.engines[0].put(KS, &key, "v").await.unwrap();
    assert_eq!(read(&nodes.engines[2], &key).await.as_deref(), Some("v"));
}

#[tokio::test(start_paused = true)]
async fn fallbacks_load_one_at_a_time_and_nobody_is_answered_with_a_load_from_before_they_asked() {
    let nodes = Nodes::joined(3).await;
    let key = nodes.key_of(1, "gated");
    nodes.hub.kill(nodes.members[1].id);
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let (engine, key) = (nodes.engines[0].clone(), key.clone());
            tokio::spawn(async move { read(&engine, &key).await })
        })
        .collect();
    nodes.sources[0].begun().await;
    tokio::time::sleep(millis(5)).await;
    nodes.sources[0].open();
    let mut first = 0;
    for ask in asks {
        let value = ask.await.unwrap();
        first += usize::from(value == Some(format!("{key}#1")));
        assert!([1, 2].iter().any(|load| value == Some(format!("{key}#{load}"))), "{value:?}");
    }
    // The key may have changed since the first load began: the others share the next one.
    assert_eq!((first, nodes.sources[0].asked(&key)), (1, 2));
    assert_eq!(read(&nodes.engines[0], &key).await, Some(format!("{key}#3")), "nothing was kept");
}

#[tokio::test(start_paused = true)]
async fn nodes_that_disagree_answer_in_time_and_load_once_for_each_view() {
    let nodes = Nodes::joined(3).await;
    // Node 0 has not heard of node 2, the others have.
    nodes.sees(0, [0, 1]);
    nodes.settle([0]).await;
    let start = Stopwatch::start();
    for n in 0..60 {
        let key = format!("k{n}");
        for engine in &nodes.engines {
            assert!(read(engine, &key).await.is_some());
        }
        let asked: Vec<u64> = nodes.sources.iter().map(|source| source.asked(&key)).collect();
        // One with which nobody agrees for longer than the suspicion answers for nothing: who asks it asks its own source.
        let most = if nodes.owner_seen_by(1, &key) == 0 { 3 } else { 2 };
        assert!(asked.iter().sum::<u64>() <= most, "{asked:?}");
    }
    // 180 reads, of which those that go through node 0 or to it wait twice until it is clear that nobody agrees.
    assert!(start.elapsed() < secs(20), "{:?}", start.elapsed());
    let key =
        (0..).map(|n| format!("x{n}")).find(|key| nodes.owner_seen_by(0, key) == 1 && nodes.owner_seen_by(1, key) == 2);
    let refused = nodes.engines[0].put(KS, key.unwrap(), "v").await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Unavailable && refused.is_retryable() && !refused.may_have_effect());
}

/// Three nodes without a source that know of each other.
async fn bare() -> Nodes {
    let nodes = Nodes::apart(3, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
    nodes.all_see(0..3).await;
    nodes
}

/// Pauses node 2 until the others have declared it dead.
async fn pause(nodes: &Nodes) {
    nodes.hub.kill(nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    nodes.sees(1, [0, 1]);
    tokio::time::sleep(secs(4)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_paused_answers_for_nothing_until_somebody_agrees_with_it() {
    let nodes = bare().await;
    let key = nodes.key_of(2, "k");
    nodes.engines[2].put(KS, &key, "old").await.unwrap();
    // Node 2 is paused; the others declare it dead, and the key is another's.
    pause(&nodes).await;
    nodes.engines[0].put(KS, &key, "new").await.unwrap();
    // It wakes up, and believes what it believed.
    let error = nodes.engines[2].get(KS, &key).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    nodes.hub.revive(nodes.members[2].id);
    let error = nodes.engines[2].get(KS, &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "the others see it differently");
    // It is told, and comes back.
    nodes.sees(2, [0, 1]);
    for node in 0..3 {
        nodes.sees_back(node, [(0, 0), (1, 0), (2, 1)]);
    }
    nodes.settle(0..3).await;
    for engine in &nodes.engines {
        assert_eq!(read(engine, &key).await.as_deref(), Some("new"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_in_the_eyes_of_others_before_its_own_answers_for_nothing() {
    let nodes = bare().await;
    let (key, others) = (nodes.key_of(2, "k"), nodes.key_of(0, "other"));
    nodes.engines[2].put(KS, &key, "old").await.unwrap();
    // Node 2 is paused, and taken for dead.
    pause(&nodes).await;
    nodes.engines[0].put(KS, &key, "new").await.unwrap();
    // It wakes up and is taken for one that came back, of which the others hear first: the owners are the same as before.
    nodes.hub.revive(nodes.members[2].id);
    let back = || [member(0), member(1), member(2).with_revision(1)].into_iter().collect::<Members>();
    adopt(&nodes.engines[0].node, back());
    adopt(&nodes.engines[1].node, back());
    for _ in 0..2 {
        // That others answer it, and ask it, does not mean that they agree with it.
        assert_eq!(read(&nodes.engines[2], &others).await, None);
        let error = try_read(&nodes.engines[2], &key).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
        assert!(try_read(&nodes.engines[0], &key).await.is_err());
    }
    // When it has heard of it, it has missed what was written meanwhile, and asks for it.
    adopt(&nodes.engines[2].node, back());
    nodes.settle(0..3).await;
    for engine in &nodes.engines {
        assert_eq!(read(engine, &key).await.as_deref(), Some("new"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_alone_in_the_cluster_answers_for_all() {
    let nodes = Nodes::joined(1).await;
    tokio::time::sleep(secs(60)).await;
    for n in 0..20 {
        assert!(read(&nodes.engines[0], &format!("k{n}")).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn before_it_knows_any_member_a_node_reads_from_its_source_and_keeps_nothing() {
    let nodes = Nodes::apart(2, SystemClock::new(), sourced, |builder| builder).await;
    assert_eq!(read(&nodes.engines[0], "a").await.as_deref(), Some("a#1"));
    assert_eq!(read(&nodes.engines[0], "a").await.as_deref(), Some("a#2"));
    let error = nodes.engines[0].put(KS, "a", "v").await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_paused_and_left_out_unseen_has_forgotten_what_it_held() {
    // Members that are listed by hand do not count how often they came back.
    for revision in [0, 1] {
        let nodes = bare().await;
        let (key, tagged) = (nodes.key_of(2, "k"), nodes.key_of(2, "t"));
        nodes.engines[2].put(KS, &key, "old").await.unwrap();
        nodes.engines[2].put(KS, &tagged, Put::new("old").tags(["red"])).await.unwrap();
        pause(&nodes).await;
        nodes.engines[0].put(KS, &key, "new").await.unwrap();
        nodes.engines[1].invalidate_tag(KS, "red").await.unwrap();
        // The others see it again before it says a word, and it never hears that it was gone.
        nodes.hub.revive(nodes.members[2].id);
        for node in 0..3 {
            nodes.sees_back(node, [(0, 0), (1, 0), (2, revision)]);
        }
        for engine in [2, 0, 1].map(|node| &nodes.engines[node]) {
            assert_ne!(read(engine, &key).await.as_deref(), Some("old"));
            assert_eq!(read(engine, &tagged).await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_split_has_healed_nothing_is_left_of_what_two_sides_owned() {
    for back in [0, 1] {
        let nodes = Nodes::apart(4, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
        nodes.all_see(0..4).await;
        let keys: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
        for key in &keys {
            nodes.engines[0].put(KS, key, "before").await.unwrap();
        }
        for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            nodes.hub.cut(nodes.members[a].id, nodes.members[b].id);
        }
        for side in [[0, 1], [2, 3]] {
            side.iter().for_each(|node| nodes.sees(*node, side));
            nodes.settle(side).await;
        }
        for (n, key) in keys.iter().enumerate() {
            // The side that writes last is another each time.
            for side in [n % 2 * 2, (1 - n % 2) * 2] {
                nodes.engines[side].put(KS, key, format!("on {side}")).await.unwrap();
            }
        }
        nodes.hub.heal();
        // Each hears of it in an order of its own: first of one of the others, or first that it was left out itself.
        nodes.sees_back(0, [(0, 0), (1, 0), (2, back), (3, back)]);
        nodes.sees_back(1, [(0, back), (1, back)]);
        nodes.sees_back(2, [(1, back), (2, 0), (3, 0)]);
        for node in [3, 2, 1, 0] {
            nodes.sees_back(node, (0..4).map(|node| (node, back)));
        }
        nodes.settle(0..4).await;
        for (n, key) in keys.iter().enumerate() {
            for engine in &nodes.engines {
                assert_eq!(read(engine, key).await, None, "{key} of {n}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_proves_nothing_lets_no_paused_node_answer() {
    let nodes = bare().await;
    let (own, other) = (nodes.key_of(2, "k"), nodes.key_of(0, "o"));
    nodes.engines[2].put(KS, &own, "old").await.unwrap();
    pause(&nodes).await;
    assert!(nodes.engines[0].delete(KS, &own).await.is_ok());
    nodes.hub.revive(nodes.members[2].id);
    // Its owner is the same by both tables, and answers.
    assert_eq!(read(&nodes.engines[2], &other).await, None);
    assert_eq!(try_read(&nodes.engines[2], &own).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_answer_for_its_own_keys_yet_asks_the_source_in_time() {
    let keyspace = |source: &Counting| sourced(source).read_timeout(secs(2));
    let nodes = Nodes::apart(3, SystemClock::new(), keyspace, |builder| builder).await;
    nodes.all_see(0..2).await;
    // The others see it differently for longer than a read may take.
    nodes.sees(0, [0, 1, 2]);
    nodes.sees(2, [0, 1, 2]);
    let key = nodes.key_of(2, "k");
    let start = Stopwatch::start();
    assert_eq!(read(&nodes.engines[2], &key).await, Some(format!("{key}#1")));
    assert!(start.elapsed() < secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn keys_whose_previous_owner_is_gone_are_loaded_at_once_however_many_are_asked_for() {
    let nodes = Nodes::apart(3, SystemClock::new(), sourced, |builder| builder).await;
    nodes.all_see(0..2).await;
    let was_of_0: Vec<String> = (0..400).map(|n| format!("k{n}")).filter(|key| nodes.owner(key) == 0).collect();
    nodes.all_see(0..3).await;
    let keys: Vec<&String> = was_of_0.iter().filter(|key| nodes.owner(key) == 2).take(12).collect();
    assert_eq!(keys.len(), 12);
    // It is dead, and nobody has noticed: who asks it is refused at once.
    nodes.hub.kill(nodes.members[0].id);
    let start = Stopwatch::start();
    let answers = futures_util::future::join_all(keys.iter().map(|key| read(&nodes.engines[2], key))).await;
    assert!(answers.iter().all(Option::is_some));
    assert!(start.elapsed() < millis(500), "{:?}", start.elapsed());
}
