//! The right to load: granted, ended, waited for.

use tower_service::Service;

use super::*;
use crate::{ErrorKind, Tick};

#[tokio::test]
async fn one_caller_is_leased_and_the_others_are_busy() {
    let bed = bed();
    let lease = bed.lease("a").await;
    assert_eq!(lease.ttl, secs(4));
    assert_eq!(busy(&bed.ask("a").await), Some(Some(lease.id)));
    assert!(matches!(bed.get("a").await, Lookup::Miss), "who only looks is not told");
    assert!(matches!(bed.fill("a", forever("v"), lease).await, Written::Stored(_)));
    assert!(matches!(bed.ask("a").await, Lookup::Hit(_)));
    assert_eq!(bed.store.stats().leases_standing, 0);
}

#[tokio::test]
async fn set_and_remove_end_the_lease_and_a_late_fill_is_refused() {
    let bed = bed();
    let lease = bed.lease("a").await;
    bed.remove("a").await;
    assert_eq!(bed.fill("a", forever("old"), lease).await, Written::Refused);
    let lease = bed.lease("a").await;
    bed.set("a", forever("new")).await;
    assert_eq!(bed.fill("a", forever("old"), lease).await, Written::Refused);
    assert_eq!(bed.value("a").await.as_deref(), Some("new"));
}

#[tokio::test]
async fn a_repeated_fill_is_recognised_while_its_value_lives() {
    let bed = bed();
    let lease = bed.lease("a").await;
    let first = bed.fill("a", forever("v"), lease).await;
    assert!(matches!(first, Written::Stored(_)));
    assert_eq!(bed.fill("a", forever("v"), lease).await, first);
    bed.set("a", forever("w")).await;
    assert_eq!(bed.fill("a", forever("v"), lease).await, Written::Refused);
}

#[tokio::test]
async fn a_lease_ages_out_unless_it_is_renewed() {
    let bed = bed();
    let first = bed.lease("a").await;
    bed.clock.advance(secs(3));
    assert!(bed.touch("a", TouchKind::Renew(first.id)).await);
    bed.clock.advance(secs(3));
    assert!(busy(&bed.ask("a").await).is_some());
    bed.clock.advance(secs(1));
    assert!(!bed.touch("a", TouchKind::Renew(first.id)).await);
    let second = bed.lease("a").await;
    assert_ne!(first.id, second.id);
    assert_eq!(bed.fill("a", forever("v"), first).await, Written::Refused);
    assert!(matches!(bed.fill("a", forever("v"), second).await, Written::Stored(_)));
    assert_eq!(bed.store.stats().leases_aged_out, 1);
}

#[tokio::test]
async fn leases_age_out_even_if_nobody_asks() {
    let bed = bed();
    bed.lease("a").await;
    bed.clock.advance(secs(4) + Duration::from_millis(crate::memory::wheel::TICK_MILLIS));
    bed.store.maintain();
    assert_eq!((bed.store.stats().leases_standing, bed.store.stats().leases_aged_out), (0, 1));
}

#[tokio::test]
async fn a_released_lease_goes_to_the_next() {
    let bed = bed();
    let first = bed.lease("a").await;
    assert!(bed.touch("a", TouchKind::Release(first.id)).await);
    assert!(!bed.touch("a", TouchKind::Release(first.id)).await);
    bed.lease("a").await;
    assert_eq!(bed.fill("a", forever("v"), first).await, Written::Refused);
}

#[tokio::test]
async fn a_stale_value_is_refreshed_by_one() {
    let bed = bed();
    bed.set("a", living("v", 10, 60)).await;
    bed.clock.advance(secs(11));
    assert!(matches!(bed.get("a").await, Lookup::Stale(_, None)), "no lease unless asked for");
    let Lookup::Stale(_, Some(lease)) = bed.ask("a").await else { panic!() };
    assert!(matches!(bed.ask("a").await, Lookup::Stale(_, None)));
    assert!(matches!(bed.fill("a", forever("w"), lease).await, Written::Stored(_)));
    assert_eq!(bed.value("a").await.as_deref(), Some("w"));
}

#[tokio::test]
async fn an_unwanted_version_is_reloaded_by_one() {
    let bed = bed();
    let version = bed.set("a", forever("garbage")).await;
    let unless = || GetItem::from(key("a")).unless(version);
    let read = |on_miss| bed.read(unless(), on_miss, Scope::default());
    assert!(matches!(read(OnMiss::Report).await, Ok(Lookup::Miss)));
    let Ok(Lookup::Leased(lease)) = read(OnMiss::Lease).await else { panic!() };
    assert!(matches!(read(OnMiss::Lease).await, Ok(Lookup::Busy(Some(_)))));
    bed.fill("a", forever("good"), lease).await;
    assert!(matches!(read(OnMiss::Lease).await, Ok(Lookup::Hit(_))));
}

#[tokio::test]
async fn a_fill_that_began_before_a_tag_was_invalidated_is_never_seen() {
    let bed = bed();
    let lease = bed.lease("a").await;
    bed.invalidate_tag("red").await;
    assert_eq!(busy(&bed.ask("a").await), Some(None), "not joinable: the load may bring what is outdated");
    bed.fill("a", tagged("old", "red"), lease).await;
    assert!(matches!(bed.get("a").await, Lookup::Miss));
    let lease = bed.lease("a").await;
    bed.invalidate_tag("blue").await;
    bed.fill("a", tagged("new", "red"), lease).await;
    assert_eq!(bed.value("a").await.as_deref(), Some("new"), "another tag");
}

#[tokio::test]
async fn a_clear_supersedes_leases() {
    let bed = bed();
    let first = bed.lease("a").await;
    bed.clear().await;
    let second = bed.lease("a").await;
    assert!(second.sequence > first.sequence);
    assert_eq!(bed.fill("a", forever("old"), first).await, Written::Refused);
    assert!(matches!(bed.fill("a", forever("new"), second).await, Written::Stored(_)));
    let third = bed.lease("b").await;
    bed.clear().await;
    assert!(!bed.touch("b", TouchKind::Renew(third.id)).await);
    assert_eq!(bed.fill("b", forever("old"), third).await, Written::Refused, "even if nobody asked since");
}

#[tokio::test]
async fn leases_are_bounded() {
    let bed = bed_with(|builder| builder.max_leases(2));
    let first = bed.lease("a").await;
    bed.lease("b").await;
    let error = bed.read(key("c"), OnMiss::Lease, Scope::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    bed.touch("a", TouchKind::Release(first.id)).await;
    bed.lease("c").await;
}

fn waiting(bed: &Bed, names: &[&str], deadline: Option<Tick>) -> tokio::task::JoinHandle<Vec<Result<Lookup>>> {
    let items = names.iter().map(|name| GetItem::from(key(name))).collect();
    let op = Get { items, on_miss: OnMiss::Wait, scope: Scope { deadline, ..Scope::default() } };
    let store = bed.store.clone();
    tokio::spawn(async move { store.get(op).await.unwrap().into_iter().collect() })
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_waiter_gets_what_the_loader_stores() {
    let bed = bed();
    let lease = bed.lease("a").await;
    let waiter = waiting(&bed, &["a"], None);
    settle().await;
    assert!(!waiter.is_finished());
    bed.fill("a", forever("v"), lease).await;
    assert!(matches!(waiter.await.unwrap()[..], [Ok(Lookup::Hit(_))]));
}

#[tokio::test]
async fn of_many_waiters_one_loads_when_the_lease_ends_unfilled() {
    for end in ["release", "remove", "clear", "age"] {
        let bed = bed();
        let lease = bed.lease("a").await;
        let waiters: Vec<_> = (0..10).map(|_| waiting(&bed, &["a"], None)).collect();
        settle().await;
        match end {
            "release" => drop(bed.touch("a", TouchKind::Release(lease.id)).await),
            "remove" => drop(bed.remove("a").await),
            "clear" => drop(bed.clear().await),
            _ => bed.clock.advance(secs(4)),
        }
        settle().await;
        let (done, still): (Vec<_>, Vec<_>) = waiters.into_iter().partition(|waiter| waiter.is_finished());
        assert_eq!((done.len(), still.len()), (1, 9), "{end}");
        let mut leased = None;
        for waiter in done {
            let Ok(Lookup::Leased(lease)) = waiter.await.unwrap().remove(0) else { panic!("{end}") };
            leased = Some(lease);
        }
        bed.fill("a", forever("v"), leased.unwrap()).await;
        for waiter in still {
            assert!(matches!(waiter.await.unwrap()[..], [Ok(Lookup::Hit(_))]), "{end}");
        }
    }
}

#[tokio::test]
async fn a_renewed_lease_is_waited_for_on() {
    let bed = bed();
    let lease = bed.lease("a").await;
    let waiter = waiting(&bed, &["a"], None);
    settle().await;
    bed.clock.advance(secs(3));
    bed.touch("a", TouchKind::Renew(lease.id)).await;
    bed.clock.advance(secs(3));
    settle().await;
    assert!(!waiter.is_finished());
    bed.fill("a", forever("v"), lease).await;
    assert!(matches!(waiter.await.unwrap()[..], [Ok(Lookup::Hit(_))]));
}

#[tokio::test]
async fn a_waiter_gives_up_at_its_deadline() {
    let bed = bed();
    bed.lease("a").await;
    bed.set("b", forever("v")).await;
    let deadline = Tick::from_millis(1_002_000);
    let waiter = waiting(&bed, &["b", "a", "c"], Some(deadline));
    settle().await;
    bed.clock.advance(secs(2));
    let found = waiter.await.unwrap();
    assert!(
        matches!(&found[..], [Ok(Lookup::Hit(_)), Err(error), Ok(Lookup::Leased(_))] if error.kind() == ErrorKind::Timeout)
    );
}

#[tokio::test]
async fn a_waiting_batch_holds_nothing_that_another_waits_for() {
    let bed = bed();
    let lease = bed.lease("a").await;
    let batch = waiting(&bed, &["b", "a"], None);
    settle().await;
    let other = bed.lease("b").await;
    bed.fill("a", forever("v"), lease).await;
    settle().await;
    assert!(!batch.is_finished(), "b is loaded by another now");
    bed.fill("b", forever("w"), other).await;
    assert!(matches!(batch.await.unwrap()[..], [Ok(Lookup::Hit(_)), Ok(Lookup::Hit(_))]));
}

#[tokio::test]
async fn a_dropped_waiter_leaves_nothing_behind() {
    let bed = bed();
    let lease = bed.lease("a").await;
    let waiter = waiting(&bed, &["a", "b"], None);
    settle().await;
    waiter.abort();
    settle().await;
    bed.touch("a", TouchKind::Release(lease.id)).await;
    assert_eq!(bed.store.stats().leases_standing, 0);
    bed.lease("a").await;
    bed.lease("b").await;
}

#[tokio::test]
async fn the_service_answers_at_once_and_waits_only_for_busy_keys() {
    let bed = bed();
    let mut service = bed.store.clone();
    let get = |on_miss| Get { items: OneOrMany::One(key("a").into()), on_miss, scope: Scope::default() }.into();
    let lease = bed.lease("a").await;
    assert!(format!("{:?}", service.call(get(OnMiss::Lease))).contains("waits: false"));
    let waiting = service.call(get(OnMiss::Wait));
    assert!(format!("{waiting:?}").contains("waits: true"));
    bed.fill("a", forever("v"), lease).await;
    let crate::Response::Found(found) = waiting.await.unwrap() else { panic!() };
    assert!(matches!(found.into_one(), Some(Ok(Lookup::Hit(_)))));
}

#[tokio::test]
async fn a_batch_with_a_key_twice_does_not_wait_for_itself() {
    let bed = bed();
    let found = waiting(&bed, &["a", "a"], None).await.unwrap();
    let [Ok(Lookup::Leased(lease)), Ok(Lookup::Busy(Some(id)))] = found[..] else { panic!("{found:?}") };
    assert_eq!(lease.id, id);
    let batch = waiting(&bed, &["b", "a", "b"], None);
    settle().await;
    bed.fill("a", forever("v"), lease).await;
    let found = batch.await.unwrap();
    let [Ok(Lookup::Leased(lease)), Ok(Lookup::Hit(_)), Ok(Lookup::Busy(Some(id)))] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(lease.id, *id);
    assert_eq!(bed.store.stats().leases_standing, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_batches_in_opposite_order_both_get_on() {
    for _ in 0..200 {
        let bed = bed();
        let load = |names: &'static [&'static str]| {
            let bed = Bed { store: bed.store.clone(), clock: bed.clock.clone() };
            tokio::spawn(async move {
                for (name, found) in names.iter().zip(waiting(&bed, names, None).await.unwrap()) {
                    if let Ok(Lookup::Leased(lease)) = found {
                        bed.fill(name, forever("v"), lease).await;
                    }
                }
            })
        };
        let (one, other) = (load(&["a", "b"]), load(&["b", "a"]));
        one.await.unwrap();
        other.await.unwrap();
        assert_eq!(bed.store.stats().inserts, 2, "each key is loaded once");
    }
}

/// Many tasks want one key, loaders fail at random: nobody is forgotten and no two load at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    let store = MemoryStore::builder().max_bytes(1 << 20).build().unwrap();
    let loading = Arc::new(AtomicUsize::new(0));
    for round in 0..50 {
        let name = format!("key {round}");
        let tasks = (0..40).map(|task| {
            let (store, loading, name) = (store.clone(), Arc::clone(&loading), name.clone());
            tokio::spawn(async move {
                let items = OneOrMany::One(GetItem::from(key(&name)));
                let op = Get { items, on_miss: OnMiss::Wait, scope: Scope::default() };
                let Ok(Lookup::Leased(lease)) = store.get(op).await.unwrap().into_one().unwrap() else { return };
                assert_eq!(loading.fetch_add(1, Ordering::SeqCst), 0, "one loads at a time");
                tokio::task::yield_now().await;
                loading.fetch_sub(1, Ordering::SeqCst);
                match task % 3 {
                    0 => drop(store.touch(Touch::one(key(&name), TouchKind::Release(lease.id))).await),
                    1 => drop(store.remove(Remove::one(key(&name))).await),
                    _ => {
                        let item = SetItem { address: key(&name), entry: forever("v"), when: When::IfLease(lease.id) };
                        drop(store.set(Set { items: OneOrMany::One(item), scope: Scope::default() }).await);
                    }
                }
            })
        });
        let all = futures_util::future::join_all(tasks.collect::<Vec<_>>());
        // Well under the lease's ttl: a lost wake-up would be hidden by ageing.
        let done = tokio::time::timeout(secs(3), all).await.expect("somebody was forgotten");
        done.into_iter().for_each(|task| task.unwrap());
    }
    assert_eq!(store.stats().leases_standing, 0);
}
