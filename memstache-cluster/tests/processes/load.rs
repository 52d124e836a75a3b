//! Callers who go on while nodes come and go.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

use memstache_core::Tick;

use crate::{
    cluster::{millis, now, since},
    process::Process,
};

/// Between two calls of a caller.
const PACE: Duration = millis(3);

/// One call and what became of it.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) call: String,
    pub(crate) answer: String,
    pub(crate) ended: Tick,
    pub(crate) took: Duration,
}

impl Called {
    pub(crate) fn failed(&self) -> bool {
        self.answer.starts_with("error") || self.answer == "gone"
    }
}

/// Makes these calls through a node, over and over, until it is over.
pub(crate) fn call(node: &Process, calls: &[String], over: &AtomicBool) -> Vec<Called> {
    let mut called = Vec::new();
    for call in calls.iter().cycle() {
        if over.load(SeqCst) {
            break;
        }
        let began = now();
        let answer = node.ask(call);
        called.push(Called { call: call.clone(), answer, ended: now(), took: since(began) });
        thread::sleep(PACE);
    }
    called
}

/// What failed of these, in words.
pub(crate) fn failures(called: &[Called]) -> Vec<String> {
    called.iter().filter(|called| called.failed()).map(|called| format!("{}: {}", called.call, called.answer)).collect()
}
