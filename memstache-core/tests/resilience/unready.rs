//! A layer that refuses a call lets go of what the stack below was made ready with.

use futures_util::FutureExt;
use memstache_core::{
    ErasedService, Error, ErrorKind, Found, Get, Lookup, MemoryStore, OneOrMany, Request, Response, Stack, Step,
    Transform,
    resilience::{
        BreakerConfig, BreakerLayer, BulkheadLayer, CircuitBreaker, Probing, RateConfig, RateLimitLayer, RateLimiter,
        Verdict,
    },
    testing::{Fault, Faults, Faulty},
};
use tower::{
    Layer,
    limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer},
};

use crate::kit::{address, found, kind};

/// Two stacks over one store that takes so many calls at a time.
struct Two {
    limit: GlobalConcurrencyLimitLayer,
    faults: Faults,
    store: MemoryStore,
}

type Leaf = ConcurrencyLimit<Faulty<MemoryStore>>;

impl Two {
    fn new(calls: usize) -> Self {
        let store = MemoryStore::builder().max_bytes(1 << 20).build().unwrap();
        Self { limit: GlobalConcurrencyLimitLayer::new(calls), faults: Faults::new(), store }
    }

    fn leaf(&self) -> Leaf {
        self.limit.layer(self.faults.layer(self.store.clone()))
    }

    /// Asserts that the store takes another call.
    fn is_free(&self, what: &str) {
        let other = ErasedService::new(self.leaf());
        let answer = ask(&other).unwrap_or_else(|| panic!("{what}: it waits for a place that nobody uses"));
        assert!(matches!(found(answer.unwrap()), Ok(Lookup::Miss)), "{what}");
    }
}

/// Reads; `None` if it has to wait.
fn ask(stack: &ErasedService) -> Option<memstache_core::Result<Response>> {
    stack.dispatch(Get::one(address("a"))).now_or_never()
}

fn refused(stack: &ErasedService, what: &str) -> ErrorKind {
    kind(ask(stack).unwrap_or_else(|| panic!("{what}: it waits")))
}

#[derive(Clone, Debug)]
enum Instead {
    Refuses,
    Answers,
}

impl Transform for Instead {
    type Pending = ();

    fn request(&self, _: Request) -> Step<(Request, ())> {
        match self {
            Self::Refuses => Step::Now(Err(Error::new(ErrorKind::Unsupported, "on purpose"))),
            Self::Answers => Step::Answer(Response::Found(Found::One(Ok(Lookup::Miss)))),
        }
    }

    fn response(&self, (): (), response: Response) -> Step<Response> {
        Step::Now(Ok(response))
    }
}

#[test]
fn a_transform() {
    for instead in [Instead::Refuses, Instead::Answers] {
        let two = Two::new(1);
        let what = format!("{instead:?}");
        let stack = Stack::over(two.leaf()).compress(instead).build();
        assert!(ask(&stack).is_some(), "{what}");
        two.is_free(&what);
    }
}

#[test]
fn a_rate() {
    let two = Two::new(1);
    let limiter = RateLimiter::new(RateConfig::per_second(1)).unwrap();
    let stack = Stack::over(two.leaf()).limit(RateLimitLayer::new(limiter)).build();
    assert!(ask(&stack).unwrap().is_ok());
    assert_eq!(refused(&stack, "rate"), ErrorKind::Overloaded);
    two.is_free("rate");
}

#[test]
fn a_breaker() {
    let two = Two::new(1);
    let config = BreakerConfig::leaf().with_probing(Probing::Requests);
    let breaker = CircuitBreaker::new(config).unwrap();
    while let Ok(admitted) = breaker.try_call() {
        admitted.record(Verdict::Failure);
    }
    let stack = Stack::over(two.leaf()).breaker(BreakerLayer::new(breaker)).build();
    assert_eq!(refused(&stack, "breaker"), ErrorKind::Unavailable);
    two.is_free("breaker");
}

#[test]
fn a_bulkhead() {
    let two = Two::new(2);
    two.faults.inject(Fault::hang().times(1));
    let stack = Stack::over(two.leaf()).limit(BulkheadLayer::new(64 * 1024).unwrap()).build();
    let many = Get { items: OneOrMany::Many(vec![address("a").into(); 16]), ..Get::one(address("a")) };
    let mut held = stack.dispatch(many);
    assert!((&mut held).now_or_never().is_none(), "it fills the bulkhead");
    assert_eq!(refused(&stack, "bulkhead"), ErrorKind::Overloaded);
    two.is_free("bulkhead");
}
