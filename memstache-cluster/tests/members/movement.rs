//! What moves when a member comes, goes, or changes its weight.

use memstache_cluster::{Change, NodeId, PARTITIONS, Table, Weight};
use proptest::prelude::*;

use crate::kit::{node, nodes};

/// Partitions that the changed member neither gained nor lost: 5 % is the mark.
fn beside(before: &[(NodeId, Weight)], after: &[(NodeId, Weight)], changed: NodeId) -> f64 {
    let (before, after) = (Table::build(before).unwrap(), Table::build(after).unwrap());
    assert_ne!(before.epoch(), after.epoch());
    let change = Change::between(&before, &after);
    let of_changed = change.gained(changed).count() + change.lost(changed).count();
    (change.len() - of_changed) as f64 / PARTITIONS as f64
}

#[test]
fn hardly_anything_else_moves() {
    for count in [2, 3, 10, 100, 1000] {
        for weights in [&[100][..], &[1, 2, 4], &[1000, 500, 100]] {
            let few = nodes(count, weights);
            let mut more = few.clone();
            more.push(node(count, 100.min(weights[0])));
            let new = more[count].0;
            let (joined, left) = (beside(&few, &more, new), beside(&more, &few, new));
            let mut heavier = few.clone();
            heavier[0].1 = Weight::new(heavier[0].1.get() / 2 + 1).unwrap();
            let weighed = if heavier == few { 0.0 } else { beside(&few, &heavier, few[0].0) };
            let most = joined.max(left).max(weighed);
            assert!(most <= 0.05, "{count} of {weights:?}: joined {joined}, left {left}, weighed {weighed}");
        }
    }
}

#[test]
fn every_step_of_a_growing_cluster_is_small() {
    // Where whole numbers of partitions change, many members would give one away at once if all came to it together.
    let mut worst: f64 = 0.0;
    for count in (60..75).chain(168..178).chain(990..1012) {
        worst = worst.max(beside(&nodes(count, &[100]), &nodes(count + 1, &[100]), node(count, 100).0));
    }
    assert!(worst <= 0.02, "{worst}");
}

#[test]
fn who_stays_loses_only_to_the_new_one_in_a_small_cluster() {
    for count in [1, 2, 3, 5, 8] {
        let (few, more) = (nodes(count, &[100]), nodes(count + 1, &[100]));
        let change = Change::between(&Table::build(&few).unwrap(), &Table::build(&more).unwrap());
        assert_eq!(change.gained(more[count].0).count(), change.len(), "{count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_the_list_does_not_matter(
        (list, shuffled) in proptest::collection::btree_map(any::<u64>(), 1..=1000_u16, 0..40)
            .prop_map(|map| map.into_iter().map(|(id, w)| (NodeId(id), Weight::new(w).unwrap())).collect::<Vec<_>>())
            .prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        let (a, b) = (Table::build(&list).unwrap(), Table::build(&shuffled).unwrap());
        prop_assert_eq!(a.epoch(), b.epoch());
        prop_assert!(a == b);
        prop_assert!(Change::between(&a, &b).is_empty());
    }

    #[test]
    fn any_ids_and_weights_are_balanced_and_stable(
        map in proptest::collection::btree_map(any::<u64>(), 1..=1000_u16, 2..60),
        gone in any::<proptest::sample::Index>(),
    ) {
        let list: Vec<_> = map.into_iter().map(|(id, w)| (NodeId(id), Weight::new(w).unwrap())).collect();
        let table = Table::build(&list).unwrap();
        let total: f64 = list.iter().map(|(_, w)| f64::from(w.get())).sum();
        for (id, weight) in &list {
            let fair = PARTITIONS as f64 * f64::from(weight.get()) / total;
            prop_assert!(table.owned_by(*id).count() as f64 <= fair * 1.1);
        }
        let mut fewer = list.clone();
        let (gone, _) = fewer.remove(gone.index(list.len()));
        prop_assert!(beside(&list, &fewer, gone) <= 0.05);
    }

    #[test]
    fn the_ranking_begins_with_the_owner_and_names_each_once(
        map in proptest::collection::btree_map(any::<u64>(), 1..=1000_u16, 1..30),
        partition in 0..PARTITIONS as u16,
        n in 0..40_usize,
    ) {
        let list: Vec<_> = map.into_iter().map(|(id, w)| (NodeId(id), Weight::new(w).unwrap())).collect();
        let table = Table::build(&list).unwrap();
        let partition = memstache_cluster::Partition::new(partition).unwrap();
        let ranked = table.ranked(partition, n);
        prop_assert_eq!(ranked.len(), n.min(list.len()));
        prop_assert_eq!(ranked.first().copied(), table.owner(partition).filter(|_| n > 0));
        let mut each = ranked.clone();
        each.sort();
        each.dedup();
        prop_assert_eq!(each.len(), ranked.len());
        // A shorter ranking is the beginning of a longer one.
        prop_assert!(table.ranked(partition, 64).starts_with(&ranked));
    }
}

#[test]
fn the_second_of_the_ranking_is_the_owner_when_the_first_is_gone() {
    let list = nodes(10, &[100]);
    let table = Table::build(&list).unwrap();
    let mut same = 0;
    for partition in memstache_cluster::Partition::all().step_by(64) {
        let ranked = table.ranked(partition, 2);
        let without: Vec<_> = list.iter().filter(|(id, _)| *id != ranked[0]).copied().collect();
        same += usize::from(Table::build(&without).unwrap().owner(partition) == Some(ranked[1]));
    }
    // All but those for which the second has no room.
    assert!(same >= 240, "{same} of 256");
}

#[test]
fn the_edges_are_defined() {
    let partition = memstache_cluster::partition_of(b"k");
    let none = Table::build(&[]).unwrap();
    assert_eq!(none, Table::default());
    assert_eq!((none.owner(partition), none.ranked(partition, 3)), (None, Vec::new()));

    let one = nodes(1, &[1]);
    let alone = Table::build(&one).unwrap();
    assert_eq!(alone.owned_by(one[0].0).count(), PARTITIONS);
    assert_eq!(alone.ranked(partition, 3), [one[0].0]);
    assert_eq!(Change::between(&none, &alone).len(), PARTITIONS);

    let error = Table::build(&[one[0], node(1, 3), one[0]]).unwrap_err().to_string();
    assert!(error.starts_with("members of a table must be each named once, but"), "{error}");
    let many: Vec<_> = (0..65_536).map(|id| (NodeId(id), Weight::default())).collect();
    let error = Table::build(&many).unwrap_err().to_string();
    assert_eq!(error, "members of a table must be at most 65535, but 65536 was given");
}
