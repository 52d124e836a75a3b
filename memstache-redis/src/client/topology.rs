//! Which primaries there are, and which slots are whose.

use std::sync::Arc;

/// The primaries of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Whether keys belong to slots.
    pub(crate) cluster: bool,
    pub(crate) nodes: Vec<Node>,
}

/// A primary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Both together, as logs show it.
    pub(crate) name: Arc<str>,
    /// The name that its certificate must have, if not the host.
    pub(crate) tls_name: Option<String>,
    /// First and last slot of each of its ranges, sorted.
    pub(crate) slots: Vec<(u16, u16)>,
}

impl Topology {
    /// Returns the node of a slot, by its place among the nodes.
    pub(crate) fn node_of(&self, slot: u16) -> Option<usize> {
        if !self.cluster {
            return (!self.nodes.is_empty()).then_some(0);
        }
        self.nodes.iter().position(|node| node.owns(slot))
    }
}

impl Node {
    pub(crate) fn new(host: String, port: u16, tls_name: Option<String>) -> Self {
        let name = format!("{host}:{port}").into();
        Self { host, port, name, tls_name, slots: Vec::new() }
    }

    fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }

    /// Returns whether two are the same server, whatever slots they have.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.host.as_str(), self.port) == (other.host.as_str(), other.port)
    }

    /// Returns a hash tag whose slot is the node's; any tag if there are no slots.
    pub(crate) fn tag(&self) -> Option<String> {
        if self.slots.is_empty() {
            return Some("0".to_owned());
        }
        // A node with one slot is hit after 16,384 tries in the mean; this many miss it once in e^60.
        (0..1_000_000_u32).map(|n| format!("{n:x}")).find(|tag| self.owns(slot_of(tag.as_bytes())))
    }
}

/// Returns the slot of a key.
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    redis_protocol::redis_keyslot(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16, slots: &[(u16, u16)]) -> Node {
        Node { slots: slots.into(), ..Node::new("h".into(), port, None) }
    }

    #[test]
    fn slots_have_owners() {
        let nodes = vec![node(1, &[(0, 99), (200, 299)]), node(2, &[(100, 199)])];
        let topology = Topology { cluster: true, nodes };
        assert_eq!([0, 99, 100, 250].map(|slot| topology.node_of(slot)), [Some(0), Some(0), Some(1), Some(0)]);
        assert_eq!(topology.node_of(300), None);
        assert_eq!(Topology { cluster: false, ..topology }.node_of(300), Some(0));
        assert_eq!(Topology::default().node_of(0), None);
    }

    #[test]
    fn a_node_has_a_tag_in_each_of_its_slots() {
        for slots in [&[(0, 0)][..], &[(16_383, 16_383)], &[(5, 7), (9000, 9001)]] {
            let node = node(1, slots);
            assert!(node.owns(slot_of(node.tag().unwrap().as_bytes())));
        }
        assert_eq!(node(1, &[]).tag().as_deref(), Some("0"));
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of(b"123456789"), 12739);
        assert_eq!(slot_of(b"foo{bar}baz"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{}{bar}"), 8363);
    }
}
