//! Tables written down once: nodes of different versions and machines must agree.

use std::fmt::Write as _;

use memstache_cluster::{NodeId, Partition, Table, Weight};
use xxhash_rust::xxh3::Xxh3;

use crate::kit::nodes;

/// A line for a list: its name, its epoch, the hash of all owners, and the owners of four partitions.
fn line(name: &str, list: &[(NodeId, Weight)]) -> String {
    let table = Table::build(list).unwrap();
    let owner = |partition| table.owner(partition).map_or(0, |owner| owner.0);
    let mut all = Xxh3::new();
    for partition in Partition::all() {
        all.update(&owner(partition).to_le_bytes());
    }
    let mut line = format!("{name} {:016x} {:016x}", table.epoch(), all.digest());
    for number in [0, 1, 8191, 16383] {
        write!(line, " {:016x}", owner(Partition::new(number).unwrap())).unwrap();
    }
    line
}

#[test]
fn tables_are_what_they_always_were() {
    let small = |weights: &[u16]| -> Vec<_> {
        (1..).map(NodeId).zip(weights.iter().map(|weight| Weight::new(*weight).unwrap())).collect()
    };
    let every: Vec<_> = (1..=1000).collect();
    let lists = [
        ("none", Vec::new()),
        ("one", small(&[100])),
        ("two", small(&[100, 100])),
        ("two-far-apart", small(&[1000, 1])),
        ("three", small(&[100, 100, 100])),
        ("three-weighted", small(&[1, 2, 4])),
        ("ten-named", nodes(10, &[100])),
        ("ten-weighted", nodes(10, &[1, 10, 100, 1000])),
        ("hundred", nodes(100, &[100])),
        ("hundred-weighted", nodes(100, &[50, 100, 200])),
        ("thousand", nodes(1000, &[100])),
        ("thousand-weighted", nodes(1000, &every)),
        ("two-thousand", nodes(2000, &[1, 2])),
    ];
    let lines: String = lists.iter().map(|(name, list)| line(name, list) + "\n").collect();
    let golden = include_str!("../golden/placement.txt");
    assert_eq!(lines, golden, "tables differ from those written down; now they are\n{lines}");
}
