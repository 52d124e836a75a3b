//! The arithmetic of operations against a bucket that anybody can follow.

use std::time::Duration;

use memstache_core::{ErrorKind, Remove, Scope};
use proptest::prelude::*;

use crate::kit::{Kit, address, for_all, plan, tenant};

/// A bucket in millionths of an operation, filled each millisecond.
struct Bucket {
    per_second: u64,
    burst: u64,
    /// In units of 1/1000 operation a millisecond: an operation is 1,000,000 of them over 1000 ms.
    left: u64,
}

const ONE: u64 = 1000;

impl Bucket {
    fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: per_second.into(), burst: burst.into(), left: u64::from(burst) * ONE }
    }

    fn pass(&mut self, millis: u64) {
        self.left = (self.left + self.per_second * millis).min(self.burst * ONE);
    }

    fn take(&mut self, count: u64) -> bool {
        let fits = self.left >= count * ONE;
        self.left -= if fits { count * ONE } else { 0 };
        fits
    }

    /// Milliseconds until so many are there.
    fn wait(&self, count: u64) -> u64 {
        (count * ONE).saturating_sub(self.left).div_ceil(self.per_second)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Ask(u32),
    /// Waits as long as is told, and asks again.
    AskUntil(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..400).prop_map(Step::Pass),
        (1_u32..12).prop_map(Step::Ask),
        (1_u32..12).prop_map(Step::AskUntil)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Rates that divide a second into whole nanoseconds: the oracle knows no others.
    #[test]
    fn operations_are_those_of_a_bucket(
        per_second in prop::sample::select(vec![1_u32, 2, 5, 8, 10, 20, 50, 100]),
        burst in 1_u32..12,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let kit = Kit::new(for_all(plan().operations_per_second(per_second).burst(burst)));
        let (stack, mut bucket, mut counts) = (kit.stack(), Bucket::new(per_second, burst), (0, 0));
        let ask = |count: u32| {
            let items = (0..count).map(|n| address("acme", &n.to_string())).collect();
            runtime.block_on(stack.dispatch(Remove { items, scope: Scope::default() }))
        };
        let pass = |bucket: &mut Bucket, millis: u64| {
            kit.clock.advance(Duration::from_millis(millis));
            bucket.pass(millis);
        };
        for step in steps {
            let (count, again) = match step {
                Step::Pass(millis) => {
                    pass(&mut bucket, millis);
                    continue;
                }
                Step::Ask(count) => (count, false),
                Step::AskUntil(count) => (count, true),
            };
            let fits = bucket.take(count.into());
            match ask(count) {
                Ok(_) => {
                    prop_assert!(fits);
                    counts.0 += u64::from(count);
                }
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    prop_assert!(count > burst && !fits);
                    counts.1 += u64::from(count);
                }
                Err(error) => {
                    prop_assert!(!fits && error.kind() == ErrorKind::Overloaded);
                    counts.1 += u64::from(count);
                    let wait = error.retry_after().unwrap();
                    let millis = wait.as_nanos().div_ceil(1_000_000) as u64;
                    prop_assert_eq!(millis, bucket.wait(count.into()));
                    if again {
                        pass(&mut bucket, millis);
                        prop_assert!(bucket.take(count.into()) && ask(count).is_ok(), "it suffices");
                        counts.0 += u64::from(count);
                    }
                }
            }
        }
        let usage = kit.tenants.usage(&tenant("acme"));
        prop_assert_eq!((usage.operations, usage.refused_operations), counts);
    }
}
