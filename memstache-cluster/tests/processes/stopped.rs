//! A node that is stopped for longer than it takes to be missed, and goes on.

use std::{thread, time::Duration};

use rustix::process::Signal;

use crate::{
    cluster::{AGREED_WITHIN, agreed, keys_of, millis, now, since, start},
    node::PLAIN,
    process::Process,
};

/// How long the others may take to do without it: suspicion, death, and what a busy machine takes.
const MISSED_WITHIN: Duration = Duration::from_secs(12);

/// Repeats a call until it is done.
fn done(node: &Process, what: &str) {
    let began = now();
    loop {
        match node.ask(what).as_str() {
            "done" => return,
            answer => assert!(since(began) < MISSED_WITHIN, "{what} is still answered with {answer}"),
        }
        thread::sleep(millis(20));
    }
}

#[test]
fn a_node_that_was_stopped_for_longer_than_the_suspicion_brings_nothing_back() {
    let nodes = start(3, true);
    let keys = keys_of(&nodes[2], &nodes, PLAIN, "k", 20);
    keys.iter().for_each(|key| done(&nodes[0], &format!("put {PLAIN} {key} old")));

    nodes[2].signal(Signal::STOP);
    let missed = agreed(&[&nodes[0], &nodes[1]], MISSED_WITHIN);
    let (deleted, changed) = keys.split_at(10);
    deleted.iter().for_each(|key| done(&nodes[0], &format!("delete {PLAIN} {key}")));
    changed.iter().for_each(|key| done(&nodes[1], &format!("put {PLAIN} {key} new")));
    nodes[2].signal(Signal::CONT);

    let began = now();
    let all: Vec<&Process> = nodes.iter().collect();
    let back = thread::scope(|scope| {
        let agree = scope.spawn(|| agreed(&all, AGREED_WITHIN));
        while !agree.is_finished() {
            nodes.iter().for_each(|node| assert_not_old(node, deleted, changed));
        }
        agree.join().unwrap()
    });
    println!("it was missed after {missed:?}; after it went on, all agreed within {back:?}");
    // All answer, as soon as those who own keys anew have asked those who did.
    while nodes.iter().any(|node| changed.iter().any(|key| node.ask(&format!("get {PLAIN} {key}")) != "value new")) {
        assert!(since(began) < AGREED_WITHIN, "what was written meanwhile is not answered by all");
        nodes.iter().for_each(|node| assert_not_old(node, deleted, changed));
    }
    nodes.iter().for_each(|node| assert_not_old(node, deleted, changed));
}

fn assert_not_old(node: &Process, deleted: &[String], changed: &[String]) {
    for key in deleted {
        let seen = node.ask(&format!("get {PLAIN} {key}"));
        assert!(seen == "none" || seen.starts_with("error"), "{} answers {seen} for a deleted key", node.setup.name);
    }
    for key in changed {
        let seen = node.ask(&format!("get {PLAIN} {key}"));
        assert!(seen != "value old", "{} answers {seen} for a key that has changed", node.setup.name);
    }
}
