//! Which tags, spaces and tenants were invalidated, and when.

use std::collections::{BTreeMap, HashMap};

use foldhash::quality::RandomState;

use super::departures::Departure;
use crate::{address::Space, entry::Tags, name::Tag, request::Target};

/// The last invalidation of every tag, space and tenant, as points in a line; bounded.
///
/// An entry is hidden when anything that it belongs to is later than the point at which its load began. What is
/// forgotten to stay within the bound raises a floor under everything that it could have hidden: that costs misses,
/// never an outdated answer. Pure: the numbers come from outside.
pub(crate) struct Sequences {
    spaces: HashMap<Box<[u8]>, Line, RandomState>,
    tenants: HashMap<Box<[u8]>, Stamped, RandomState>,
    /// What every entry must be younger than, for what was forgotten.
    everything: u64,
    /// All records, the longest untouched first.
    order: BTreeMap<u64, Record>,
    next_stamp: u64,
    max_records: usize,
}

/// What happened to one space.
#[derive(Default)]
struct Line {
    stamp: u64,
    /// The last invalidation of any kind.
    last: u64,
    /// The last clear.
    floor: u64,
    /// What entries with tags must be younger than, for tags that were forgotten.
    tagged_floor: u64,
    tags: HashMap<Tag, Stamped, RandomState>,
}

#[derive(Clone, Copy, Default)]
struct Stamped {
    stamp: u64,
    sequence: u64,
}

#[derive(Clone)]
enum Record {
    Tag(Box<[u8]>, Tag),
    Space(Box<[u8]>),
    Tenant(Box<[u8]>),
}

impl Sequences {
    pub(crate) fn new(max_records: usize) -> Self {
        Self {
            spaces: HashMap::default(),
            tenants: HashMap::default(),
            everything: 0,
            order: BTreeMap::new(),
            next_stamp: 1,
            max_records,
        }
    }

    /// Returns how many records are held.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Takes note of an invalidation.
    pub(crate) fn note(&mut self, target: &Target, sequence: u64) {
        match target {
            Target::Tag(space, tag) => self.note_tag(space, tag, sequence),
            Target::Space(space) => {
                let line = self.touch(space.key(), sequence);
                line.floor = line.floor.max(sequence);
            }
            Target::Tenant(tenant) => {
                let key: Box<[u8]> = tenant.as_str().as_bytes().into();
                let stamp = self.stamp(Record::Tenant(key.clone()));
                let record = self.tenants.entry(key).or_default();
                let before = std::mem::replace(&mut record.stamp, stamp);
                record.sequence = record.sequence.max(sequence);
                self.order.remove(&before);
            }
        }
        while self.len() > self.max_records {
            self.forget();
        }
    }

    /// Takes note that everything was invalidated.
    pub(crate) fn note_all(&mut self, sequence: u64) {
        self.everything = self.everything.max(sequence);
    }

    fn note_tag(&mut self, space: &Space, tag: &Tag, sequence: u64) {
        let stamp = self.stamp(Record::Tag(space.key().into(), tag.clone()));
        let line = self.touch(space.key(), sequence);
        let record = line.tags.entry(tag.clone()).or_default();
        let before = std::mem::replace(&mut record.stamp, stamp);
        record.sequence = record.sequence.max(sequence);
        self.order.remove(&before);
    }

    /// Makes a space's line the youngest record.
    fn touch(&mut self, key: &[u8], sequence: u64) -> &mut Line {
        let stamp = self.stamp(Record::Space(key.into()));
        let line = self.spaces.entry(key.into()).or_default();
        let before = std::mem::replace(&mut line.stamp, stamp);
        line.last = line.last.max(sequence);
        self.order.remove(&before);
        line
    }

    fn stamp(&mut self, record: Record) -> u64 {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.order.insert(stamp, record);
        stamp
    }

    /// Forgets the oldest record and raises the floor that stands for it.
    fn forget(&mut self) {
        let Some((_, record)) = self.order.pop_first() else { return };
        match record {
            Record::Tag(space, tag) => {
                let Some(line) = self.spaces.get_mut(&space) else { return };
                let sequence = line.tags.remove(&tag).map_or(0, |record| record.sequence);
                line.tagged_floor = line.tagged_floor.max(sequence);
            }
            Record::Space(space) => {
                // Younger than all its tags, so they are forgotten already.
                let last = self.spaces.remove(&space).map_or(0, |line| line.last);
                self.everything = self.everything.max(last);
            }
            Record::Tenant(tenant) => {
                let sequence = self.tenants.remove(&tenant).map_or(0, |record| record.sequence);
                self.everything = self.everything.max(sequence);
            }
        }
    }

    /// Returns whether an invalidation hides an entry.
    pub(crate) fn hides(&self, space_key: &[u8], tags: &Tags, sequence: u64) -> bool {
        if self.cleared(space_key) > sequence {
            return true;
        }
        let Some(line) = self.spaces.get(space_key).filter(|_| !tags.is_empty()) else { return false };
        let newer = |tag: &Tag| line.tags.get(tag).is_some_and(|record| record.sequence > sequence);
        line.tagged_floor > sequence || (line.last > sequence && tags.as_slice().iter().any(newer))
    }

    /// Returns what kind of invalidation hides an entry.
    pub(crate) fn hidden_by(&self, space_key: &[u8], tags: &Tags, sequence: u64) -> Option<Departure> {
        if self.cleared(space_key) > sequence {
            return Some(Departure::Cleared);
        }
        self.hides(space_key, tags, sequence).then_some(Departure::Tag)
    }

    /// Returns the last clear of a space or its tenant.
    pub(crate) fn cleared(&self, space_key: &[u8]) -> u64 {
        let floor = self.spaces.get(space_key).map_or(0, |line| line.floor);
        floor.max(self.tenant(space_key)).max(self.everything)
    }

    /// Returns the last invalidation of a space, tags included, or its tenant.
    pub(crate) fn last(&self, space_key: &[u8]) -> u64 {
        let last = self.spaces.get(space_key).map_or(0, |line| line.last);
        last.max(self.tenant(space_key)).max(self.everything)
    }

    fn tenant(&self, space_key: &[u8]) -> u64 {
        // Labels have no colon, so the first one ends the tenant.
        match space_key.split(|byte| *byte == b':').next() {
            None | Some([]) => 0,
            Some(tenant) => self.tenants.get(tenant).map_or(0, |record| record.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{KeyspaceName, TenantId};

    fn space(tenant: usize, keyspace: usize) -> Space {
        let tenant = (tenant > 0).then(|| TenantId::new(format!("t{tenant}")).unwrap());
        Space::new(tenant.as_ref(), &KeyspaceName::new(format!("k{keyspace}")).unwrap())
    }

    fn tag(n: usize) -> Tag {
        Tag::new(n.to_string()).unwrap()
    }

    fn target() -> impl Strategy<Value = Target> {
        prop_oneof![
            8 => (0..3usize, 0..3usize, 0..6usize).prop_map(|(t, k, n)| Target::Tag(space(t, k), tag(n))),
            2 => (0..3usize, 0..3usize).prop_map(|(t, k)| Target::Space(space(t, k))),
            1 => (1..3usize).prop_map(|t| Target::Tenant(TenantId::new(format!("t{t}")).unwrap())),
        ]
    }

    /// Looks through all that ever happened.
    fn naive(history: &[Target], space: &Space, tags: &Tags, sequence: u64) -> bool {
        history.iter().skip(usize::try_from(sequence).unwrap()).any(|target| match target {
            Target::Tag(of, tag) => of == space && tags.as_slice().contains(tag),
            Target::Space(of) => of == space,
            Target::Tenant(tenant) => space.tenant() == Some(tenant.as_str()),
        })
    }

    proptest! {
        #[test]
        fn hides_what_is_outdated_and_when_nothing_was_forgotten_only_that(
            history in prop::collection::vec(target(), 0..60), max in 1..80usize,
        ) {
            let mut sequences = Sequences::new(max);
            let mut forgot = false;
            for (at, target) in history.iter().enumerate() {
                let before = sequences.len();
                sequences.note(target, at as u64 + 1);
                prop_assert!(sequences.len() <= max, "bounded");
                forgot |= before + 2 > max;
            }
            for (t, k) in (0..3).flat_map(|t| (0..3).map(move |k| (t, k))) {
                for tags in [Tags::NONE, Tags::new([tag(1)]).unwrap(), Tags::new([tag(0), tag(2), tag(9)]).unwrap()] {
                    for sequence in 0..=history.len() as u64 {
                        let outdated = naive(&history, &space(t, k), &tags, sequence);
                        let hidden = sequences.hides(space(t, k).key(), &tags, sequence);
                        prop_assert!(hidden || !outdated, "an outdated entry is never seen");
                        prop_assert!(forgot || hidden == outdated, "exact within the bound");
                        prop_assert!(sequences.last(space(t, k).key()) >= sequences.cleared(space(t, k).key()));
                    }
                    let now = history.len() as u64;
                    prop_assert!(!sequences.hides(space(t, k).key(), &tags, now), "what is new is never hidden");
                }
            }
        }
    }

    #[test]
    fn an_old_tag_is_forgotten_for_its_space_only() {
        let mut sequences = Sequences::new(4);
        (0..10).for_each(|n| sequences.note(&Target::Tag(space(0, 0), tag(n)), n as u64 + 1));
        let hides = |space: &Space, tags: Tags, sequence| sequences.hides(space.key(), &tags, sequence);
        let tags = || Tags::new([tag(99)]).unwrap();
        assert_eq!(sequences.len(), 4);
        assert!(hides(&space(0, 0), tags(), 6), "seven tags are forgotten: any of them could be meant");
        assert!(!hides(&space(0, 0), tags(), 7));
        assert!(!hides(&space(0, 0), Tags::NONE, 0), "without tags nothing is hidden");
        assert!(!hides(&space(0, 1), tags(), 0), "nor in another space");
    }
}
