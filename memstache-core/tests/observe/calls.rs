//! Every call through the layer is told once, with how it ended.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use memstache_core::{
    Address, Clock, Error, ErrorKind, Get, KeyspaceName, Request, Response, Result, Set, SetItem, Space, SystemClock,
    Version, Written,
    observe::{CallResult, Ending, Event, ObserveLayer, ObservedCall, OperationKind, Recorder},
    testing::ManualClock,
};
use memstache_core::{Lifetime, Lookup, NewEntry, OneOrMany, When};
use tokio_test::{assert_pending, assert_ready, task::spawn};
use tower::{Layer, Service};

/// Keeps what it is told of calls.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<ObservedCall>>>);

impl Recorder for Told {
    fn request(&self, _: Ending, _: u64) {
        unreachable!("no handle");
    }

    fn call(&self, call: &ObservedCall) {
        self.0.lock().unwrap().push(*call);
    }

    fn event(&self, _: &Event) {
        unreachable!("no handle");
    }
}

impl Told {
    fn only(&self) -> ObservedCall {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        let [call] = told[..] else { panic!("told {} times", told.len()) };
        call
    }
}

fn address(name: &str) -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
}

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_call_is_timed_until_it_is_answered() {
    let (told, clock) = (Told::default(), ManualClock::new());
    let (inner, mut below) = tower_test::mock::pair::<Request, Response>();
    let inner = tower::ServiceExt::<Request>::map_err(inner, Error::from);
    let mut service = ObserveLayer::new(told.clone()).with_clock(clock.clone()).layer(inner);
    below.allow(1);
    assert!(spawn(tower::ServiceExt::<Request>::ready(&mut service)).poll().is_ready());
    let mut call = spawn(service.call(Get::one(address("a")).into()));
    assert_pending!(call.poll());
    assert!(told.0.lock().unwrap().is_empty(), "not before it ends");
    clock.advance(7 * MS);
    let (_, answer) = below.next_request().await.unwrap();
    answer.send_response(Response::Found(OneOrMany::One(Ok(Lookup::Miss))));
    assert_ready!(call.poll()).unwrap();
    drop(call);
    assert_eq!(told.only(), ObservedCall::new(OperationKind::Get, CallResult::Ok, 1, 7 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_says_when_it_began_is_timed_from_there_by_the_systems_clock_only() {
    let clock = ManualClock::new();
    let began = SystemClock::new().elapsed();
    tokio::time::advance(5 * MS).await;
    let mut get = Get::one(address("a"));
    get.scope.begun = Some(began);
    for (own, expected) in [(None, 5 * MS), (Some(clock), Duration::ZERO)] {
        let told = Told::default();
        let layer = ObserveLayer::new(told.clone());
        let layer = match own {
            Some(clock) => layer.with_clock(clock),
            None => layer,
        };
        drop(layer.layer(Answers::Never).call(get.clone().into()));
        assert_eq!(told.only().duration, expected);
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_polled_or_not() {
    for polled in [false, true] {
        let (told, clock) = (Told::default(), ManualClock::new());
        let mut service = ObserveLayer::new(told.clone()).with_clock(clock.clone()).layer(Answers::Never);
        let mut call = spawn(service.call(Get::one(address("a")).into()));
        if polled {
            assert_pending!(call.poll());
        }
        clock.advance(3 * MS);
        drop(call);
        assert_eq!(told.only(), ObservedCall::new(OperationKind::Get, CallResult::Cancelled, 1, 3 * MS));
    }
}

#[tokio::test]
async fn a_panic_below_is_told_and_goes_on() {
    for answers in [Answers::PanicsInCall, Answers::PanicsInPoll] {
        let told = Told::default();
        let mut service = ObserveLayer::new(told.clone()).layer(answers);
        let call = async move { service.call(Get::one(address("a")).into()).await };
        assert!(tokio::spawn(call).await.unwrap_err().is_panic());
        let call = told.only();
        assert_eq!(
            (call.result, call.result.as_str(), call.result.error_type()),
            (CallResult::Panicked, "error", Some("panic"))
        );
    }
}

#[tokio::test]
async fn an_error_of_the_call_or_of_its_first_item_is_its_result() {
    let told = Told::default();
    let layer = ObserveLayer::new(told.clone());
    let mut failing = layer.layer(Answers::Fails);
    let error = failing.call(Get::one(address("a")).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(told.only().result, CallResult::Error(ErrorKind::Unavailable));

    let set =
        |name| SetItem { address: address(name), entry: NewEntry::new("x", Lifetime::default()), when: When::Always };
    let items = OneOrMany::Many(vec![set("a"), set("b"), set("c")]);
    let mut partly = layer.layer(Answers::StoresTheFirst);
    partly.call(Set { items, scope: Default::default() }.into()).await.unwrap();
    let call = told.only();
    assert_eq!((call.operation, call.items), (OperationKind::Set, 3));
    assert_eq!(call.result, CallResult::Error(ErrorKind::TooLarge));
}

#[derive(Clone, Copy)]
enum Answers {
    Never,
    PanicsInCall,
    PanicsInPoll,
    Fails,
    StoresTheFirst,
}

impl Service<Request> for Answers {
    type Response = Response;
    type Error = Error;
    type Future = memstache_core::BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        match *self {
            Self::Never => Box::pin(std::future::pending()),
            Self::PanicsInCall => panic!("on purpose"),
            Self::PanicsInPoll => Box::pin(async { panic!("on purpose") }),
            Self::Fails => Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "on purpose")) }),
            Self::StoresTheFirst => Box::pin(async {
                let refused = |kind| Err(Error::new(kind, "on purpose"));
                let items = vec![
                    Ok(Written::Stored(Version::default())),
                    refused(ErrorKind::TooLarge),
                    refused(ErrorKind::Unavailable),
                ];
                Ok(Response::Stored(OneOrMany::Many(items)))
            }),
        }
    }
}
