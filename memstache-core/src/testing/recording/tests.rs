use tower_layer::Layer;

use super::*;
use crate::{
    address::{Address, Space},
    entry::NewEntry,
    error::ErrorKind,
    lifetime::Lifetime,
    name::KeyspaceName,
    request::{Get, OnMiss, OneOrMany, Remove, Set},
    service::ErasedService,
    testing::{Fault, Faults, ManualClock, NaiveStore},
};

fn key(name: &str) -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
}

fn stack(recorder: &Recorder) -> ErasedService {
    ErasedService::new(recorder.layer(NaiveStore::new(ManualClock::new()).service()))
}

#[tokio::test]
async fn calls_are_noted_item_by_item() {
    let recorder = Recorder::new();
    let service = stack(&recorder);
    service.dispatch(Set::one(key("a"), NewEntry::new("v", Lifetime::UNLIMITED))).await.unwrap();
    let items = ["a", "b", "b"].map(|name| key(name).into());
    let op = Get { items: OneOrMany::Many(items.to_vec()), on_miss: OnMiss::Lease, scope: Default::default() };
    service.dispatch(op).await.unwrap();
    service.dispatch(Remove::one(key("c"))).await.unwrap();
    let endings: Vec<_> = recorder.calls().into_iter().map(|call| (call.operation, call.ending)).collect();
    assert_eq!(
        endings,
        [
            ("set", Ending::Answered(vec![Outcome::Stored])),
            ("get", Ending::Answered(vec![Outcome::Hit, Outcome::Leased, Outcome::Busy])),
            ("remove", Ending::Answered(vec![Outcome::Nothing])),
        ]
    );
    recorder.assert_calls("get", 1);
    recorder.assert_items("get", 3);
    assert_eq!((recorder.total(), recorder.outcomes(Outcome::Busy)), (3, 1));
    recorder.clear();
    recorder.assert_quiet();
}

#[tokio::test]
async fn failures_and_dropped_calls_are_noted() {
    let (recorder, faults) = (Recorder::new(), Faults::new());
    let service = ErasedService::new(recorder.layer(faults.layer(NaiveStore::new(ManualClock::new()).service())));
    faults.inject(Fault::before(Error::new(ErrorKind::Io, "torn")).times(1));
    service.dispatch(Get::one(key("a"))).await.unwrap_err();
    let gate = recorder.hold(|_| true);
    let call = tokio::spawn(service.dispatch(Get::one(key("a"))));
    gate.arrived(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let endings: Vec<_> = recorder.calls().into_iter().map(|call| call.ending).collect();
    assert_eq!(endings, [Ending::Failed(ErrorKind::Io), Ending::Dropped]);
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test]
async fn the_log_is_bounded_and_the_counts_are_not() {
    let recorder = Recorder::with_capacity(2);
    let service = stack(&recorder);
    for name in ["a", "b", "c"] {
        service.dispatch(Get::one(key(name))).await.unwrap();
    }
    assert_eq!(recorder.calls().len(), 2);
    recorder.assert_calls("get", 3);
}
