//! The suite that every store and every whole stack must pass.
//!
//! Each case is named after its rule and is run twice: with reads that near caches may answer, and with reads that
//! only the authority answers. A case that does not end is a failure, not a hang.
//!
//! A store of your own, on a manual clock:
//!
//! ```
//! use memstache_core::ErasedService;
//! use memstache_core::testing::{ManualClock, NaiveStore, conformance::{self, ManualSubject}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let clock = ManualClock::new();
//! let store = NaiveStore::new(clock.clone()); // Yours goes here.
//! let leaf = store.clone();
//! // Called for every handle; a stack with a near cache gets a new one here.
//! let subject = ManualSubject::new(clock, move || ErasedService::new(store.service())).with_coherence(leaf);
//! conformance::run(&subject).await.assert_ok();
//! # }
//! ```
//!
//! What a store cannot do is said by [`Capabilities`], and the cases that need it are reported as skipped. A store with
//! a real clock implements [`Subject`] by hand.

mod basics;
mod batch;
mod case;
mod coherence;
mod conditions;
mod expect;
mod expiry;
mod invalidation;
mod leases;
mod races;
mod report;
mod subject;
mod waiting;
mod watchdog;

use tokio::time::timeout;

use self::{
    case::Case,
    expect::{Failure, Outcome},
    subject::AnySubject,
    watchdog::watched,
};
pub use self::{
    report::{CaseResult, Report, Verdict},
    subject::{Capabilities, ManualSubject, Subject},
};
use crate::{clock::BoxFuture, request::Consistency};

/// A rule and how it is checked.
struct Rule {
    name: &'static str,
    check: for<'a> fn(&'a Case<'a>) -> BoxFuture<'a, Outcome>,
}

/// Lists functions as rules of the same names.
macro_rules! rules {
    ($($rule:ident),* $(,)?) => {
        pub(super) const RULES: &[super::Rule] =
            &[$(super::Rule { name: stringify!($rule), check: |case| Box::pin($rule(case)) }),*];
    };
}
use rules;

const TOPICS: &[&[Rule]] = &[
    basics::RULES,
    expiry::RULES,
    leases::RULES,
    waiting::RULES,
    conditions::RULES,
    invalidation::RULES,
    batch::RULES,
    races::RULES,
    coherence::RULES,
];

/// Returns the name of every case.
pub fn cases() -> Vec<&'static str> {
    every_rule().map(|rule| rule.name).collect()
}

fn every_rule() -> impl Iterator<Item = &'static Rule> {
    TOPICS.iter().copied().flatten()
}

/// Runs every case over a subject, for near and for authority reads.
///
/// Needs a current-thread tokio runtime with time enabled (`#[tokio::test]` has one): cases build exact interleavings.
///
/// # Panics
/// On another runtime.
pub async fn run(subject: &impl Subject) -> Report {
    assert_runtime();
    let mut report = Report::default();
    for consistency in [Consistency::Near, Consistency::Authority] {
        for rule in every_rule() {
            run_rule(subject, rule, consistency, &mut report).await;
        }
    }
    report
}

fn assert_runtime() {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    let exact = matches!(flavor, tokio::runtime::RuntimeFlavor::CurrentThread);
    assert!(exact, "the conformance suite needs a current-thread runtime");
}

/// Runs the case of one name, for near and for authority reads; nothing if there is none.
///
/// # Panics
/// Like [`run`].
pub async fn run_case(subject: &impl Subject, name: &str) -> Report {
    assert_runtime();
    let mut report = Report::default();
    for consistency in [Consistency::Near, Consistency::Authority] {
        for rule in every_rule().filter(|rule| rule.name == name) {
            run_rule(subject, rule, consistency, &mut report).await;
        }
    }
    report
}

async fn run_rule(subject: &impl Subject, rule: &Rule, consistency: Consistency, report: &mut Report) {
    let capabilities = subject.capabilities();
    let any: &dyn AnySubject = subject;
    let case = Case::new(any, consistency, capabilities);
    let verdict =
        match timeout(capabilities.bound, watched((rule.check)(&case), capabilities.bound)).await.ok().flatten() {
            Some(Ok(())) => Verdict::Passed,
            Some(Err(Failure::Broken(text))) => Verdict::Failed(text),
            Some(Err(Failure::Skipped(reason))) => Verdict::Skipped(reason),
            None => Verdict::Failed("did not end in time".to_owned()),
        };
    report.push(rule.name, consistency, verdict);
}
