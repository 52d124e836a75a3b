//! What the machine does, rule by rule.

use std::time::Duration;

use super::super::*;
use crate::{
    clock::Tick,
    error::{Error, ErrorKind},
};

const START: Tick = Tick::from_millis(1_000_000);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn source() -> Breaker {
    Breaker::new(BreakerConfig::source()).unwrap()
}

fn call(breaker: &mut Breaker, verdict: Verdict, now: Tick) -> Option<Transition> {
    let permit = breaker.try_call(now).unwrap();
    breaker.record(permit, verdict, now)
}

fn opened(mut breaker: Breaker, now: Tick) -> Breaker {
    for _ in 0..5 {
        call(&mut breaker, Verdict::Failure, now);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_for_thirty_seconds() {
    let mut breaker = source();
    for _ in 0..4 {
        assert_eq!(call(&mut breaker, Verdict::Failure, START), None);
    }
    let opened = Transition { from: BreakerState::Closed, to: BreakerState::Open };
    assert_eq!(call(&mut breaker, Verdict::Failure, START), Some(opened));
    assert_eq!(breaker.try_call(START.after(secs(29))).unwrap_err().retry_after, secs(1));
    let probe = breaker.try_call(START.after(secs(30))).unwrap();
    assert!(probe.is_probe());
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}

#[test]
fn a_success_starts_the_count_anew_and_what_says_nothing_does_not() {
    let mut breaker = source();
    for _ in 0..4 {
        call(&mut breaker, Verdict::Failure, START);
    }
    call(&mut breaker, Verdict::Success, START);
    for _ in 0..4 {
        call(&mut breaker, Verdict::Failure, START);
        call(&mut breaker, Verdict::Ignored, START);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    call(&mut breaker, Verdict::Failure, START);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_rate_opens_it_only_once_there_are_enough_calls() {
    let config = BreakerConfig::source().without_consecutive_failures().with_failure_rate(0.5, 10, secs(10));
    let mut breaker = Breaker::new(config).unwrap();
    for n in 0..9 {
        call(&mut breaker, if n % 2 == 0 { Verdict::Failure } else { Verdict::Success }, START);
    }
    assert_eq!(breaker.state(), BreakerState::Closed, "five of nine, of which ten are wanted");
    // What is over is forgotten.
    let later = START.after(secs(11));
    call(&mut breaker, Verdict::Failure, later);
    let snapshot = breaker.snapshot(later);
    assert_eq!((snapshot.window_calls, snapshot.window_failures), (1, 1));
    for _ in 0..5 {
        call(&mut breaker, Verdict::Success, later);
    }
    for _ in 0..3 {
        call(&mut breaker, Verdict::Failure, later);
    }
    assert_eq!(breaker.state(), BreakerState::Closed, "four of nine");
    call(&mut breaker, Verdict::Failure, later);
    assert_eq!(breaker.state(), BreakerState::Open, "five of ten");
}

#[test]
fn a_failed_probe_opens_it_again_and_the_time_of_the_failure_stays() {
    let mut breaker = opened(source(), START);
    let now = START.after(secs(30));
    let probe = breaker.try_call(now).unwrap();
    let reopened = Transition { from: BreakerState::HalfOpen, to: BreakerState::Open };
    assert_eq!(breaker.record(probe, Verdict::Failure, now), Some(reopened));
    assert_eq!(breaker.try_call(now).unwrap_err().retry_after, secs(30));
    let snapshot = breaker.snapshot(now);
    assert_eq!((snapshot.failing_since, snapshot.opened, snapshot.refused), (Some(START), 1, 1));
    assert_eq!(snapshot.consecutive_failures, 6);
}

#[test]
fn it_takes_as_many_probes_as_are_asked_for() {
    let config = BreakerConfig::source().with_probes(3);
    let mut breaker = opened(Breaker::new(config).unwrap(), START);
    let now = START.after(secs(30));
    let probes: Vec<Permit> = (0..3).map(|_| breaker.try_call(now).unwrap()).collect();
    assert!(breaker.try_call(now).is_err());
    let mut probes = probes.into_iter();
    let mut next = |verdict| breaker.record(probes.next().unwrap(), verdict, now);
    assert_eq!(next(Verdict::Success), None);
    assert_eq!(next(Verdict::Ignored), None);
    assert_eq!(next(Verdict::Success), None);
    let last = breaker.try_call(now).unwrap();
    assert!(breaker.try_call(now).is_err(), "two succeeded, one is under way");
    let closed = Transition { from: BreakerState::HalfOpen, to: BreakerState::Closed };
    assert_eq!(breaker.record(last, Verdict::Success, now), Some(closed));
    assert_eq!(breaker.snapshot(now).consecutive_failures, 0);
}

#[test]
fn a_probe_whose_caller_left_makes_room_for_the_next() {
    let mut breaker = opened(source(), START);
    let now = START.after(secs(30));
    let probe = breaker.try_call(now).unwrap();
    assert_eq!(breaker.record(probe, Verdict::Ignored, now), None);
    assert!(breaker.try_call(now).unwrap().is_probe());
}

#[test]
fn a_probe_that_is_lost_holds_the_next_up_for_a_while_only() {
    let mut breaker = opened(source(), START);
    let now = START.after(secs(30));
    let lost = breaker.try_call(now).unwrap();
    assert_eq!(breaker.try_call(now.after(secs(29))).unwrap_err().retry_after, secs(1));
    let later = now.after(secs(30));
    let probe = breaker.try_call(later).unwrap();
    assert_eq!(breaker.record(lost, Verdict::Failure, later), None, "it was given up");
    breaker.record(probe, Verdict::Success, later);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn what_was_let_through_before_a_change_says_nothing_after_it() {
    let mut breaker = source();
    let (early, late) = (breaker.try_call(START).unwrap(), breaker.try_call(START).unwrap());
    let mut breaker = opened(breaker, START);
    assert_eq!(breaker.record(early, Verdict::Success, START), None);
    let now = START.after(secs(30));
    let probe = breaker.try_call(now).unwrap();
    assert_eq!(breaker.record(late, Verdict::Failure, now), None);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.record(probe, Verdict::Success, now);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn one_that_is_probed_apart_lets_no_request_through_before_it_is_closed() {
    let mut breaker = opened(Breaker::new(BreakerConfig::leaf()).unwrap(), START);
    assert_eq!(breaker.probe_at(), Some(START.after(Duration::from_millis(250))));
    assert!(breaker.try_probe(START.after(Duration::from_millis(249))).is_none());
    let now = START.after(secs(60));
    assert!(breaker.try_call(now).is_err());
    let probe = breaker.try_probe(now).unwrap();
    assert!(breaker.try_call(now).is_err() && breaker.try_probe(now).is_none());
    breaker.record(probe, Verdict::Success, now);
    assert!(breaker.try_call(now).is_ok() && breaker.try_probe(now).is_none());
}

#[test]
fn time_that_went_back_is_waited_for_no_longer_than_usual() {
    let mut breaker = opened(source(), START);
    let back = Tick::from_millis(5);
    assert_eq!(breaker.try_call(back).unwrap_err().retry_after, secs(30));
    assert!(breaker.try_call(back.after(secs(30))).unwrap().is_probe());
}

#[test]
fn settings_out_of_their_limits_are_all_named() {
    let text = |config: BreakerConfig| Breaker::new(config).unwrap_err().to_string();
    let base = BreakerConfig::source();
    assert_eq!(
        text(base.with_consecutive_failures(0)),
        "breaker consecutive_failures must be at least 1, but 0 was given"
    );
    assert_eq!(
        text(base.without_consecutive_failures().without_failure_rate()),
        "breaker must be opened by consecutive failures or a failure rate, but neither was given"
    );
    for ratio in [0.0, -1.0, 1.1, f64::NAN] {
        assert_eq!(
            text(base.with_failure_rate(ratio, 1, secs(1))),
            format!("breaker failure_rate must be above 0 and at most 1, but {ratio} was given")
        );
    }
    assert_eq!(text(base.with_open_for(Duration::ZERO)), "breaker open_for must be above zero, but zero was given");
    assert_eq!(text(base.with_probes(1001)), "breaker probes must be from 1 to 1000, but 1001 was given");
    let all = base.with_failure_rate(2.0, 0, Duration::ZERO).with_probes(0).with_open_for(Duration::ZERO);
    assert_eq!(all.wrong().len(), 5);
}

#[test]
fn misses_rejected_values_and_cancellations_are_no_failures() {
    let of = |kind| Verdict::of(&Error::new(kind, "x"));
    for kind in [ErrorKind::NotFound, ErrorKind::Rejected, ErrorKind::Conflict] {
        assert_eq!(of(kind), Verdict::Success, "{kind:?}");
    }
    for kind in [ErrorKind::Invalid, ErrorKind::TooLarge, ErrorKind::Unsupported, ErrorKind::Overloaded] {
        assert_eq!(of(kind), Verdict::Ignored, "{kind:?}");
    }
    for kind in [ErrorKind::Timeout, ErrorKind::Unknown, ErrorKind::Unavailable, ErrorKind::Io, ErrorKind::Load] {
        assert_eq!(of(kind), Verdict::Failure, "{kind:?}");
    }
}

#[test]
fn a_refusal_says_when_to_try_again() {
    let mut breaker = opened(source(), START);
    let error = Error::from(breaker.try_call(START).unwrap_err());
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(secs(30))));
}

#[test]
fn a_loaders_own_error_is_judged_by_what_it_is() {
    let load = |source: Error| Error::new(ErrorKind::Load, "the loader failed").with_source(source);
    let of = |kind| Verdict::of(&load(Error::new(kind, "x")));
    assert_eq!(
        [ErrorKind::NotFound, ErrorKind::Overloaded, ErrorKind::Unavailable].map(of),
        [Verdict::Success, Verdict::Ignored, Verdict::Failure]
    );
    assert_eq!(Verdict::of(&load(load(Error::new(ErrorKind::NotFound, "x")))), Verdict::Success);
    let foreign = Error::new(ErrorKind::Load, "the loader failed").with_source(std::fmt::Error);
    assert_eq!(Verdict::of(&foreign), Verdict::Failure);
}

#[test]
fn its_own_refusal_is_no_failure_and_that_of_another_is() {
    let [own, other] = [(); 2].map(|()| CircuitBreaker::new(BreakerConfig::source()).unwrap());
    let open = |breaker: &CircuitBreaker| {
        for _ in 0..5 {
            breaker.try_call().unwrap().record(Verdict::Failure);
        }
        Error::from(breaker.try_call().unwrap_err())
    };
    let [of_own, of_other] = [open(&own), open(&other)];
    let load = |source: Error| Error::new(ErrorKind::Load, "the loader failed").with_source(source);
    assert_eq!(own.judge(&load(of_own)), Verdict::Ignored);
    assert_eq!(own.judge(&load(of_other.clone())), Verdict::Failure);
    assert!(of_other.find_source::<Refused>().is_some());
}

#[tokio::test]
async fn a_call_that_runs_may_be_the_probe_of_one_that_is_probed_apart() {
    let clock = crate::testing::ManualClock::new();
    let breaker = CircuitBreaker::new(BreakerConfig::leaf()).unwrap().with_clock(clock.clone());
    let failed = || async { Err::<(), _>(Error::new(ErrorKind::Unavailable, "x")) };
    for _ in 0..5 {
        assert!(breaker.run(failed()).await.is_err());
    }
    assert!(breaker.run(async { Ok(1) }).await.is_err());
    clock.advance(Duration::from_millis(250));
    assert_eq!(breaker.run(async { Ok(1) }).await.unwrap(), 1);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_call_within_a_call_is_a_part_of_it() {
    let clock = crate::testing::ManualClock::new();
    let breaker = CircuitBreaker::new(BreakerConfig::source()).unwrap().with_clock(clock.clone());
    let failed = || async { Err::<u8, _>(Error::new(ErrorKind::Unavailable, "x")) };
    for _ in 0..5 {
        assert!(breaker.run(failed()).await.is_err());
    }
    clock.advance(secs(30));
    let nested = breaker.run(async { breaker.run(async { Ok(1) }).await });
    assert_eq!(nested.await.unwrap(), 1);
    assert_eq!(breaker.state(), BreakerState::Closed);
    for _ in 0..4 {
        assert!(breaker.run(breaker.run(failed())).await.is_err());
    }
    assert_eq!(breaker.snapshot().consecutive_failures, 4, "each counted once");
}
