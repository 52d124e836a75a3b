//! What changes anywhere is told everywhere.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use memstache_core::{Coherence as _, Invalidation, InvalidationStream, SystemClock};

use super::{Nodes, kit::*};
use crate::KeySpace;

async fn bare() -> Nodes {
    let nodes = Nodes::apart(3, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
    nodes.all_see(0..3).await;
    // Until nobody has anything of anybody else's.
    tokio::time::sleep(secs(15)).await;
    nodes
}

fn subscribe(nodes: &Nodes, node: usize) -> InvalidationStream {
    nodes.engines[node].service(KS).unwrap().subscribe()
}

/// All that is told until nothing comes for a moment.
async fn told(changes: &mut InvalidationStream) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(Some(change)) = tokio::time::timeout(millis(20), changes.next()).await {
        told.push(match change {
            Invalidation::Address(address) => String::from_utf8_lossy(address.name()).into_owned(),
            Invalidation::Tag(_, tag, _) => format!("tag {}", tag.as_str()),
            other => format!("{other:?}").split('(').next().unwrap().to_owned(),
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_on_every_node_in_order_and_once() {
    let nodes = bare().await;
    let mut all: Vec<_> = (0..3).map(|node| subscribe(&nodes, node)).collect();
    for changes in &mut all {
        assert_eq!(told(changes).await, ["Lost", "Gap"], "until all lines stand");
    }
    let key = nodes.key_of(1, "k");
    nodes.engines[0].put(KS, &key, "v").await.unwrap();
    nodes.engines[2].delete(KS, &key).await.unwrap();
    for changes in &mut all {
        assert_eq!(told(changes).await, [key.clone(), key.clone()]);
    }
    nodes.engines[0].invalidate_tag(KS, "red").await.unwrap();
    nodes.engines[1].clear(KS).await.unwrap();
    for changes in &mut all {
        assert_eq!(told(changes).await, ["tag red", "Space"]);
    }
    let mut late = subscribe(&nodes, 0);
    assert_eq!(told(&mut late).await, Vec::<String>::new(), "its lines stand");
}

#[tokio::test(start_paused = true)]
async fn a_cut_line_and_a_change_of_members_are_told_once() {
    let nodes = bare().await;
    let mut changes = subscribe(&nodes, 0);
    assert_eq!(told(&mut changes).await, ["Lost", "Gap"]);
    nodes.hub.cut(nodes.members[0].id, nodes.members[1].id);
    let began = Stopwatch::start();
    assert_eq!(changes.next().await, Some(Invalidation::Lost));
    assert!(began.elapsed() <= secs(2), "{:?}", began.elapsed());
    tokio::time::sleep(secs(5)).await;
    assert!(changes.next().now_or_never().is_none(), "once");
    let key = nodes.key_of(1, "k");
    nodes.engines[2].put(KS, &key, "v").await.unwrap();
    nodes.hub.heal();
    let mut after = Vec::new();
    while after.last() != Some(&Invalidation::Gap) {
        after.push(tokio::time::timeout(secs(3), changes.next()).await.unwrap().unwrap());
    }
    assert!(!after.contains(&Invalidation::Lost), "{after:?}");
    nodes.all_see(0..2).await;
    let told_of_it = told(&mut changes).await;
    assert_eq!((told_of_it[0].as_str(), told_of_it.last().unwrap().as_str()), ("Lost", "Gap"), "{told_of_it:?}");
    assert_eq!(told_of_it.iter().filter(|change| *change == "Lost").count(), 1);
    nodes.engines[0].stop().await.unwrap();
    assert_eq!(tokio::time::timeout(Duration::from_secs(1), changes.next()).await.unwrap(), Some(Invalidation::Lost));
}
