//! Who owns what.

use serde::Serialize;

use super::{part, peers::owned};
use crate::{
    Engine,
    placement::{PARTITIONS, Partition},
};

/// The table of owners.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Partitions {
    count: usize,
    /// The hash of the list of owners, as text.
    epoch: String,
    owners: Vec<Owner>,
    /// For each partition, whose it is: a place in `owners`.
    map: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct Owner {
    id: String,
    name: Option<String>,
    weight: u16,
    partitions: u64,
    share: f64,
    /// Its weight by the weight of all.
    fair_share: f64,
}

/// Tells who owns what; nobody owns anything where a node stands alone.
pub(in crate::admin) fn partitions(engine: &Engine) -> Partitions {
    let view = engine.node.cluster().map(|cluster| cluster.view());
    let Some(view) = view else {
        return Partitions { count: PARTITIONS, epoch: format!("{:016x}", 0), owners: Vec::new(), map: Vec::new() };
    };
    let nodes = view.table.nodes();
    let all: u64 = nodes.iter().map(|(_, weight)| u64::from(weight.get())).sum();
    let owners = nodes.iter().zip(owned(&view)).map(|((id, weight), partitions)| Owner {
        id: id.to_string(),
        name: view.members.get(*id).map(|member| member.name.as_str().to_owned()),
        weight: weight.get(),
        partitions,
        share: part(partitions as f64, PARTITIONS as f64).unwrap_or_default(),
        fair_share: part(weight.get().into(), all as f64).unwrap_or_default(),
    });
    let place = |partition| {
        let owner = view.table.owner(partition)?;
        nodes.binary_search_by_key(&owner, |(id, _)| *id).ok()
    };
    Partitions {
        count: PARTITIONS,
        epoch: format!("{:016x}", view.table.epoch()),
        owners: owners.collect(),
        map: Partition::all().filter_map(place).collect(),
    }
}
