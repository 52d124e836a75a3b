//! What subscribers are told.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{Coherence, Invalidation, InvalidationStream};

fn told(stream: &mut InvalidationStream) -> Vec<Invalidation> {
    std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
}

#[tokio::test]
async fn every_change_of_an_entry_is_told_and_nothing_else() {
    let bed = bed();
    bed.set("before", forever("v")).await;
    let mut stream = bed.store.subscribe();
    let changed = |name| vec![Invalidation::Address(key(name))];
    bed.set("a", living("v", 10, 0)).await;
    assert_eq!(told(&mut stream), changed("a"));
    bed.get("a").await;
    bed.touch("a", TouchKind::Probe).await;
    let lease = bed.lease("b").await;
    assert_eq!(bed.write(key("a"), forever("w"), When::IfAbsent).await.unwrap(), Written::Refused);
    assert_eq!(told(&mut stream), []);
    bed.touch("a", TouchKind::Live(Lifetime::UNLIMITED)).await;
    assert_eq!(told(&mut stream), changed("a"));
    bed.fill("b", forever("v"), lease).await;
    assert_eq!(told(&mut stream), changed("b"));
    bed.remove("nothing here").await;
    assert_eq!(told(&mut stream), changed("nothing here"), "a copy elsewhere may be");
    bed.write(key("a"), forever(&"x".repeat(200_000)), When::Always).await.unwrap_err();
    assert_eq!(told(&mut stream), changed("a"), "the old value went");
}

#[tokio::test]
async fn invalidations_are_told_with_their_sequences() {
    let bed = bed();
    let mut stream = bed.store.subscribe();
    let tenant = TenantId::new("acme").unwrap();
    let red = bed.invalidate_tag("red").await;
    let clear = bed.clear().await;
    let gone = bed.invalidate(Target::Tenant(tenant.clone())).await;
    assert!(red < clear && clear < gone);
    let expected = [
        Invalidation::Tag(space("", "test"), tag("red"), red),
        Invalidation::Space(space("", "test"), clear),
        Invalidation::Tenant(tenant, gone),
    ];
    assert_eq!(told(&mut stream), expected);
}

#[tokio::test]
async fn who_falls_behind_gets_a_gap_and_then_what_follows() {
    let bed = bed_with(|builder| builder.event_capacity(4));
    let mut stream = bed.store.subscribe();
    for n in 0..10 {
        bed.remove(&n.to_string()).await;
    }
    let told = told(&mut stream);
    assert_eq!(told[0], Invalidation::Gap);
    assert_eq!(told.last(), Some(&Invalidation::Address(key("9"))));
    assert!(told.len() <= 5);
}

#[tokio::test]
async fn the_stream_ends_with_the_store() {
    let bed = bed();
    let mut stream = bed.store.subscribe();
    drop(bed);
    assert_eq!(stream.next().await, None);
}
