//! Tags, clears and tenants over nodes.

use futures_util::future::join_all;
use memstache_core::{ErrorKind, Sequence, SystemClock, TenantId};

use super::{Nodes, hub::member, kit::*};
use crate::{MemberState, Members, Put, reader::adopt};

#[tokio::test(start_paused = true)]
async fn a_tag_hides_on_every_node_what_was_before() {
    let nodes = Nodes::joined(3).await;
    let keys: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
    let tagged = |key: &String| (key.clone(), Put::new("tagged").tags([if key.len() > 2 { "red" } else { "blue" }]));
    let put = nodes.engines[0].put_many(KS, keys.iter().map(tagged)).await.unwrap();
    assert!(put.iter().all(Result::is_ok));
    nodes.engines[1].invalidate_tag(KS, "red").await.unwrap();
    for engine in &nodes.engines {
        for key in &keys {
            let hidden = key.len() > 2;
            assert_eq!(read(engine, key).await.as_deref() == Some("tagged"), !hidden, "{key}");
        }
    }
    nodes.engines[2].clear(KS).await.unwrap();
    for key in keys.iter().filter(|key| key.len() == 2) {
        assert_ne!(read(&nodes.engines[0], key).await.as_deref(), Some("tagged"));
    }
}

#[tokio::test(start_paused = true)]
async fn invalidations_of_many_homes_at_once_come_to_one_order() {
    let nodes = Nodes::joined(3).await;
    nodes.hub.delay(millis(3));
    let tenants: Vec<_> = (0..12).map(|n| TenantId::new(format!("t{n}")).unwrap()).collect();
    let handles: Vec<_> =
        tenants.iter().enumerate().map(|(n, tenant)| nodes.engines[n % 3].for_tenant(tenant)).collect();
    let all = handles.iter().flat_map(|handle| (0..8).map(move |_| handle.clear(KS)));
    let numbers: Vec<Sequence> = join_all(all).await.into_iter().map(Result::unwrap).collect();
    let mut distinct = numbers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), numbers.len(), "no number is given twice");
    for handle in &handles {
        handle.put(KS, "k", "v").await.unwrap();
        handle.clear(KS).await.unwrap();
        assert_ne!(read(handle, "k").await.as_deref(), Some("v"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_a_clear_is_not_seen_after_it() {
    let nodes = Nodes::joined(3).await;
    let key = nodes.key_of(1, "gated");
    let (engine, asked) = (nodes.engines[0].clone(), key.clone());
    let waits = tokio::spawn(async move { read(&engine, &asked).await });
    nodes.sources[1].begun().await;
    nodes.engines[2].clear(KS).await.unwrap();
    nodes.sources[1].open();
    assert_eq!(waits.await.unwrap(), Some(format!("{key}#1")), "who asked before gets it");
    for engine in &nodes.engines {
        assert_eq!(read(engine, &key).await, Some(format!("{key}#2")));
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_waits_for_every_member_that_is_not_declared_dead() {
    let nodes = Nodes::joined(3).await;
    let home = nodes.home();
    let (gone, caller) = ((home + 1) % 3, (home + 2) % 3);
    let key = nodes.key_of(gone, "k");
    nodes.engines[caller].put(KS, &key, "v").await.unwrap();
    nodes.hub.kill(nodes.members[gone].id);
    let error = nodes.engines[caller].clear(KS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "it cannot be known");
    // Declared dead meanwhile: the clear ends well.
    let (engine, start) = (nodes.engines[caller].clone(), Stopwatch::start());
    let clears = tokio::spawn(async move { engine.clear(KS).await });
    tokio::time::sleep(secs(1)).await;
    nodes.sees(home, [home, caller]);
    nodes.sees(caller, [home, caller]);
    clears.await.unwrap().unwrap();
    assert!(start.elapsed() < secs(4));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_waits_for_nobody_who_is_starting() {
    let nodes = Nodes::apart(3, SystemClock::new(), sourced, |builder| builder).await;
    let starting = || (0..2).map(member).chain([member(2).with_state(MemberState::Joining)]).collect::<Members>();
    nodes.hub.kill(nodes.members[2].id);
    (0..2).for_each(|node| adopt(&nodes.engines[node].node, starting()));
    nodes.settle(0..2).await;
    let start = Stopwatch::start();
    nodes.engines[0].clear(KS).await.unwrap();
    nodes.engines[1].invalidate_tag(KS, "red").await.unwrap();
    assert!(start.elapsed() < millis(100), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_describes_itself_anew_is_still_waited_for() {
    let nodes = Nodes::joined(3).await;
    let home = nodes.home();
    let [gone, caller] = [1, 2].map(|n| (home + n) % 3);
    nodes.hub.kill(nodes.members[gone].id);
    let (engine, drains) = (nodes.engines[caller].clone(), member(gone).with_state(MemberState::Draining));
    let clears = tokio::spawn(async move { engine.clear(KS).await });
    tokio::time::sleep(secs(1)).await;
    let now = || [member(home), member(caller), drains.clone()].into_iter().collect::<Members>();
    [home, caller].iter().for_each(|node| adopt(&nodes.engines[*node].node, now()));
    assert_eq!(clears.await.unwrap().unwrap_err().kind(), ErrorKind::Unknown);
}

#[tokio::test(start_paused = true)]
async fn where_counting_ends_an_invalidation_fails_and_hangs_nobody() {
    let nodes = Nodes::joined(2).await;
    for engine in &nodes.engines {
        engine.node.registry.all()[0].store.raise_sequence(Sequence(u64::MAX));
    }
    for _ in 0..2 {
        let start = Stopwatch::start();
        let error = nodes.engines[0].clear(KS).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::Unsupported, false));
        assert!(start.elapsed() < millis(100), "{:?}", start.elapsed());
    }
}
