//! Lists of members.

use memstache_cluster::{NodeId, NodeName, Weight};

/// So many members named by their addresses, with these weights in turn.
pub(crate) fn nodes(count: usize, weights: &[u16]) -> Vec<(NodeId, Weight)> {
    (0..count).map(|n| node(n, weights[n % weights.len()])).collect()
}

/// The member of that number.
pub(crate) fn node(n: usize, weight: u16) -> (NodeId, Weight) {
    let name: NodeName = format!("10.{}.{}.{}:3320", n >> 16, n >> 8 & 255, n & 255).parse().unwrap();
    (NodeId::of(&name), Weight::new(weight).unwrap())
}
