//! Members that come and go.

use futures_util::FutureExt as _;
use memstache_core::SystemClock;

use super::{Nodes, hub::member, kit::*};
use crate::{EngineEvent, KeySpace, MemberState, Put, reader::adopt};

async fn bare(count: usize) -> Nodes {
    Nodes::apart(count, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await
}

fn keys() -> Vec<String> {
    (0..200).map(|n| format!("k{n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_joins_asks_the_previous_owner_before_the_source() {
    let nodes = Nodes::apart(3, SystemClock::new(), sourced, |builder| builder).await;
    nodes.all_see(0..2).await;
    let found = nodes.engines[0].get_many(KS, keys()).await.unwrap();
    assert!(found.iter().all(Result::is_ok));
    let before = nodes.loads();
    nodes.all_see(0..3).await;
    for key in keys() {
        assert_eq!(read(&nodes.engines[1], &key).await, Some(format!("{key}#1")));
    }
    assert_eq!(nodes.loads(), before, "nothing was loaded again");
    let moved = keys().iter().filter(|key| nodes.owner(key) == 2).count();
    assert!(moved > 20, "{moved}");
    assert!(nodes.engines[2].stats(KS).unwrap().main_entries >= moved as u64);
    // Later, what the previous owners held is gone, and nobody is asked.
    tokio::time::sleep(secs(15)).await;
    let peeks = nodes.hub.calls("peek");
    for node in 0..2 {
        let own = keys().iter().filter(|key| nodes.owner(key) == node).count();
        assert_eq!(nodes.engines[node].stats(KS).unwrap().main_entries, own as u64);
    }
    assert_eq!(read(&nodes.engines[0], &nodes.key_of(2, "new")).await.map(|value| value.ends_with("#1")), Some(true));
    assert_eq!(nodes.hub.calls("peek"), peeks);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_put_while_it_is_handed_over_stays_so() {
    let nodes = bare(3).await;
    nodes.all_see(0..2).await;
    for key in keys() {
        nodes.engines[0].put(KS, &key, Put::new("old").tags(["red"])).await.unwrap();
    }
    nodes.all_see(0..3).await;
    for (n, key) in keys().iter().enumerate() {
        match n % 4 {
            0 => drop(nodes.engines[1].delete(KS, key).await.unwrap()),
            1 => nodes.engines[1].put(KS, key, "new").await.unwrap(),
            _ => {}
        }
    }
    for _ in 0..2 {
        for (n, key) in keys().iter().enumerate() {
            let expected = [None, Some("new"), Some("old"), Some("old")][n % 4];
            assert_eq!(read(&nodes.engines[n % 3], key).await.as_deref(), expected, "{key}");
        }
        tokio::time::sleep(secs(4)).await;
    }
    nodes.engines[2].invalidate_tag(KS, "red").await.unwrap();
    for (n, key) in keys().iter().enumerate() {
        let expected = [None, Some("new"), None, None][n % 4];
        assert_eq!(read(&nodes.engines[n % 3], key).await.as_deref(), expected, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_was_invalidated_before_the_hand_over_stays_so() {
    let nodes = bare(3).await;
    nodes.all_see(0..2).await;
    for key in keys() {
        nodes.engines[0].put(KS, &key, Put::new("old").tags(["red"])).await.unwrap();
    }
    nodes.engines[0].invalidate_tag(KS, "red").await.unwrap();
    for key in keys().iter().take(50) {
        nodes.engines[0].put(KS, key, Put::new("new").tags(["red"])).await.unwrap();
    }
    nodes.all_see(0..3).await;
    for (n, key) in keys().iter().enumerate() {
        assert_eq!(read(&nodes.engines[2], key).await.as_deref(), (n < 50).then_some("new"), "{key}");
    }
    nodes.engines[1].invalidate_tag(KS, "red").await.unwrap();
    for key in keys() {
        assert_eq!(read(&nodes.engines[2], &key).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_goes_and_comes_back_does_not_come_back_with_what_it_was() {
    let nodes = bare(3).await;
    nodes.all_see(0..3).await;
    let key = nodes.key_of(2, "k");
    nodes.engines[2].put(KS, &key, "old").await.unwrap();
    // Node 2 is taken for dead, and never stops.
    nodes.sees(0, [0, 1]);
    nodes.sees(1, [0, 1]);
    nodes.settle([0, 1]).await;
    nodes.engines[0].put(KS, &key, "new").await.unwrap();
    assert!(nodes.engines[0].delete(KS, &key).await.unwrap());
    nodes.sees(2, [0, 1]);
    nodes.all_see(0..3).await;
    for engine in &nodes.engines {
        assert_eq!(read(engine, &key).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_of_a_dead_ones_keys_takes_writes_after_one_lease() {
    let nodes = bare(3).await;
    nodes.all_see(0..3).await;
    let key = nodes.key_of(2, "k");
    nodes.hub.kill(nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    nodes.sees(1, [0, 1]);
    let start = Stopwatch::start();
    nodes.engines[0].put(KS, &key, "v").await.unwrap();
    // It may not know that it is dead, and have been agreed with just before.
    assert!(start.elapsed() >= secs(1) && start.elapsed() <= secs(2), "{:?}", start.elapsed());
    assert_eq!(read(&nodes.engines[1], &key).await.as_deref(), Some("v"));
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_waits_for_a_previous_one_that_sees_it_differently() {
    let nodes = bare(2).await;
    nodes.all_see(0..1).await;
    // Node 1 sees both, node 0 only itself, for half a second.
    nodes.sees(1, 0..2);
    let key = (0..).map(|n| format!("k{n}")).find(|key| nodes.owner_seen_by(1, key) == 1).unwrap();
    nodes.engines[0].put(KS, &key, "by the old owner").await.unwrap();
    let (engine, asked) = (nodes.engines[1].clone(), key.clone());
    let waits = tokio::spawn(async move { read(&engine, &asked).await });
    tokio::time::sleep(millis(500)).await;
    assert!(!waits.is_finished());
    nodes.engines[0].put(KS, &key, "by the old owner, late").await.unwrap();
    nodes.sees(0, 0..2);
    assert_eq!(waits.await.unwrap().as_deref(), Some("by the old owner, late"));
}

#[tokio::test(start_paused = true)]
async fn under_load_members_come_and_go_and_no_read_fails_or_is_outdated() {
    let nodes = Nodes::apart(4, SystemClock::new(), sourced, |builder| builder).await;
    nodes.hub.delay(millis(1));
    nodes.all_see(0..3).await;
    let writer = {
        let engine = nodes.engines[0].clone();
        tokio::spawn(async move {
            for n in 0..400_u64 {
                let key = format!("k{}", n % 20);
                let value = format!("{key}:{n}");
                let put = engine.put(KS, &key, value.clone()).await;
                let seen = try_read(&engine, &key).await;
                if put.is_ok() {
                    assert_eq!(seen.unwrap().as_deref(), Some(&*value), "its own write");
                }
                tokio::time::sleep(millis(10)).await;
            }
        })
    };
    let reader = {
        let engine = nodes.engines[1].clone();
        tokio::spawn(async move {
            let mut last = [0_u64; 20];
            for n in 0..1000_usize {
                let key = format!("k{}", n % 20);
                let value = try_read(&engine, &key).await.unwrap().unwrap();
                if let Some((_, version)) = value.split_once(':') {
                    let version = version.parse().unwrap();
                    assert!(version >= last[n % 20], "{key} went back from {} to {version}", last[n % 20]);
                    last[n % 20] = version;
                }
                tokio::time::sleep(millis(4)).await;
            }
        })
    };
    for round in 0..4 {
        let with = if round % 2 == 0 { vec![0, 1, 2, 3] } else { vec![0, 1, 2] };
        if round % 2 == 1 {
            // It gives up what it owns before it goes.
            let drains = || (0..3).map(member).chain([member(3).with_state(MemberState::Draining)]).collect();
            nodes.engines.iter().for_each(|engine| adopt(&engine.node, drains()));
        }
        for node in with.clone() {
            nodes.sees(node, with.clone());
            tokio::time::sleep(millis(30)).await;
        }
        if round % 2 == 1 {
            nodes.sees(3, with);
        }
        tokio::time::sleep(millis(800)).await;
    }
    writer.await.unwrap();
    reader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_tell_who_is_there_and_who_comes_and_goes() {
    let nodes = bare(3).await;
    nodes.sees(0, [0, 1]);
    let mut events = nodes.engines[0].events();
    let mut next = || events.next().now_or_never().flatten();
    let mut there: Vec<_> = (0..2).map(|_| next().expect("both are there")).collect();
    there.sort_by_key(|event| format!("{event:?}"));
    let mut expected: Vec<_> = (0..2).map(|n| EngineEvent::PeerJoined(nodes.members[n].clone())).collect();
    expected.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(there, expected);
    assert_eq!(next(), None);
    nodes.sees(0, [0, 1, 2]);
    assert_eq!(next(), Some(EngineEvent::PeerJoined(nodes.members[2].clone())));
    nodes.sees(0, [0, 2]);
    assert_eq!(next(), Some(EngineEvent::PeerLeft(nodes.members[1].clone())));
    assert_eq!((next(), events.dropped()), (None, 0));
}
