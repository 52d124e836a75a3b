//! Nodes that start at once.

use std::thread;

use crate::{
    cluster::{loads, start},
    node::SOURCED,
};

#[test]
fn five_nodes_that_start_at_once_are_one_cluster_in_which_each_key_is_loaded_once() {
    const KEYS: u64 = 300;
    let nodes = start(5, false);
    let before = loads(&nodes);
    thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(move || {
                for key in 0..KEYS {
                    assert_eq!(node.ask(&format!("get {SOURCED} key-{key}")), format!("value key-{key}"));
                }
            });
        }
    });
    assert_eq!(loads(&nodes) - before, KEYS);
    for node in nodes {
        assert_eq!(node.ask("stop"), "done");
    }
}
