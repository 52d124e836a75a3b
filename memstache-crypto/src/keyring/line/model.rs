//! Nodes with clocks apart, a record that they read from time to time, and entries: whatever happens, what lives opens.

use proptest::prelude::*;

use super::{tests::version, *};

const MINUTE: Millis = 60_000;
/// Shorter than the skew, so that the spread does not hide it.
const REFRESH: Millis = MINUTE;
const SKEW: Millis = 5 * MINUTE;
const LAG: Millis = 60 * MINUTE;
const TTL: Millis = 120 * MINUTE;
const NODES: usize = 3;

const RETENTION: Retention = Retention {
    max_entry_ttl: Duration::from_millis(TTL),
    max_skew: Duration::from_millis(SKEW),
    max_lag: Duration::from_millis(LAG),
};

#[derive(Clone, Debug)]
enum Step {
    /// Time goes on.
    Pass(Millis),
    /// A node reads the record, and retires what is due.
    Refresh(usize),
    /// A node seals an entry that lives so long.
    Seal(usize, Millis),
    /// A node adds a version.
    Rotate(usize),
    /// A node revokes the version that it seals with, or its newest.
    Revoke(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        4 => (1..40 * MINUTE).prop_map(Step::Pass),
        4 => node.clone().prop_map(Step::Refresh),
        6 => (node.clone(), 1..=TTL).prop_map(|(node, ttl)| Step::Seal(node, ttl)),
        2 => node.clone().prop_map(Step::Rotate),
        1 => (node, any::<bool>()).prop_map(|(node, newest)| Step::Revoke(node, newest)),
    ]
}

#[derive(Debug)]
struct Node {
    /// Its clock minus the true time.
    skew: i64,
    line: Line,
    read_at: Millis,
    /// How many of the revoked ids were there when it read.
    heard: usize,
}

#[derive(Debug)]
struct Entry {
    key: KeyId,
    /// In true time.
    deadline: Millis,
}

#[derive(Debug)]
struct World {
    /// True time.
    now: Millis,
    record: Line,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    /// In the order in which they were.
    revoked: Vec<KeyId>,
    next: u8,
}

impl World {
    fn new(skews: [i64; NODES]) -> Self {
        let now = 1_000 * MINUTE;
        let mut record = Line::default();
        record.add(version(0, now, now)).unwrap();
        let node = |skew| Node { skew, line: record.clone(), read_at: now, heard: 0 };
        let nodes = skews.into_iter().map(node).collect();
        Self { now, nodes, record, entries: Vec::new(), revoked: Vec::new(), next: 1 }
    }

    fn clock(&self, node: usize) -> Millis {
        self.now.checked_add_signed(self.nodes[node].skew).unwrap()
    }

    /// A node that has not read the record for too long holds no keys.
    fn is_good(&self, node: usize) -> bool {
        self.now < self.nodes[node].read_at + LAG
    }

    fn read(&mut self, node: usize) {
        self.nodes[node].line = self.record.clone();
        self.nodes[node].read_at = self.now;
        self.nodes[node].heard = self.revoked.len();
    }

    fn add(&mut self, after: Millis, node: usize) {
        let now = self.clock(node);
        if self.record.add(version(self.next, now, now + after)).is_ok() {
            self.next += 1;
        }
    }

    /// The key that a node seals with; it makes one if the line has none.
    fn sealing(&mut self, node: usize) -> KeyId {
        let active = |world: &Self| world.nodes[node].line.active(world.clock(node)).map(|version| version.id);
        active(self).unwrap_or_else(|| {
            self.read(node);
            if active(self).is_none() {
                self.add(0, node);
                self.read(node);
            }
            active(self).expect("a version that was just added")
        })
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Pass(span) => self.now += span,
            Step::Refresh(node) => {
                let now = self.clock(node);
                for id in self.record.due(now, RETENTION) {
                    self.record.retire(id, now);
                }
                self.read(node);
            }
            Step::Seal(node, ttl) => {
                if !self.is_good(node) {
                    return;
                }
                let key = self.sealing(node);
                if self.revoked(key) {
                    return;
                }
                self.entries.push(Entry { key, deadline: self.now + ttl });
            }
            Step::Rotate(node) => {
                self.add(2 * REFRESH, node);
                self.read(node);
            }
            Step::Revoke(node, newest) => self.revoke(node, newest),
        }
    }

    fn revoke(&mut self, node: usize, newest: bool) {
        let now = self.clock(node);
        let chosen = if newest { self.record.newest() } else { self.record.active(now) };
        let Some(id) = chosen.map(|version| version.id) else { return };
        self.record.revoke(id, now);
        self.revoked.push(id);
        if self.record.active(now).is_none() {
            self.add(0, node);
        }
        self.entries.retain(|entry| entry.key != id);
        self.read(node);
    }

    fn revoked(&self, id: KeyId) -> bool {
        self.record.get(id).is_none_or(|version| matches!(version.fate, Fate::Revoked(_)))
    }

    fn check(&self) {
        let live = self.entries.iter().filter(|entry| self.now < entry.deadline);
        for entry in live {
            // Any node, also one that starts now, or one that misses the key and reads the record again.
            let found = self.record.get(entry.key).is_some_and(Version::is_live);
            assert!(found, "a live entry does not open: {entry:?}");
        }
        for node in 0..NODES {
            let line = &self.nodes[node].line;
            let states = line.versions().iter().map(|version| line.state(version.id, self.clock(node)).unwrap());
            assert!(states.filter(|state| *state == KeyState::Active).count() <= 1, "more than one is active");
            self.check_revoked(node);
        }
        for version in self.record.versions() {
            assert!(version.is_live() || version.wrapped.is_empty(), "what ended opens nothing");
        }
    }

    /// What a node has read of as revoked it neither seals with nor opens, by whatever clock, for ever.
    fn check_revoked(&self, node: usize) {
        let Node { line, heard, .. } = &self.nodes[node];
        let clocks = [0, self.clock(node), Millis::MAX];
        for id in &self.revoked[..*heard] {
            assert!(!line.get(*id).is_some_and(Version::is_live), "node {node} has a revoked key: {id:?}");
            for now in clocks {
                assert_ne!(
                    line.active(now).map(|version| version.id),
                    Some(*id),
                    "node {node} seals with a revoked key"
                );
                let state = line.state(*id, now);
                assert!(matches!(state, None | Some(KeyState::Revoked)), "node {node}: {id:?} is {state:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_lives_opens_and_what_was_revoked_does_not(
        skews in [-(SKEW as i64) / 2..=SKEW as i64 / 2, -(SKEW as i64) / 2..=SKEW as i64 / 2, -(SKEW as i64) / 2..=SKEW as i64 / 2],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(skews);
        for step in &steps {
            world.apply(step);
            world.check();
        }
    }
}

#[test]
fn the_slack_is_needed() {
    // The clock of the node that rotates is behind, the one that retires is ahead, and a third hears of nothing and seals
    // until the last moment, with the longest lifetime.
    let mut world = World::new([SKEW as i64 / 2, -(SKEW as i64) / 2, 0]);
    world.apply(&Step::Rotate(1));
    world.apply(&Step::Pass(LAG - 1));
    world.apply(&Step::Seal(2, TTL));
    let sealed = world.entries[0].key;
    assert_eq!(sealed, KeyId::from_bytes([0; 16]));
    world.apply(&Step::Pass(TTL - 1));
    world.apply(&Step::Refresh(0));
    world.check();
    world.apply(&Step::Pass(2 * REFRESH + 2 * SKEW + MINUTE));
    world.apply(&Step::Refresh(0));
    assert!(!world.record.get(sealed).unwrap().is_live(), "it retires in the end");
}
