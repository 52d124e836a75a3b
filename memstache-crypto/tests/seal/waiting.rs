//! Keys that are not at hand, or not to be had: batches whose items fail one by one, and calls that wait.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{
    Address, Error, ErrorKind, Lookup, OneOrMany, Request, Response, Result, Set, Space, Step, Stored, Transform,
    Version, Written, testing::Gate,
};
use memstache_crypto::{DataKey, DataKeys, KeyFailure, KeyId, KeyLookup, NameKey, Pending, Seal};

use crate::kit::{address, assert_rejected, builder, down, entry, get, hit, home, kept, secret, set, up};

/// What a tenant's key does when it is asked for.
#[derive(Clone, Debug)]
enum Doing {
    Ready,
    Waits(Gate),
    Fails(KeyFailure),
    WaitsAndFails(Gate, KeyFailure),
}

/// A key for each tenant, that does what the test says.
#[derive(Clone, Debug, Default)]
struct Keys {
    doing: Arc<Mutex<HashMap<String, Doing>>>,
    asked: Arc<AtomicUsize>,
}

impl Keys {
    fn with(self, tenant: &str, doing: Doing) -> Self {
        self.doing.lock().unwrap().insert(tenant.to_owned(), doing);
        self
    }

    fn lookup(&self, space: &Space) -> KeyLookup {
        self.asked.fetch_add(1, SeqCst);
        let tenant = space.tenant().unwrap_or_default().to_owned();
        let key = Arc::new(DataKey::new(secret(tenant.len() as u8)));
        let doing = self.doing.lock().unwrap().get(&tenant).cloned().unwrap_or(Doing::Ready);
        match doing {
            Doing::Ready => KeyLookup::Ready(key),
            Doing::Fails(failure) => KeyLookup::Failed(failure),
            Doing::Waits(gate) => KeyLookup::Wait(Box::pin(async move {
                gate.pass().await;
                Ok(key)
            })),
            Doing::WaitsAndFails(gate, failure) => KeyLookup::Wait(Box::pin(async move {
                gate.pass().await;
                Err(failure)
            })),
        }
    }
}

impl DataKeys for Keys {
    fn sealing(&self, space: &Space) -> KeyLookup {
        self.lookup(space)
    }

    fn opening(&self, space: &Space, _: KeyId) -> KeyLookup {
        self.lookup(space)
    }

    fn naming(&self, _: &Space) -> Option<Arc<NameKey>> {
        None
    }
}

const LATER: KeyFailure = KeyFailure::Unavailable { retry_after: Some(Duration::from_secs(7)) };

fn seal(keys: &Keys) -> Seal {
    builder(keys.clone()).0.build().unwrap()
}

fn at(tenant: &str) -> Address {
    address(tenant, "users", "n")
}

/// The items that a write sends down, and what is remembered.
fn sent(step: Step<(Request, Pending)>) -> (Set, Pending) {
    match step {
        Step::Now(Ok((Request::Set(set), pending))) => (set, pending),
        other => panic!("{other:?}"),
    }
}

fn stored(versions: &[u64]) -> Response {
    Response::Stored(OneOrMany::Many(versions.iter().map(|n| Ok(Written::Stored(Version(*n)))).collect()))
}

fn answers(step: Step<Response>) -> Stored {
    match step {
        Step::Now(Ok(Response::Stored(stored))) | Step::Answer(Response::Stored(stored)) => stored,
        other => panic!("{other:?}"),
    }
}

fn shown(stored: &Stored) -> Vec<String> {
    stored
        .iter()
        .map(|item| match item {
            Ok(Written::Stored(version)) => format!("{}", version.0),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.kind().as_str().to_owned(),
        })
        .collect()
}

#[test]
fn an_item_that_cannot_be_sealed_is_not_sent_and_answered_in_its_place() {
    let keys = Keys::default().with("bad", Doing::Fails(LATER)).with("gone", Doing::Fails(KeyFailure::Revoked));
    let seal = seal(&keys);
    let items = ["bad", "a", "gone", "b", "bad"].map(|tenant| (at(tenant), entry("v")));
    let (set, pending) = sent(seal.request(set(items.to_vec())));
    assert_eq!(set.items.len(), 2);
    assert!(set.items.iter().all(|item| item.entry.content.sealed));
    let stored = answers(seal.response(pending, stored(&[1, 2])));
    assert_eq!(shown(&stored), ["unavailable", "1", "unavailable", "2", "unavailable"]);
    let errors: Vec<_> = stored.iter().filter_map(|item| item.as_ref().err()).collect();
    assert_eq!((errors[0].retry_after(), errors[0].is_retryable()), (Some(Duration::from_secs(7)), true));
    assert_eq!((errors[1].retry_after(), errors[1].is_retryable()), (None, false));
    assert_eq!((seal.stats().refused_key_unavailable, seal.stats().refused_no_key), (2, 1));
}

#[test]
fn when_nothing_can_be_sealed_nothing_goes_down() {
    let seal = seal(&Keys::default().with("bad", Doing::Fails(KeyFailure::Retired)));
    let all = answers_at_once(&seal, vec![(at("bad"), entry("v")), (at("bad"), entry("w"))]);
    assert_eq!(shown(&all), ["unavailable", "unavailable"]);
    assert_eq!(down(&seal, &at("bad"), entry("v")).unwrap_err().kind(), ErrorKind::Unavailable);
}

fn answers_at_once(seal: &Seal, items: Vec<(Address, memstache_core::NewEntry)>) -> Stored {
    match seal.request(set(items)) {
        Step::Answer(Response::Stored(stored)) => stored,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_waits_for_its_keys_side_by_side_and_each_is_asked_for_once() {
    let (one, two) = (Gate::new(), Gate::new());
    let keys = Keys::default()
        .with("one", Doing::Waits(one.clone()))
        .with("twice", Doing::Waits(two.clone()))
        .with("three", Doing::Fails(KeyFailure::Unknown));
    let seal = seal(&keys);
    let tenants = ["one", "a", "twice", "one", "three", "twice"];
    let items: Vec<_> = tenants.iter().map(|tenant| (at(tenant), entry("v"))).collect();
    let Step::Wait(wait) = seal.request(set(items)) else { panic!("at once") };
    assert_eq!(keys.asked.load(SeqCst), 4);
    let wait = tokio::spawn(wait);
    two.arrived(1).await;
    one.arrived(1).await;
    two.open();
    one.open();
    let (set, pending) = sent(Step::Now(wait.await.unwrap()));
    assert_eq!(set.items.len(), 5);
    assert!(set.items.iter().all(|item| item.entry.content.sealed));
    for (item, tenant) in set.items.iter().zip(["one", "a", "twice", "one", "twice"]) {
        assert_eq!(item.address, at(tenant));
    }
    assert_eq!(
        shown(&answers(seal.response(pending, stored(&[1, 2, 3, 4, 5])))),
        ["1", "2", "3", "4", "unavailable", "5"]
    );
    assert_eq!((seal.stats().waited, seal.stats().sealed, keys.asked.load(SeqCst)), (1, 5, 4));
}

#[tokio::test]
async fn a_write_whose_awaited_key_cannot_be_had_fails_in_its_place() {
    let gate = Gate::new();
    gate.open();
    let keys =
        Keys::default().with("late", Doing::WaitsAndFails(gate, LATER)).with("bad", Doing::Fails(KeyFailure::Revoked));
    let seal = seal(&keys);
    let Step::Wait(wait) = seal.request(set(["late", "a", "bad"].map(|tenant| (at(tenant), entry("v"))).to_vec()))
    else {
        panic!("at once")
    };
    let (set, pending) = sent(Step::Now(wait.await));
    assert_eq!(set.items.len(), 1);
    assert_eq!(shown(&answers(seal.response(pending, stored(&[1])))), ["unavailable", "1", "unavailable"]);
    // Alone, it is the whole call that fails.
    let Step::Wait(wait) = seal.request(Request::Set(Set::one(at("late"), entry("v")))) else { panic!("at once") };
    let error: Error = wait.await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(7))));
}

/// Values of tenants as a store answers them, sealed when every key was at hand.
fn found(tenants: &[&str]) -> Response {
    let seal = seal(&Keys::default());
    let hit = |tenant: &&str| Ok(Lookup::Hit(kept(down(&seal, &at(tenant), entry(tenant.to_string())).unwrap())));
    Response::Found(OneOrMany::Many(tenants.iter().map(hit).collect()))
}

fn items(response: Result<Response>) -> Vec<Result<Lookup>> {
    match response.unwrap() {
        Response::Found(found) => found.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_read_waits_for_its_keys_and_items_fail_one_by_one() {
    let gate = Gate::new();
    let keys = Keys::default()
        .with("late", Doing::Waits(gate.clone()))
        .with("never", Doing::WaitsAndFails(gate.clone(), LATER))
        .with("gone", Doing::Fails(KeyFailure::Revoked));
    let seal = seal(&keys);
    let tenants = ["a", "late", "never", "gone", "late"];
    let (_, pending) = crate::kit::asked(&seal, get(&tenants.map(at)));
    let Step::Wait(wait) = seal.response(pending, found(&tenants)) else { panic!("at once") };
    let wait = tokio::spawn(wait);
    gate.arrived(2).await;
    gate.open();
    let mut items = items(wait.await.unwrap()).into_iter();
    let mut next = || items.next().unwrap();
    assert_eq!(hit(next()).value, "a");
    assert_eq!(hit(next()).value, "late");
    assert_rejected(next());
    assert_rejected(next());
    assert_eq!(hit(next()).value, "late");
    let stats = seal.stats();
    assert_eq!((stats.opened, stats.rejected_key_unavailable, stats.rejected_key_revoked, stats.waited), (3, 1, 1, 1));
    assert_eq!(stats.rejected(), 2);
}

#[tokio::test]
async fn a_call_that_leaves_drops_what_it_waits_for_and_harms_nobody() {
    let gate = Gate::new();
    let keys = Keys::default().with("late", Doing::Waits(gate.clone()));
    let seal = seal(&keys);
    let Step::Wait(leaves) = seal.request(set(vec![(at("late"), entry("v"))])) else { panic!("at once") };
    let Step::Wait(stays) = seal.request(set(vec![(at("late"), entry("v"))])) else { panic!("at once") };
    let (leaves, stays) = (tokio::spawn(leaves), tokio::spawn(stays));
    gate.arrived(2).await;
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    assert_eq!(gate.waiting(), 1);
    gate.open();
    assert_eq!(sent(Step::Now(stays.await.unwrap())).0.items.len(), 1);
}

#[test]
fn every_failure_of_a_key_is_one_error_and_a_reason_of_its_own() {
    for (failure, why) in [
        (KeyFailure::Unknown, "key_unknown"),
        (KeyFailure::Retired, "key_retired"),
        (KeyFailure::Revoked, "key_revoked"),
        (LATER, "key_unavailable"),
    ] {
        let keys = Keys::default();
        let seal = seal(&keys);
        let stored = down(&seal, &home(), entry("v")).unwrap();
        assert_eq!(hit(up(&seal, &home(), stored.clone())).value, "v");
        let _ = keys.with("acme", Doing::Fails(failure));
        let before = seal.stats();
        // Also by a key that is kept prepared: it opens nothing once its data key is gone.
        assert_rejected(up(&seal, &home(), stored.clone()));
        assert_eq!(crate::tampering::reason(before, seal.stats()), why);
        assert_eq!(failure.as_str(), why);
    }
}
