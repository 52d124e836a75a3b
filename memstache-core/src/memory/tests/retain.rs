//! Giving keys up, and sequences that others number.

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{Coherence, Invalidation};

#[tokio::test]
async fn what_is_not_kept_goes_with_its_leases_and_is_told() {
    let bed = bed();
    for n in 0..2000 {
        bed.set(&format!("{}{n}", if n % 2 == 0 { "mine" } else { "other" }), forever("v")).await;
    }
    let (mine, other) = (bed.lease("mine").await, bed.lease("other").await);
    let mut changes = bed.store.subscribe();
    let keep = |stored: &[u8]| stored.starts_with(b":test:mine");
    assert_eq!(bed.store.retain(keep), 1000);
    assert_eq!(bed.store.retain(keep), 0, "once is enough");
    assert_eq!((bed.store.stats().entries, bed.store.stats().leases_standing), (1000, 1));
    assert_eq!((bed.value("other1").await, bed.value("mine0").await.as_deref()), (None, Some("v")));
    assert_eq!(bed.fill("other", forever("late"), other).await, Written::Refused);
    assert!(matches!(bed.fill("mine", forever("v"), mine).await, Written::Stored(_)));
    let told = std::iter::from_fn(|| changes.next().now_or_never().flatten()).take(1000);
    assert!(told.into_iter().all(|change| matches!(change, Invalidation::Address(_))));
}

#[tokio::test]
async fn what_is_held_is_listed_as_far_as_it_is_wanted() {
    let bed = bed();
    for n in 0..2000 {
        bed.set(&format!("{}{n}", if n % 2 == 0 { "mine" } else { "other" }), forever("v")).await;
    }
    let blind = Address::from_parts(&space("", "test"), b"a", Some(b"hidden"[..].into()));
    bed.write(blind.clone(), forever("v"), When::Always).await.unwrap();
    let mine = bed.store.addresses(|stored| stored.starts_with(b":test:mine"), usize::MAX);
    assert_eq!(mine.len(), 1000);
    assert!(mine.iter().all(|address| address.name().starts_with(b"mine")));
    assert_eq!(bed.store.addresses(|_| true, 700).len(), 700);
    assert_eq!(bed.store.addresses(|stored| stored == b"hidden", 10), [blind]);
}

#[tokio::test]
async fn a_blind_key_is_judged_by_the_key_that_is_stored() {
    let bed = bed();
    let blind = Address::from_parts(&space("", "test"), b"a", Some(b"hidden"[..].into()));
    bed.write(blind, forever("v"), When::Always).await.unwrap();
    assert_eq!(bed.store.retain(|stored| stored == b"hidden"), 0);
    assert_eq!(bed.store.retain(|stored| stored == b":test:a"), 1);
}

#[tokio::test]
async fn who_waits_for_a_key_that_is_given_up_is_woken() {
    let bed = bed();
    let lease = bed.lease("a").await;
    let get = Get { items: OneOrMany::One(key("a").into()), on_miss: OnMiss::Wait, scope: Scope::default() };
    let mut waits = Box::pin(bed.store.get(get));
    assert!((&mut waits).now_or_never().is_none());
    bed.store.retain(|_| false);
    let found = waits.await.unwrap().into_one().unwrap().unwrap();
    assert!(matches!(found, Lookup::Leased(next) if next.id != lease.id), "{found:?}");
}

#[tokio::test]
async fn an_invalidation_under_a_given_number_hides_what_was_before() {
    let bed = bed();
    let (red, space) = (Target::Tag(space("", "test"), tag("red")), Target::Space(space("", "test")));
    bed.set("a", tagged("v", "red")).await;
    bed.set("b", forever("v")).await;
    let mut changes = bed.store.subscribe();
    assert_eq!(bed.store.invalidate_at(&red, Sequence(70)), Ok(()));
    assert_eq!((bed.value("a").await, bed.value("b").await.as_deref()), (None, Some("v")));
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Tag(_, _, Sequence(70))))));
    bed.set("a", tagged("w", "red")).await;
    assert_eq!(bed.store.invalidate_at(&red, Sequence(70)), Err(Sequence(70)), "it would not hide what is there now");
    assert_eq!(bed.value("a").await.as_deref(), Some("w"));
    assert_eq!(bed.store.invalidate_at(&space, Sequence(71)), Ok(()));
    assert_eq!((bed.value("a").await, bed.value("b").await), (None, None));
    assert_eq!(bed.invalidate_tag("red").await, Sequence(72));
}

#[tokio::test]
async fn a_raised_sequence_hides_nothing_and_is_gone_on_from() {
    let bed = bed();
    bed.set("a", tagged("v", "red")).await;
    let lease = bed.lease("b").await;
    bed.store.raise_sequence(Sequence(9));
    bed.store.raise_sequence(Sequence(3));
    assert_eq!(bed.store.sequence(), Sequence(9));
    assert_eq!(bed.value("a").await.as_deref(), Some("v"));
    assert!(matches!(bed.fill("b", forever("v"), lease).await, Written::Stored(_)));
    assert_eq!(bed.invalidate_tag("red").await, Sequence(10));
    assert_eq!((bed.value("a").await, bed.value("b").await.as_deref()), (None, Some("v")));
}

#[tokio::test]
async fn a_clear_of_everything_hides_all_that_was_before_whoever_it_is_of() {
    let bed = bed();
    bed.set("a", tagged("v", "red")).await;
    let of_tenant = Address::plain(&space("acme", "other"), b"a").unwrap();
    bed.write(of_tenant.clone(), forever("v"), When::Always).await.unwrap();
    let lease = bed.lease("b").await;
    let mut changes = bed.store.subscribe();
    assert_eq!(bed.store.clear_at(Sequence(70)), Ok(()));
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Gap))));
    assert_eq!(bed.value("a").await, None);
    let found = bed.store.get(Get::one(of_tenant)).await.unwrap().into_one().unwrap().unwrap();
    assert!(matches!(found, Lookup::Miss), "{found:?}");
    bed.fill("b", forever("late"), lease).await;
    assert_eq!(bed.value("b").await, None, "a load that began before is not seen after it");
    bed.set("a", forever("w")).await;
    assert_eq!(bed.store.clear_at(Sequence(70)), Err(Sequence(70)), "it would not hide what is there now");
    assert_eq!(bed.value("a").await.as_deref(), Some("w"));
    assert_eq!(bed.store.clear_at(Sequence(71)), Ok(()));
    assert_eq!(bed.value("a").await, None);
    bed.store.raise_sequence(Sequence(90));
    bed.set("a", forever("x")).await;
    assert_eq!(bed.store.clear_at(Sequence(80)), Err(Sequence(90)));
    assert_eq!(bed.value("a").await.as_deref(), Some("x"), "what is newer stays");
}
