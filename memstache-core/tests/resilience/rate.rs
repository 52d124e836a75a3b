//! The rate limiter against a leaky bucket that is computed by hand.

use memstache_core::{
    ErrorKind, Get, GetItem, OneOrMany, Stack,
    resilience::{RateConfig, RateLimitLayer, RateLimiter, ResilienceConfig},
    testing::ManualClock,
};
use proptest::prelude::*;

use crate::kit::{Kit, address, kind, millis, read};

/// A bucket in nanoseconds: it runs out by one each nanosecond, an item adds what an item takes.
struct Bucket {
    level: u128,
    item: u128,
    burst: u128,
}

impl Bucket {
    /// How long items must wait; zero if they went in.
    fn put(&mut self, items: u128) -> u128 {
        let (filled, room) = (self.level + items * self.item, self.burst * self.item);
        if filled <= room {
            self.level = filled;
        }
        filled.saturating_sub(room)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(u32),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pass = prop_oneof![5 => 0u64..20, 2 => 20u64..1_000, 1 => 1_000u64..100_000];
    let step = prop_oneof![3 => (1u32..6).prop_map(Step::Take), 2 => pass.prop_map(Step::Pass)];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn it_lets_through_what_the_bucket_does(rate in 1u32..2_000, burst in 5u32..50, steps in steps()) {
        let clock = ManualClock::new();
        let limiter = RateLimiter::with_clock(RateConfig::per_second(rate).with_burst(burst), clock.clone()).unwrap();
        let mut bucket = Bucket { level: 0, item: u128::from(1_000_000_000 / rate), burst: burst.into() };
        for step in steps {
            match step {
                Step::Pass(span) => {
                    clock.advance(millis(span));
                    bucket.level = bucket.level.saturating_sub(u128::from(span) * 1_000_000);
                }
                Step::Take(items) => {
                    let wait = bucket.put(items.into());
                    match limiter.try_take(items) {
                        Ok(()) => prop_assert_eq!(wait, 0),
                        Err(error) => {
                            prop_assert_eq!(error.kind(), ErrorKind::Overloaded);
                            prop_assert_eq!(error.retry_after().unwrap().as_nanos(), wait);
                        }
                    }
                }
            }
        }
    }

    /// Whatever time does: no more than the burst at once, and after a second of ordinary time a second's worth.
    #[test]
    fn time_that_jumps_does_no_harm(jumps in prop::collection::vec(any::<u64>(), 1..40)) {
        let clock = jumping::Clock::default();
        let limiter = RateLimiter::with_clock(RateConfig::per_second(10), clock.clone()).unwrap();
        for (n, jump) in jumps.iter().enumerate() {
            clock.set(*jump >> (n % 60));
            let at_once = (0..100).filter(|_| limiter.try_take(1).is_ok()).count();
            prop_assert!(at_once <= 10);
            prop_assert!(limiter.try_take(1).unwrap_err().retry_after().unwrap() <= millis(100));
            clock.set((*jump >> (n % 60)).saturating_add(1_000));
            if *jump >> (n % 60) < u64::MAX - 1_000 {
                prop_assert_eq!((0..100).filter(|_| limiter.try_take(1).is_ok()).count(), 10);
            }
        }
    }
}

/// A clock that is set to whatever a test wants.
mod jumping {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        time::SystemTime,
    };

    use memstache_core::{BoxFuture, Tick};

    #[derive(Clone, Debug, Default)]
    pub(super) struct Clock(Arc<AtomicU64>);

    impl Clock {
        pub(super) fn set(&self, millis: u64) {
            self.0.store(millis, SeqCst);
        }
    }

    impl memstache_core::Clock for Clock {
        fn now(&self) -> Tick {
            Tick::from_millis(self.0.load(SeqCst))
        }

        fn wall(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn sleep_until(&self, _: Tick) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }
}

#[tokio::test]
async fn items_of_a_stack_are_refused_above_the_rate_and_told_when_to_come_back() {
    let kit = Kit::new(ResilienceConfig::none());
    let limiter = RateLimiter::with_clock(RateConfig::per_second(10).with_burst(4), kit.clock.clone()).unwrap();
    let stack = Stack::over(kit.leaf()).limit(RateLimitLayer::new(limiter)).build();
    let batch = |items: usize| {
        let items: OneOrMany<GetItem> = (0..items).map(|n| address(&n.to_string()).into()).collect();
        stack.dispatch(Get { items, ..Get::one(address("a")) })
    };
    assert!(batch(3).await.is_ok());
    assert!(read(&stack, "a").await.is_ok());
    let refused = read(&stack, "a").await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Overloaded, Some(millis(100))));
    kit.clock.advance(millis(100));
    assert!(read(&stack, "a").await.is_ok());
    let error = batch(5).await.unwrap_err();
    assert_eq!(error.to_string(), "items at once must be at most the burst (4), but 5 was given");
    assert!(batch(0).await.is_ok());
    assert_eq!(kit.attempts("get"), 4);
}

#[test]
fn settings_out_of_their_limits_are_named() {
    let text = |config: RateConfig| RateLimiter::new(config).unwrap_err().to_string();
    assert_eq!(text(RateConfig::per_second(0)), "rate per_second must be from 1 to 1000000, but 0 was given");
    assert_eq!(
        text(RateConfig::per_second(5_000).with_burst(4)),
        "rate burst must be from 5 to 1000000, but 4 was given"
    );
    assert_eq!(
        text(RateConfig::per_second(1).with_burst(3_601)),
        "rate burst must be from 1 to 3600, but 3601 was given"
    );
    let kind = kind(RateLimiter::new(RateConfig::per_second(0)).map(drop));
    assert_eq!(kind, ErrorKind::Invalid);
}
