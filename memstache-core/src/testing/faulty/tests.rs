use tower_layer::Layer;

use super::*;
use crate::{
    address::{Address, Space},
    entry::NewEntry,
    lifetime::Lifetime,
    name::KeyspaceName,
    request::{Explain, Get, Lookup, OneOrMany, Operation, Remove, Set, SetItem, Touch, TouchKind, When},
    service::ErasedService,
    testing::{ManualClock, NaiveStore},
};

fn key(name: &str) -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
}

fn set(name: &str) -> Set {
    Set::one(key(name), NewEntry::new("v", Lifetime::UNLIMITED))
}

fn stack() -> (Faults, ErasedService) {
    let faults = Faults::new();
    let service = ErasedService::new(faults.layer(NaiveStore::new(ManualClock::new()).service()));
    (faults, service)
}

async fn holds(service: &ErasedService, name: &str) -> bool {
    let found = Get::output(service.dispatch(Get::one(key(name))).await.unwrap()).unwrap();
    matches!(found.into_one(), Some(Ok(Lookup::Hit(_))))
}

#[tokio::test]
async fn a_failed_call_has_done_nothing() {
    let (faults, service) = stack();
    faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "gone")).times(2));
    for _ in 0..2 {
        assert_eq!(service.dispatch(set("a")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(!holds(&service, "a").await);
    assert_eq!(faults.injected(), 2);
}

#[tokio::test]
async fn a_lost_answer_has_been_done_and_is_unknown_item_by_item() {
    let (faults, service) = stack();
    faults.inject(Fault::lost().when(|request| !matches!(request, Request::Get(_))));
    let entry = NewEntry::new("v", Lifetime::UNLIMITED);
    let items = ["a", "b"].map(|name| SetItem { address: key(name), entry: entry.clone(), when: When::Always });
    let op = Set { items: OneOrMany::Many(items.to_vec()), scope: Default::default() };
    let stored = Set::output(service.dispatch(op).await.unwrap()).unwrap();
    assert!(stored.len() == 2 && stored.iter().all(|item| item.as_ref().unwrap_err().kind() == ErrorKind::Unknown));
    assert!(holds(&service, "b").await);
    faults.heal();
    faults.inject(Fault::lost().times(1));
    let found = Get::output(service.dispatch(Get::one(key("a"))).await.unwrap()).unwrap();
    assert_eq!(found.into_one().unwrap().unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_hung_call_goes_on_when_healed() {
    let (faults, service) = stack();
    faults.inject(Fault::hang().when(|request| matches!(request, Request::Set(_))));
    let call = tokio::spawn(service.dispatch(set("a")));
    tokio::task::yield_now().await;
    assert_eq!(faults.hanging(), 1);
    assert!(!holds(&service, "a").await);
    faults.heal();
    call.await.unwrap().unwrap();
    assert!(holds(&service, "a").await);
}

#[tokio::test]
async fn the_first_fault_that_meets_a_call_decides() {
    let (faults, service) = stack();
    faults.inject(Fault::before(Error::new(ErrorKind::Overloaded, "full")).when(|request| request.name() == "remove"));
    faults.inject(Fault::after(Error::new(ErrorKind::Io, "torn")));
    assert_eq!(service.dispatch(Remove::one(key("a"))).await.unwrap_err().kind(), ErrorKind::Overloaded);
    let stored = Set::output(service.dispatch(set("a")).await.unwrap()).unwrap();
    assert_eq!(stored.into_one().unwrap().unwrap_err().kind(), ErrorKind::Io);
}

#[tokio::test]
async fn a_lost_answer_to_a_question_that_changes_nothing_is_a_timeout() {
    let (faults, service) = stack();
    faults.inject(Fault::lost());
    let explained = Explain::output(service.dispatch(Explain::one(key("a"))).await.unwrap()).unwrap();
    assert_eq!(explained.into_one().unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    for (kind, is) in [(TouchKind::Probe, ErrorKind::Timeout), (TouchKind::Slide, ErrorKind::Unknown)] {
        let touched = Touch::output(service.dispatch(Touch::one(key("a"), kind)).await.unwrap()).unwrap();
        assert_eq!(touched.into_one().unwrap().unwrap_err().kind(), is);
    }
}
