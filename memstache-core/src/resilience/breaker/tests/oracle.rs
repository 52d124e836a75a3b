//! The machine against one that keeps all of history and counts it anew each time.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use crate::clock::Tick;

const OPEN_FOR: u64 = 2_000;
const WINDOW: u64 = 5_000;
const PROBES: usize = 2;
const CONSECUTIVE: usize = 4;
const LEAST: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Call,
    Probe,
    /// Ends one of the calls that are under way.
    End(prop::sample::Index, Verdict),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![3 => Just(Verdict::Failure), 3 => Just(Verdict::Success), 1 => Just(Verdict::Ignored)];
    let span = prop_oneof![4 => 0u64..400, 2 => 400u64..3_000, 1 => 3_000u64..20_000];
    let step = prop_oneof![
        6 => Just(Step::Call),
        1 => Just(Step::Probe),
        6 => (any::<prop::sample::Index>(), verdict).prop_map(|(index, verdict)| Step::End(index, verdict)),
        3 => span.prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..300)
}

fn config(probing: Probing) -> BreakerConfig {
    BreakerConfig::source()
        .with_consecutive_failures(CONSECUTIVE as u32)
        .with_failure_rate(0.5, LEAST as u64, Duration::from_millis(WINDOW))
        .with_open_for(Duration::from_millis(OPEN_FOR))
        .with_probes(PROBES as u32)
        .with_probing(probing)
}

/// All that happened.
#[derive(Default)]
struct Oracle {
    /// When, and whether it failed, of each call that counted since the breaker was last closed.
    calls: Vec<(u64, bool)>,
    /// When it opened, or opened again; `None` while it is closed.
    opened: Option<u64>,
    /// The probes since then, when each began and what it said; the ones that are lost are taken out.
    probes: Vec<(u64, Option<Verdict>)>,
    /// When the first probe began, or those that were lost were given up.
    probing: u64,
    /// Counts changes: a call of an earlier one is void.
    epoch: usize,
}

/// What the oracle remembers of a call that it let through.
struct Ticket {
    epoch: usize,
    probe: Option<usize>,
}

impl Oracle {
    fn call(&mut self, now: u64, requests_probe: bool) -> Option<Ticket> {
        if self.opened.is_none() {
            return Some(Ticket { epoch: self.epoch, probe: None });
        }
        if requests_probe { self.probe(now) } else { None }
    }

    fn probe(&mut self, now: u64) -> Option<Ticket> {
        if now < self.opened? + OPEN_FOR {
            return None;
        }
        if self.probes.is_empty() {
            self.epoch += 1;
            self.probing = now;
        }
        let counts = |said: &Option<Verdict>| matches!(said, None | Some(Verdict::Success));
        if self.probes.iter().filter(|(_, said)| counts(said)).count() >= PROBES {
            if now < self.probing + OPEN_FOR {
                return None;
            }
            self.epoch += 1;
            self.probing = now;
            self.probes.retain(|(_, said)| said.is_some());
        }
        self.probes.push((now, None));
        Some(Ticket { epoch: self.epoch, probe: Some(self.probes.len() - 1) })
    }

    fn end(&mut self, ticket: &Ticket, verdict: Verdict, now: u64) {
        if ticket.epoch != self.epoch {
            return;
        }
        let Some(probe) = ticket.probe else {
            if verdict != Verdict::Ignored {
                self.calls.push((now, verdict == Verdict::Failure));
            }
            if verdict == Verdict::Failure && self.is_enough(now) {
                self.open(now);
            }
            return;
        };
        self.probes[probe].1 = Some(verdict);
        if verdict == Verdict::Failure {
            return self.open(now);
        }
        if self.probes.iter().filter(|(_, said)| *said == Some(Verdict::Success)).count() >= PROBES {
            let epoch = self.epoch + 1;
            *self = Self { epoch, ..Self::default() };
        }
    }

    fn open(&mut self, now: u64) {
        self.epoch += 1;
        self.opened = Some(now);
        self.probes.clear();
    }

    fn is_enough(&self, now: u64) -> bool {
        let row = self.calls.iter().rev().take_while(|(_, failed)| *failed).count();
        let piece = WINDOW / 10;
        let recent: Vec<bool> =
            self.calls.iter().filter(|(at, _)| now / piece - at / piece < 10).map(|(_, failed)| *failed).collect();
        let failed = recent.iter().filter(|failed| **failed).count();
        row >= CONSECUTIVE || (recent.len() >= LEAST && failed * 2 >= recent.len())
    }

    fn state(&self) -> BreakerState {
        match (self.opened, self.probes.is_empty()) {
            (None, _) => BreakerState::Closed,
            (Some(_), true) => BreakerState::Open,
            (Some(_), false) => BreakerState::HalfOpen,
        }
    }
}

fn agree(steps: &[Step], probing: Probing) -> Result<(), TestCaseError> {
    let (mut breaker, mut oracle) = (Breaker::new(config(probing)).unwrap(), Oracle::default());
    let (mut now, mut under_way) = (1_000_000, Vec::new());
    for step in steps {
        let tick = Tick::from_millis(now);
        match step {
            Step::Pass(span) => now += span,
            Step::Call | Step::Probe => {
                let (permit, ticket) = if matches!(step, Step::Call) {
                    (breaker.try_call(tick).ok(), oracle.call(now, probing == Probing::Requests))
                } else {
                    (breaker.try_probe(tick), oracle.probe(now))
                };
                prop_assert_eq!(permit.is_some(), ticket.is_some());
                under_way.extend(permit.zip(ticket));
            }
            Step::End(index, verdict) if !under_way.is_empty() => {
                let (permit, ticket): (Permit, Ticket) = under_way.swap_remove(index.index(under_way.len()));
                breaker.record(permit, *verdict, tick);
                oracle.end(&ticket, *verdict, now);
            }
            Step::End(..) => {}
        }
        prop_assert_eq!(breaker.state(), oracle.state());
    }
    Ok(())
}

proptest! {
    #[test]
    fn it_does_what_the_oracle_does(steps in steps()) {
        agree(&steps, Probing::Requests)?;
    }

    #[test]
    fn it_does_what_the_oracle_does_when_it_is_probed_apart(steps in steps()) {
        agree(&steps, Probing::Apart)?;
    }

    /// Whatever time does, a probe is let through after the usual wait, and closes the breaker.
    #[test]
    fn time_that_jumps_does_no_harm(jumps in prop::collection::vec(any::<u64>(), 1..40), verdicts in any::<u64>()) {
        let mut breaker = Breaker::new(config(Probing::Requests)).unwrap();
        for (n, jump) in jumps.iter().enumerate() {
            let mut now = Tick::from_millis(*jump >> (n % 60));
            if let Ok(permit) = breaker.try_call(now) {
                let verdict = if verdicts >> (n % 64) & 1 == 0 { Verdict::Failure } else { Verdict::Success };
                breaker.record(permit, verdict, now);
            }
            let mut later = breaker.clone();
            if let Err(refused) = later.try_call(now) {
                prop_assert!(refused.retry_after <= Duration::from_millis(OPEN_FOR));
                now = now.after(Duration::from_millis(OPEN_FOR));
                for _ in 0..PROBES {
                    let probe = later.try_call(now);
                    prop_assert!(probe.is_ok());
                    later.record(probe.unwrap(), Verdict::Success, now);
                }
                prop_assert_eq!(later.state(), BreakerState::Closed);
            }
        }
    }
}
