//! The records of keyspaces, and which of two wins.

use std::{cmp::Ordering, collections::BTreeMap};

use bytes::Bytes;
use memstache_core::{KeyspaceName, Result, Sequence};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    engine::EngineError,
    member::{Incarnation, NodeId},
    wire::{RegistryRecord, varint},
};

/// Most keyspaces.
pub(crate) const MOST_KEYSPACES: usize = 1024;
/// Most deleted keyspaces that are remembered.
const MOST_DELETED: usize = 1024;
/// Most nodes that are remembered to define one keyspace in another way.
const MOST_DISSENTERS: usize = 16;

/// The records of all keyspaces that a node has heard of, deleted ones included; bounded.
///
/// Of two records of one keyspace the one of the greater version wins; of the same version, that of the later life of a node,
/// then that of the greater node id, then that whose definition sorts last: the same one on all nodes, in whatever order they
/// hear of them. When everything was hidden for the last time is no matter of versions: the greater number counts.
///
/// Deleted keyspaces are remembered so that nobody brings them back who has not heard of it; of more than 1,024 those that
/// lose against all others are forgotten.
#[derive(Debug)]
pub(crate) struct Ledger {
    me: NodeId,
    life: Incarnation,
    records: BTreeMap<Box<str>, Known>,
}

#[derive(Debug)]
struct Known {
    record: RegistryRecord,
    /// Who defines this version in another way.
    dissenters: Vec<NodeId>,
    /// How often somebody was found to.
    conflicts: u64,
}

/// What a record that was heard of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The keyspace is defined, or deleted, by another record than before.
    pub(crate) changed: bool,
    /// Everything of it was hidden since.
    pub(crate) flushed: bool,
    /// The one who sent it lacks what is known here.
    pub(crate) behind: bool,
    /// Another definition of the same version has lost, or won.
    pub(crate) conflict: bool,
}

/// The order of records of one keyspace.
fn order(one: &RegistryRecord, other: &RegistryRecord) -> Ordering {
    let key = |record: &RegistryRecord| (record.version, record.life, record.by);
    key(one).cmp(&key(other)).then_with(|| one.body.cmp(&other.body))
}

impl Ledger {
    pub(crate) fn new(me: NodeId, life: Incarnation) -> Self {
        Self { me, life, records: BTreeMap::new() }
    }

    /// Returns the record of a keyspace, deleted or not.
    pub(crate) fn get(&self, name: &str) -> Option<&RegistryRecord> {
        self.records.get(name).map(|known| &known.record)
    }

    /// Returns the record of a keyspace that there is.
    pub(crate) fn live(&self, name: &str) -> Option<&RegistryRecord> {
        self.get(name).filter(|record| record.body.is_some())
    }

    /// Iterates over the keyspaces that there are, by name.
    pub(crate) fn all_live(&self) -> impl Iterator<Item = &RegistryRecord> {
        self.records.values().map(|known| &known.record).filter(|record| record.body.is_some())
    }

    /// Returns all records, as they travel.
    pub(crate) fn records(&self) -> Vec<RegistryRecord> {
        self.records.values().map(|known| known.record.clone()).collect()
    }

    /// Returns who defines the present version of a keyspace in another way, as far as that was heard.
    pub(crate) fn dissenters(&self, name: &str) -> &[NodeId] {
        self.records.get(name).map_or(&[], |known| &known.dissenters)
    }

    /// Returns how often somebody was found to define a version in another way.
    pub(crate) fn conflicts(&self, name: &str) -> u64 {
        self.records.get(name).map_or(0, |known| known.conflicts)
    }

    /// Writes the next record of a keyspace in this node's name; `None` deletes it.
    ///
    /// Errors: as many keyspaces as there may be.
    pub(crate) fn write(&mut self, name: &KeyspaceName, body: Option<Bytes>) -> Result<()> {
        let before = self.get(name.as_str());
        let created_by = before.filter(|before| before.body.is_some()).map_or(self.me, |before| before.created_by);
        let record = RegistryRecord {
            keyspace: name.clone(),
            version: before.map_or(0, |before| before.version).saturating_add(1),
            life: self.life,
            by: self.me,
            created_by,
            flushed: before.map_or(Sequence(0), |before| before.flushed),
            body,
        };
        self.admit(&record)?;
        self.put(record);
        Ok(())
    }

    /// Takes note that everything of a keyspace was hidden.
    pub(crate) fn flushed(&mut self, name: &str, at: Sequence) {
        if let Some(known) = self.records.get_mut(name) {
            known.record.flushed = known.record.flushed.max(at);
        }
    }

    /// Takes note that this node's own definition of the present version is another.
    pub(crate) fn dissent(&mut self, name: &str) -> bool {
        let me = self.me;
        self.records.get_mut(name).is_some_and(|known| known.dissent(me))
    }

    /// Takes what another node knows of a keyspace.
    ///
    /// Errors: `TooManyKeyspaces`; nothing is changed then.
    pub(crate) fn merge(&mut self, record: RegistryRecord) -> Result<Merged> {
        let Some(known) = self.records.get_mut(record.keyspace.as_str()) else {
            self.admit(&record)?;
            let merged =
                Merged { changed: record.body.is_some(), flushed: record.flushed > Sequence(0), ..Merged::default() };
            self.put(record);
            return Ok(merged);
        };
        let wins = order(&record, &known.record);
        let revives = wins == Ordering::Greater && record.body.is_some() && known.record.body.is_none();
        if revives {
            self.admit(&record)?;
        }
        let known = self.records.get_mut(record.keyspace.as_str()).expect("it was there");
        let mine = &mut known.record;
        let flushed = mine.flushed.max(record.flushed);
        let same = record.body == mine.body;
        let mut merged = Merged {
            changed: wins == Ordering::Greater && !same,
            flushed: record.flushed > mine.flushed,
            behind: record.version < mine.version || wins == Ordering::Less && !same || record.flushed < mine.flushed,
            conflict: false,
        };
        if record.version == mine.version && !same && record.body.is_some() && mine.body.is_some() {
            let loser = if wins == Ordering::Greater { mine.by } else { record.by };
            merged.conflict = known.dissent(loser);
        }
        let mine = &mut known.record;
        if wins == Ordering::Greater {
            if record.version > mine.version {
                known.dissenters.clear();
            } else {
                known.dissenters.retain(|node| *node != record.by);
            }
            *mine = record;
        }
        mine.flushed = flushed;
        self.forget();
        Ok(merged)
    }

    /// Returns a number that two nodes share if they know the same.
    pub(crate) fn digest(&self) -> u64 {
        let mut bytes = Vec::new();
        for record in self.records.values().map(|known| &known.record) {
            bytes.extend_from_slice(record.keyspace.as_str().as_bytes());
            bytes.push(0);
            // Not who wrote it: who wrote the same knows the same.
            for number in [record.version, record.flushed.0] {
                varint::write(number, &mut bytes);
            }
            bytes.push(u8::from(record.body.is_some()));
            bytes.extend_from_slice(record.body.as_deref().unwrap_or_default());
            bytes.push(0);
        }
        xxh3_64(&bytes)
    }

    /// Checks that a record can be taken in.
    fn admit(&self, record: &RegistryRecord) -> Result<()> {
        let alive = self.live(record.keyspace.as_str()).is_some();
        if record.body.is_some() && !alive && self.all_live().count() >= MOST_KEYSPACES {
            return Err(EngineError::TooManyKeyspaces.into());
        }
        Ok(())
    }

    fn put(&mut self, record: RegistryRecord) {
        let conflicts = self.conflicts(record.keyspace.as_str());
        let known = Known { dissenters: Vec::new(), conflicts, record };
        self.records.insert(known.record.keyspace.as_str().into(), known);
        self.forget();
    }

    /// Forgets deleted keyspaces, if there are too many: the same ones on every node.
    fn forget(&mut self) {
        let deleted = || self.records.values().map(|known| &known.record).filter(|record| record.body.is_none());
        if self.records.len() <= MOST_DELETED || deleted().count() <= MOST_DELETED {
            return;
        }
        let key = |record: &RegistryRecord| (record.version, record.life, record.by);
        let least = deleted().min_by(|one, other| key(one).cmp(&key(other)).then(one.keyspace.cmp(&other.keyspace)));
        if let Some(name) = least.map(|record| record.keyspace.clone()) {
            self.records.remove(name.as_str());
        }
    }
}

impl Known {
    fn dissent(&mut self, node: NodeId) -> bool {
        let is_new = !self.dissenters.contains(&node) && self.dissenters.len() < MOST_DISSENTERS;
        if is_new {
            self.dissenters.push(node);
            self.conflicts += 1;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(name: impl AsRef<str>) -> KeyspaceName {
        KeyspaceName::new(name).unwrap()
    }

    fn ledger(node: u64) -> Ledger {
        Ledger::new(NodeId(node), Incarnation(1))
    }

    fn body(byte: u8) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&[12, 1, byte]))
    }

    fn record(keyspace: &str, version: u64, by: u64, definition: Option<u8>) -> RegistryRecord {
        RegistryRecord {
            keyspace: name(keyspace),
            version,
            life: Incarnation(1),
            by: NodeId(by),
            created_by: NodeId(by),
            flushed: Sequence(0),
            body: definition.and_then(body),
        }
    }

    #[test]
    fn the_last_writer_wins_and_says_who_it_was() {
        let (mut a, mut b) = (ledger(1), ledger(2));
        a.write(&name("k"), body(1)).unwrap();
        let merged = b.merge(a.get("k").unwrap().clone()).unwrap();
        assert_eq!(merged, Merged { changed: true, ..Merged::default() });
        assert_ne!(a.digest(), ledger(1).digest());
        b.write(&name("k"), body(2)).unwrap();
        let old = a.get("k").unwrap().clone();
        assert!(a.merge(b.get("k").unwrap().clone()).unwrap().changed);
        let known = a.get("k").unwrap();
        assert_eq!((known.version, known.by, known.created_by), (2, NodeId(2), NodeId(1)));
        assert_eq!(a.merge(old).unwrap(), Merged { behind: true, ..Merged::default() });
        assert_eq!(a.digest(), b.digest());
        a.write(&name("k"), None).unwrap();
        assert!(b.merge(a.get("k").unwrap().clone()).unwrap().changed && b.live("k").is_none());
        b.write(&name("k"), body(3)).unwrap();
        assert_eq!((b.get("k").unwrap().version, b.get("k").unwrap().created_by), (4, NodeId(2)), "created anew");
    }

    #[test]
    fn two_definitions_of_one_version_are_a_conflict_that_all_settle_alike() {
        let (mut a, mut b) = (ledger(1), ledger(2));
        a.write(&name("k"), body(9)).unwrap();
        b.write(&name("k"), body(3)).unwrap();
        let (of_a, of_b) = (a.get("k").unwrap().clone(), b.get("k").unwrap().clone());
        assert_eq!(
            a.merge(of_b).unwrap(),
            Merged { changed: true, conflict: true, ..Merged::default() },
            "the greater id wins"
        );
        assert_eq!(b.merge(of_a.clone()).unwrap(), Merged { behind: true, conflict: true, ..Merged::default() });
        assert_eq!((a.digest(), a.dissenters("k")), (b.digest(), b.dissenters("k")));
        assert_eq!((a.dissenters("k"), a.conflicts("k")), (&[NodeId(1)][..], 1));
        assert!(!b.merge(of_a).unwrap().conflict, "told once");
        a.write(&name("k"), body(4)).unwrap();
        b.merge(a.get("k").unwrap().clone()).unwrap();
        assert_eq!((a.dissenters("k").len(), b.dissenters("k").len(), b.conflicts("k")), (0, 0, 1), "settled");
        let mut same = ledger(7);
        same.merge(record("k", 1, 1, Some(5))).unwrap();
        assert!(!same.merge(record("k", 1, 2, Some(5))).unwrap().conflict, "the same settings are none");
        let later = RegistryRecord { life: Incarnation(9), ..record("k", 1, 1, Some(6)) };
        assert!(same.merge(later).unwrap().changed, "a later life wins over a greater id");
    }

    #[test]
    fn keyspaces_and_memories_of_deleted_ones_are_bounded() {
        let mut ledger = ledger(1);
        for n in 0..MOST_KEYSPACES {
            ledger.merge(record(&format!("k{n}"), 2, 2, Some(1))).unwrap();
        }
        for refused in [
            ledger.merge(record("more", 1, 2, Some(1))).unwrap_err(),
            ledger.write(&name("more"), body(1)).unwrap_err(),
        ] {
            assert_eq!(refused.find_source(), Some(&EngineError::TooManyKeyspaces));
        }
        ledger.merge(record("gone", 1, 2, None)).unwrap();
        assert!(ledger.merge(record("gone", 2, 2, Some(1))).is_err(), "one that comes back is one more");
        for n in 0..MOST_DELETED + 10 {
            ledger.merge(record(&format!("d{n}"), 3, 2, None)).unwrap();
        }
        assert_eq!(ledger.records().len(), MOST_KEYSPACES + MOST_DELETED);
        assert!(ledger.get("gone").is_none() && ledger.get("k7").is_some());
    }

    fn any_record() -> impl Strategy<Value = RegistryRecord> {
        let definition = prop::option::of(0..3u8);
        (0..4u8, 1..4u64, 0..2u64, 0..3u64, definition, 0..3u64).prop_map(|(n, version, life, by, body, flushed)| {
            RegistryRecord {
                life: Incarnation(life),
                flushed: Sequence(flushed),
                ..record(&format!("k{n}"), version, by, body)
            }
        })
    }

    proptest! {
        #[test]
        fn whoever_hears_the_same_knows_the_same(
            records in prop::collection::vec(any_record(), 0..20), seed in any::<u64>(),
        ) {
            let (mut one, mut other) = (ledger(1), ledger(2));
            let mut shuffled = records.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            records.into_iter().for_each(|record| drop(one.merge(record)));
            for record in shuffled.into_iter().flat_map(|record| [record.clone(), record]) {
                other.merge(record).unwrap();
            }
            prop_assert_eq!(one.digest(), other.digest());
            prop_assert_eq!(one.records(), other.records());
            for record in other.records() {
                prop_assert_eq!(one.merge(record).unwrap(), Merged::default(), "nothing is news twice");
            }
        }
    }
}
