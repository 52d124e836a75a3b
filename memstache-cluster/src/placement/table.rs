//! Who owns what.

use std::fmt;

use memstache_core::{Error, Result};
use xxhash_rust::xxh3::Xxh3;

use super::{
    PARTITIONS, Partition,
    build::owners,
    partition_of,
    score::{Bid, draw, node_seed, partition_seed},
};
use crate::member::{MAX_MEMBERS, Members, NodeId, Weight};

/// The owners of all partitions, made from a list of members.
///
/// Made alike from the same list on every node, in whichever order it comes; [`epoch`](Self::epoch) tells whether two
/// nodes go by the same. A lookup is one hash and one index. Building takes about 1 ns for each pair of partition and member
/// (16 ms at 1,000 members): on an async runtime, build large tables on a blocking thread.
///
/// Up to 1,000 members none owns more than 1.1 times its fair share; above, up to one partition more. When a member comes,
/// goes or changes its weight, its share moves, and hardly anything else.
///
/// ```
/// use memstache_cluster::{NodeId, Table, Weight};
///
/// let (a, b) = (NodeId(1), NodeId(2));
/// let table = Table::build(&[(a, Weight::default()), (b, Weight::default())])?;
/// let owner = table.owner_of(b"acme:products:7").unwrap();
/// assert!(owner == a || owner == b);
/// assert_eq!(table.epoch(), Table::build(&[(b, Weight::default()), (a, Weight::default())])?.epoch());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    nodes: Vec<(NodeId, Weight)>,
    /// Places in `nodes`; all 0 if there are none.
    owners: Box<[u16; PARTITIONS]>,
    epoch: u64,
}

impl Table {
    /// Builds the table of these members. With none, nothing has an owner; with one, everything is its.
    ///
    /// Errors: `Invalid` if a member is named twice, or if there are more than 65,535.
    pub fn build(nodes: &[(NodeId, Weight)]) -> Result<Self> {
        if nodes.len() > MAX_MEMBERS {
            return Err(Error::invalid("members of a table", format_args!("at most {MAX_MEMBERS}"), nodes.len()));
        }
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        if let Some(twice) = nodes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::invalid("members of a table", "each named once", format_args!("{} twice", twice[0].0)));
        }
        Ok(Self::of_sorted(nodes))
    }

    /// Builds the table of those members that own keys, the active ones.
    pub fn of(members: &Members) -> Self {
        Self::of_sorted(members.active().map(|member| (member.id, member.weight)).collect())
    }

    fn of_sorted(nodes: Vec<(NodeId, Weight)>) -> Self {
        let numbers: Vec<_> = nodes.iter().map(|(id, weight)| (id.0, weight.get())).collect();
        let owners = if nodes.is_empty() { vec![0; PARTITIONS] } else { owners(&numbers) };
        let owners = owners.into_boxed_slice().try_into().expect("one for each partition");
        Self { nodes, owners, epoch: epoch(&numbers) }
    }

    /// Returns the hash of the list of members: equal for equal tables, on every node.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the members, in the order of their ids.
    pub fn nodes(&self) -> &[(NodeId, Weight)] {
        &self.nodes
    }

    /// Returns who owns a partition; nobody if the table has no members.
    #[inline]
    pub fn owner(&self, partition: Partition) -> Option<NodeId> {
        self.nodes.get(usize::from(self.owners[partition.index()])).map(|(id, _)| *id)
    }

    /// Returns who owns a stored key.
    #[inline]
    pub fn owner_of(&self, stored: &[u8]) -> Option<NodeId> {
        self.owner(partition_of(stored))
    }

    /// Returns whether this member owns a partition.
    #[inline]
    pub fn owns(&self, node: NodeId, partition: Partition) -> bool {
        self.owner(partition) == Some(node)
    }

    /// Returns how many partitions each member owns, in the order of their ids.
    pub fn counts(&self) -> Vec<(NodeId, usize)> {
        let mut counts: Vec<_> = self.nodes.iter().map(|(id, _)| (*id, 0)).collect();
        if !counts.is_empty() {
            self.owners.iter().for_each(|owner| counts[usize::from(*owner)].1 += 1);
        }
        counts
    }

    /// Iterates over what a member owns.
    pub fn owned_by(&self, node: NodeId) -> impl Iterator<Item = Partition> + '_ {
        Partition::all().filter(move |partition| self.owns(node, *partition))
    }

    /// Returns up to `n` members in the order in which they want a partition: its owner first, then who holds its replicas
    /// and who would own it next.
    ///
    /// Takes about 1 ns for each member of the table.
    pub fn ranked(&self, partition: Partition, n: usize) -> Vec<NodeId> {
        let Some(owner) = self.owner(partition) else { return Vec::new() };
        let n = n.min(self.nodes.len());
        if n == 0 {
            return Vec::new();
        }
        let mut best: Vec<Bid> = Vec::with_capacity(n);
        let seed = partition_seed(partition.get());
        for (node, (id, weight)) in (0..).zip(&self.nodes) {
            let (draw, weight) = (draw(node_seed(id.0), seed), weight.get());
            let full = best.len() + 1 == n;
            if *id == owner || full && best.last().is_none_or(|last| last.beats(draw, weight)) {
                continue;
            }
            let bid = Bid::new(draw, weight, node);
            let at = best.partition_point(|better| *better < bid);
            if full && at < best.len() {
                best.pop();
            }
            if best.len() + 1 < n {
                best.insert(at, bid);
            }
        }
        let others = best.iter().map(|bid| self.nodes[usize::from(bid.node())].0);
        std::iter::once(owner).chain(others).collect()
    }
}

impl Default for Table {
    /// The table without members.
    fn default() -> Self {
        Self::of_sorted(Vec::new())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epoch = format_args!("{:016x}", self.epoch);
        f.debug_struct("Table").field("nodes", &self.nodes.len()).field("epoch", &epoch).finish()
    }
}

/// Versioned: a change of what scores mean is a change of the epoch of every table.
fn epoch(nodes: &[(u64, u16)]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(b"memstache placement 1");
    for (id, weight) in nodes {
        hash.update(&id.to_le_bytes());
        hash.update(&weight.to_le_bytes());
    }
    hash.digest()
}
