//! Nobody owns much more than its share.

use memstache_cluster::{PARTITIONS, Partition, Table};

use crate::kit::nodes;

/// What each member owns, as a fraction of its fair share: the least and the most.
fn shares(count: usize, weights: &[u16]) -> (f64, f64) {
    let nodes = nodes(count, weights);
    let table = Table::build(&nodes).unwrap();
    let total: f64 = nodes.iter().map(|(_, weight)| f64::from(weight.get())).sum();
    let mut owned = vec![0_u32; count];
    for partition in Partition::all() {
        let owner = table.owner(partition).unwrap();
        owned[table.nodes().binary_search_by_key(&owner, |(id, _)| *id).unwrap()] += 1;
    }
    let shares = owned.iter().zip(table.nodes()).map(|(owned, (_, weight))| {
        let fair = PARTITIONS as f64 * f64::from(weight.get()) / total;
        f64::from(*owned) / fair
    });
    shares.fold((f64::MAX, 0.0), |(least, most), share| (least.min(share), most.max(share)))
}

#[test]
fn nobody_owns_more_than_a_tenth_above_its_share() {
    for count in [2, 3, 10, 100, 1000] {
        for weights in [&[100][..], &[1, 2, 4], &[50, 100, 100, 200], &[1000, 1], &[1, 2, 3, 5, 7, 11, 13, 17, 1000]] {
            let (least, most) = shares(count, weights);
            assert!(most <= 1.1, "{count} of {weights:?}: {most}");
            assert!(least >= 0.0);
        }
    }
}

#[test]
fn weights_are_followed_from_below_too() {
    assert!(shares(10, &[100]).0 > 0.9);
    assert!(shares(10, &[1, 2, 4]).0 > 0.9);
    assert!(shares(100, &[100]).0 > 0.75);
    assert!(shares(100, &[50, 100, 200]).0 > 0.65);
}

#[test]
fn above_a_thousand_members_it_is_one_partition_more() {
    let nodes = nodes(1500, &[100]);
    let table = Table::build(&nodes).unwrap();
    let most = nodes.iter().map(|(id, _)| table.owned_by(*id).count()).max().unwrap();
    assert!(most as f64 <= PARTITIONS as f64 / 1500.0 * 1.1 + 1.0, "{most}");
}
