//! Gives each partition its owner.

use super::{
    Partition,
    capacity::capacities,
    score::{Bid, draw, node_seed, partition_seed},
};

/// The owner of each partition, by its place among the nodes, which come in the order of their ids.
///
/// Partitions choose one after the other; a member that has no room left is not asked. So what does not fit goes to the next
/// best, and only that moves when somebody else comes or goes.
pub(super) fn owners(nodes: &[(u64, u16)]) -> Vec<u16> {
    let mut room = capacities(nodes);
    let mut market = Market::new(nodes, |node| room[node] > 0);
    let mut open = true;
    let take = |partition: Partition| {
        let seed = partition_seed(partition.get());
        let mut choice = market.best(seed);
        if choice.is_none() && open {
            // Rounding left too little room, which no set of ids was ever seen to do: from here on nobody is full.
            market = Market::new(nodes, |_| true);
            open = false;
            choice = market.best(seed);
        }
        let Some(stall) = choice else { return 0 };
        let node = stall.node;
        if open {
            room[usize::from(node)] -= 1;
            if room[usize::from(node)] == 0 {
                market.close(&stall);
            }
        }
        node
    };
    Partition::all().map(take).collect()
}

/// The members that have room. Those of one weight stand together: the highest draw among them is their best bid, and only
/// that one needs a logarithm.
struct Market {
    classes: Vec<Class>,
}

struct Class {
    weight: u16,
    seeds: Vec<u64>,
    /// Which node each seed stands for.
    nodes: Vec<u16>,
}

/// Where a node stands in the market.
struct Stall {
    class: usize,
    at: usize,
    node: u16,
}

impl Market {
    fn new(nodes: &[(u64, u16)], has_room: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<_> = (0..nodes.len()).filter(|node| has_room(*node)).collect();
        // The heavy first: they win most often, and those that follow are passed over without a logarithm.
        order.sort_by_key(|node| (u16::MAX - nodes[*node].1, *node));
        let mut classes: Vec<Class> = Vec::new();
        for node in order {
            let (id, weight) = nodes[node];
            if classes.last().is_none_or(|class| class.weight != weight) {
                classes.push(Class { weight, seeds: Vec::new(), nodes: Vec::new() });
            }
            let class = classes.last_mut().expect("one was put there");
            class.seeds.push(node_seed(id));
            class.nodes.push(node as u16);
        }
        Self { classes }
    }

    /// Who bids best for a partition.
    fn best(&self, partition: u64) -> Option<Stall> {
        let mut best: Option<(Bid, Stall)> = None;
        for (number, class) in self.classes.iter().enumerate() {
            let Some((draw, at)) = class.best(partition) else { continue };
            if best.as_ref().is_some_and(|(bid, _)| bid.beats(draw, class.weight)) {
                continue;
            }
            let node = class.nodes[at];
            let bid = Bid::new(draw, class.weight, node);
            if best.as_ref().is_none_or(|(best, _)| bid < *best) {
                best = Some((bid, Stall { class: number, at, node }));
            }
        }
        best.map(|(_, stall)| stall)
    }

    fn close(&mut self, stall: &Stall) {
        let class = &mut self.classes[stall.class];
        class.seeds.swap_remove(stall.at);
        class.nodes.swap_remove(stall.at);
    }
}

impl Class {
    /// The highest draw, and whose it is.
    #[inline]
    fn best(&self, partition: u64) -> Option<(u64, usize)> {
        let (mut best, mut at) = (draw(*self.seeds.first()?, partition), 0);
        for (place, seed) in self.seeds.iter().enumerate().skip(1) {
            let draw = draw(*seed, partition);
            if draw > best || (draw == best && self.nodes[place] < self.nodes[at]) {
                (best, at) = (draw, place);
            }
        }
        Some((best, at))
    }
}
