//! What is loaded ahead when members change, and what is handed over.

use memstache_core::SystemClock;

use super::{Nodes, hub::member, kit::*};
use crate::{EngineBuilder, KeySpace, MemberState, Members, Put, WarmUp, reader::adopt};

const WARM: [&str; 6] = ["w0", "w1", "w2", "w3", "w4", "w5"];

async fn over_sources(count: usize, change: impl Fn(EngineBuilder) -> EngineBuilder) -> Nodes {
    Nodes::apart(count, SystemClock::new(), |source| sourced(source).warm_keys(WARM), change).await
}

fn held(nodes: &Nodes, node: usize) -> u64 {
    nodes.engines[node].stats(KS).unwrap().main_entries
}

#[tokio::test(start_paused = true)]
async fn warm_keys_are_loaded_once_in_the_cluster_each_by_its_owner() {
    let nodes = over_sources(3, |builder| builder).await;
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(nodes.loads(), 6);
    for (n, source) in nodes.sources.iter().enumerate() {
        let own = WARM.iter().filter(|key| nodes.owner(key) == n).count();
        assert_eq!(source.total(), own as u64);
    }
    // One that comes asks who had them.
    let nodes = over_sources(4, |builder| builder).await;
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(1)).await;
    nodes.all_see(0..4).await;
    tokio::time::sleep(secs(1)).await;
    let own = WARM.iter().filter(|key| nodes.owner(key) == 3).count();
    assert_eq!((held(&nodes, 3), nodes.loads()), (own as u64, 6));
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_only_is_done() {
    let off = || WarmUp::new().with_on_join(false).with_on_leave(false);
    let nodes = over_sources(3, |builder| builder.warm_up(off())).await;
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(nodes.loads(), 0);
    let mut keys = 0;
    for engine in &nodes.engines {
        let warmed = engine.warm_up().await.unwrap();
        (keys, _) = (keys + warmed.keys, assert_eq!(warmed.failed, 0));
    }
    assert_eq!((keys, nodes.loads()), (6, 6));

    let nodes = over_sources(3, |builder| builder.warm_up(off().with_on_leave(true))).await;
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(nodes.loads(), 0, "nobody left");
    nodes.hub.kill(nodes.members[2].id);
    nodes.all_see(0..2).await;
    tokio::time::sleep(secs(3)).await;
    assert_eq!(nodes.loads(), 6);

    let nodes = over_sources(2, EngineBuilder::without_warm_up).await;
    nodes.all_see(0..2).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(nodes.loads(), 0);
}

#[tokio::test(start_paused = true)]
async fn hot_keys_go_to_their_new_owner_before_anybody_asks() {
    let warm_up = WarmUp::new().with_max_hot_keys(20).with_min_hits(3);
    let bare = |_: &Counting| KeySpace::builder(KS);
    let nodes = Nodes::apart(3, SystemClock::new(), bare, |builder| builder.warm_up(warm_up)).await;
    nodes.all_see(0..2).await;
    let keys: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    nodes.engines[0].put_many(KS, keys.iter().map(|key| (key, Put::new("v")))).await.unwrap();
    for key in &keys[..20] {
        for _ in 0..5 {
            nodes.engines[1].get(KS, key).await.unwrap();
        }
        assert!(nodes.engines[0].get(KS, &keys[200]).await.unwrap().is_some());
    }
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(1)).await;
    let hot = keys[..20].iter().chain([&keys[200]]).filter(|key| nodes.owner(key) == 2).count();
    assert!(hot > 2, "{hot}");
    assert_eq!(held(&nodes, 2), hot as u64, "those that are hot, and no others");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_hangs_costs_its_time_and_holds_up_nobody() {
    let keys = ["hangs", "a", "b", "c"];
    let warm_up = WarmUp::new().with_timeout(millis(300)).with_concurrency(2);
    let space = |source: &Counting| sourced(source).warm_keys(keys).read_timeout(secs(1));
    let nodes = Nodes::apart(1, SystemClock::new(), space, |builder| builder.without_warm_up()).await;
    nodes.all_see(0..1).await;
    let start = Stopwatch::start();
    let warmed = nodes.engines[0].warm_up().await.unwrap();
    assert_eq!((warmed.keys, warmed.failed), (3, 1));
    assert!((secs(1)..millis(1100)).contains(&start.elapsed()), "the read timeout is smaller: {:?}", start.elapsed());
    let nodes = Nodes::apart(1, SystemClock::new(), space, |builder| builder.warm_up(warm_up)).await;
    nodes.all_see(0..1).await;
    tokio::time::sleep(secs(2)).await;
    let start = Stopwatch::start();
    assert_eq!(nodes.engines[0].warm_up().await.unwrap().failed, 1);
    assert!((millis(300)..millis(400)).contains(&start.elapsed()), "the warm-up's is: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_update_loads_ahead_what_is_warm_then() {
    let nodes = over_sources(2, |builder| builder).await;
    nodes.all_see(0..2).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(nodes.loads(), 6);
    for (engine, source) in nodes.engines.iter().zip(&nodes.sources) {
        // Another bound: what was held is dropped.
        let other = sourced(source).max_bytes(8 << 20).warm_keys(["x", "y", "w0"]).build().unwrap();
        engine.update_keyspace(other).await.unwrap();
    }
    tokio::time::sleep(secs(1)).await;
    let asked = |key: &str| nodes.sources.iter().map(|source| source.asked(key)).sum::<u64>();
    assert_eq!((asked("x"), asked("y")), (1, 1));
    assert!(nodes.engines.iter().enumerate().map(|(node, _)| held(&nodes, node)).sum::<u64>() >= 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_warm_or_hot_is_refreshed_by_its_owner_and_nobody_waits() {
    let warm_up = WarmUp::new().with_refresh_interval(secs(10)).with_max_hot_keys(2).with_min_hits(2);
    let space = |source: &Counting| sourced(source).warm_keys(["warm"]).default_ttl(secs(3600));
    let nodes = Nodes::apart(2, SystemClock::new(), space, |builder| builder.warm_up(warm_up)).await;
    nodes.all_see(0..2).await;
    read(&nodes.engines[0], "cold").await;
    tokio::time::sleep(secs(40)).await;
    let asked = |key: &str| nodes.sources.iter().map(|source| source.asked(key)).sum::<u64>();
    assert!((4..=6).contains(&asked("warm")), "{}", asked("warm"));
    assert_eq!(asked("cold"), 1);
    let value = read(&nodes.engines[1], "warm").await.unwrap();
    assert_eq!(value, format!("warm#{}", asked("warm")), "what was loaded last");
}

#[tokio::test(start_paused = true)]
async fn a_leaving_node_hands_over_the_hottest_first_and_no_more_than_it_may() {
    let warm_up = WarmUp::new().with_max_handover_bytes(300 * 1024);
    let bare = |_: &Counting| KeySpace::builder(KS);
    let change = |builder: EngineBuilder| builder.warm_up(warm_up.with_on_leave(false));
    let nodes = Nodes::apart(2, SystemClock::new(), bare, change).await;
    nodes.all_see(0..2).await;
    let keys: Vec<String> = (0..2000).map(|n| format!("k{n}")).filter(|key| nodes.owner(key) == 1).take(600).collect();
    for key in &keys {
        nodes.engines[0].put(KS, key, vec![7; 1024]).await.unwrap();
    }
    for key in &keys[300..350] {
        for _ in 0..3 {
            nodes.engines[0].get(KS, key).await.unwrap();
        }
    }
    let leaving: Members = [member(0), member(1).with_state(MemberState::Draining)].into_iter().collect();
    nodes.engines.iter().for_each(|engine| adopt(&engine.node, leaving.clone()));
    let deadline = nodes.engines[1].node.clock.now().after(secs(10));
    crate::reader::drain(&nodes.engines[1].node, deadline).await;
    let moved = held(&nodes, 0);
    assert!((172..=300).contains(&moved), "{moved} of 1 KiB each");
    nodes.hub.kill(nodes.members[1].id);
    for key in &keys[300..350] {
        assert!(nodes.engines[0].get(KS, key).await.unwrap().is_some(), "the hottest are among them");
    }
}

#[tokio::test]
async fn every_wrong_setting_is_named() {
    let warm_up = WarmUp::new()
        .with_max_hot_keys(1025)
        .with_min_hits(0)
        .with_concurrency(0)
        .with_timeout(secs(0))
        .with_refresh_interval(secs(0))
        .with_loads_per_partition(0);
    let error = crate::Engine::builder().warm_up(warm_up).build().unwrap_err().to_string();
    for part in [
        "warm_up max_hot_keys must be 0 to 1024, but 1025",
        "warm_up min_hits must be at least 1, but 0",
        "warm_up concurrency must be 1 to 1024, but 0",
        "warm_up timeout must be above zero",
        "warm_up refresh_interval must be above zero",
        "warm_up loads_per_partition must be 1 to 65536, but 0",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}
