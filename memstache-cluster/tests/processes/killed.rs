//! A node that is killed under load, and comes back.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

use crate::{
    cluster::{AGREED_WITHIN, agreed, keys_of, millis, now, since, start},
    load::{call, failures},
    node::{PLAIN, SOURCED, Setup},
    process::{Process, free},
};

/// The deadline of reads, with what a busy machine takes to notice it.
const DEADLINE: Duration = Duration::from_millis(5_500);
/// A node that is gone is suspected after 3 s at the latest, and 3 s later its keys are written; the rest is for busy machines.
const WRITTEN_WITHIN: Duration = Duration::from_secs(9);

fn gets(keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| format!("get {SOURCED} {key}")).collect()
}

fn puts(keys: &[String], value: &str) -> Vec<String> {
    keys.iter().map(|key| format!("put {PLAIN} {key} {value}")).collect()
}

#[test]
fn a_node_that_is_killed_under_load_costs_its_keys_seconds_and_the_others_nothing() {
    let mut nodes = start(3, false);
    let of = |node: usize, keyspace: &str, from: &str| keys_of(&nodes[node], &nodes, keyspace, from, 10);
    let mut others = gets(&of(0, SOURCED, "s"));
    others.extend(gets(&of(1, SOURCED, "s")));
    others.extend(puts(&of(0, PLAIN, "p"), "kept"));
    others.extend(puts(&of(1, PLAIN, "p"), "kept"));
    let (lost, lost_writes) = (gets(&of(2, SOURCED, "s")), puts(&of(2, PLAIN, "p"), "new"));
    let deleted = of(2, PLAIN, "deleted");
    for key in &deleted {
        assert_eq!(nodes[0].ask(&format!("put {PLAIN} {key} old")), "done");
    }
    let victim = nodes.pop().unwrap();

    let over = AtomicBool::new(false);
    let (kept, reads, writes, killed) = thread::scope(|scope| {
        let callers: Vec<_> = nodes.iter().map(|node| scope.spawn(|| call(node, &others, &over))).collect();
        let reads: Vec<_> = nodes.iter().map(|node| scope.spawn(|| call(node, &lost, &over))).collect();
        let writes: Vec<_> = nodes.iter().map(|node| scope.spawn(|| call(node, &lost_writes, &over))).collect();
        thread::sleep(millis(500));
        let killed = now();
        let setup = victim.kill();
        thread::sleep(WRITTEN_WITHIN + millis(500));
        over.store(true, SeqCst);
        let all = |callers: Vec<thread::ScopedJoinHandle<'_, _>>| {
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
        };
        (all(callers), all(reads), all(writes), (killed, setup))
    });
    let (killed, setup) = killed;
    assert_eq!(failures(&kept), Vec::<String>::new(), "the others' keys see nothing");
    assert_eq!(failures(&reads), Vec::<String>::new(), "the source answers for the lost one's keys");
    assert!(kept.len() > 500 && reads.len() > 100, "{} and {} calls", kept.len(), reads.len());
    let slowest = reads.iter().map(|read| read.took).max().unwrap();
    assert!(slowest < DEADLINE, "{slowest:?}");
    let last = writes.iter().filter(|write| write.failed()).map(|write| write.ended.since(killed)).max();
    let last = last.expect("for some time nobody owns them");
    assert!(last < WRITTEN_WITHIN, "a write of a lost key failed {last:?} after the kill");
    let counts = (kept.len(), reads.len(), writes.len());
    println!(
        "of {counts:?} calls none failed but writes of lost keys, until {last:?}; the slowest read took {slowest:?}"
    );

    // What the lost one held is gone: it comes back where it was, and then somewhere else.
    for key in &deleted {
        assert_eq!(nodes[1].ask(&format!("delete {PLAIN} {key}")), "done");
    }
    let again = come_back(&mut nodes, setup.clone(), &deleted);
    println!("it came back where it was, and all agreed after {again:?}");
    nodes.pop().unwrap().kill();
    let elsewhere = come_back(&mut nodes, Setup { peers: free(), gossip: free(), ..setup }, &deleted);
    println!("it came back elsewhere, and all agreed after {elsewhere:?}");
}

/// Starts a node again; returns how long it took until all agreed.
fn come_back(nodes: &mut Vec<Process>, setup: Setup, deleted: &[String]) -> Duration {
    let began = now();
    let node = Process::start(Setup { quorum: 1, ..setup });
    node.ready();
    nodes.push(node);
    // Whoever has the name last is it: nobody waits until the other is taken for dead.
    agreed(&nodes.iter().collect::<Vec<_>>(), AGREED_WITHIN * 2);
    let took = since(began);
    for node in nodes.iter() {
        for key in deleted {
            let seen = node.ask(&format!("get {PLAIN} {key}"));
            assert!(
                seen == "none" || seen.starts_with("error"),
                "{} answers {seen} for a deleted key",
                node.setup.name
            );
        }
        assert_eq!(node.ask(&format!("get {SOURCED} s0")), "value s0");
    }
    took
}
