//! Plays the committed corpus to a node, on every toolchain.

use std::{fs, path::Path};

use memstache_cluster::membership::fuzzing;

#[test]
fn gossip_stands_whatever_comes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/gossip");
    let (mut accepted, mut refused) = (0, 0);
    for file in fs::read_dir(corpus).expect("the corpus is committed") {
        let bytes = fs::read(file.expect("a file of the corpus").path()).expect("a readable file");
        *(if fuzzing::gossip(&bytes) { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted + refused >= 200, "{} inputs", accepted + refused);
    assert!(accepted >= 50 && refused >= 50, "{accepted} accepted, {refused} refused");
}

#[test]
fn what_nodes_say_is_accepted() {
    let seeds = fuzzing::seeds();
    let accepted = seeds.iter().filter(|seed| fuzzing::gossip(seed)).count();
    assert!(accepted >= 50 && seeds.len() >= 150, "{accepted} of {}", seeds.len());
}
