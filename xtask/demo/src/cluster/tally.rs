//! What clients have seen in one phase.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::{Error, Result};

use crate::load::{Answer, percentile};

/// Who owned what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The node that was asked.
    Local,
    /// Another one, which was asked in turn.
    Remote,
}

impl Way {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// What clients have seen in one phase.
#[derive(Debug, Default)]
pub(super) struct Tally {
    latencies: Vec<Duration>,
    /// The products asked for, by rank.
    pub(super) asked: HashSet<usize>,
    pub(super) errors: u64,
    pub(super) first_error: Option<Error>,
    /// Requests that a node left unanswered because it was killed, and that another one answered.
    pub(super) moved: u64,
    pub(super) nodes: BTreeMap<usize, Node>,
}

/// What clients have seen of one node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) requests: u64,
    /// Answers for products that had been loaded before.
    pub(super) local: Vec<Duration>,
    pub(super) remote: Vec<Duration>,
}

/// One request, from when it was due to its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) rank: usize,
    pub(super) node: usize,
    /// Whether the product had been answered before.
    pub(super) known: bool,
    pub(super) moved: bool,
    pub(super) latency: Duration,
}

impl Tally {
    pub(super) fn note(&mut self, asked: &Asked, answer: Result<Answer>) {
        self.latencies.push(asked.latency);
        self.asked.insert(asked.rank);
        self.moved += u64::from(asked.moved);
        let node = self.nodes.entry(asked.node).or_default();
        node.requests += 1;
        match answer {
            Ok(answer) if asked.known => {
                let hits = if answer.cache == Way::Local.as_str() { &mut node.local } else { &mut node.remote };
                hits.push(asked.latency);
            }
            Ok(_) => {}
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Returns a percentile of all latencies.
    pub(super) fn latency(&self, part: f64) -> Duration {
        of(self.latencies.iter().copied(), part)
    }

    /// Returns a percentile of the hits at an owner, and of those at others.
    pub(super) fn hits(&self, part: f64) -> (Duration, Duration) {
        let nodes = || self.nodes.values();
        let local = of(nodes().flat_map(|node| &node.local).copied(), part);
        (local, of(nodes().flat_map(|node| &node.remote).copied(), part))
    }
}

fn of(latencies: impl Iterator<Item = Duration>, part: f64) -> Duration {
    let mut sorted: Vec<Duration> = latencies.collect();
    sorted.sort_unstable();
    percentile(&sorted, part)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn hits_are_told_apart_by_the_way_they_came() {
        let answer =
            |way: Way| Ok(Answer { status: 200, cache: way.as_str().to_owned(), retry_after: None, body: Vec::new() });
        let asked = |rank, node, known, millis| {
            let latency = Duration::from_millis(millis);
            Asked { rank, node, known, moved: node == 2, latency }
        };
        let mut tally = Tally::default();
        tally.note(&asked(1, 0, false, 9), answer(Way::Local));
        tally.note(&asked(1, 0, true, 1), answer(Way::Local));
        tally.note(&asked(1, 1, true, 2), answer(Way::Remote));
        tally.note(&asked(1, 1, true, 4), answer(Way::Remote));
        tally.note(&asked(2, 2, true, 5), Err(anyhow!("first")));
        tally.note(&asked(2, 2, true, 5), Err(anyhow!("second")));
        let millis = Duration::from_millis;
        assert_eq!(tally.hits(0.5), (millis(1), millis(2)));
        assert_eq!((tally.hits(0.99), tally.latency(0.99)), ((millis(1), millis(4)), millis(9)));
        assert_eq!((tally.requests(), tally.asked.len(), tally.moved, tally.errors), (6, 2, 2, 2));
        assert_eq!(tally.first_error.unwrap().to_string(), "first");
        assert_eq!((tally.nodes[&1].requests, tally.nodes[&1].remote.len()), (2, 2));
    }
}
