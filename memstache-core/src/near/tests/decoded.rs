//! Decoded values against a plain map of what was kept, whatever happens to their copies.

use std::{any::TypeId, cell::Cell, collections::HashMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::super::{Copies, Looked, MIN_NEAR_BYTES, NearConfig, NearView, decoded::Value};
use crate::{
    Address, DecodedAs, FormatId, Invalidation, KeyspaceName, Lifetime, NewEntry, Parts, Scope, Sequence, Space, Tag,
    Tags, Target, TryHit, Version, testing::ManualClock,
};

/// What may happen to a key or to all of them.
#[derive(Clone, Debug)]
enum Step {
    /// Another entry comes: its size, its life in units of 20 ms (none: it slides for 500 ms), and whether it bears the tag.
    Insert(u8, u16, Option<u8>, bool),
    /// It is read as bytes, decoded and kept, if it is held.
    Keep(u8, u16),
    /// It is asked for decoded.
    Get(u8),
    Drop(u8),
    Tag,
    DropSpace,
    Flush,
    /// So many times 10 ms pass.
    Advance(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..24_u8;
    let step = prop_oneof![
        6 => (key.clone(), 0..200_u16, prop::option::of(1..200_u8), any::<bool>())
            .prop_map(|(key, size, life, tagged)| Step::Insert(key, size, life, tagged)),
        8 => (key.clone(), 0..900_u16).prop_map(|(key, weight)| Step::Keep(key, weight)),
        12 => key.clone().prop_map(Step::Get),
        2 => key.prop_map(Step::Drop),
        1 => Just(Step::Tag),
        1 => Just(Step::DropSpace),
        1 => Just(Step::Flush),
        3 => (1..60_u8).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 0..400)
}

/// Short names, names of just the length that stands in a line, one more, and longer ones.
fn name(key: u8) -> String {
    match key % 4 {
        0 => format!("{key}"),
        1 => format!("{key:022}"),
        2 => format!("{key:023}"),
        _ => format!("{key:040}"),
    }
}

struct World {
    clock: ManualClock,
    copies: Arc<Copies>,
    view: NearView,
    /// Where sliding reads are told.
    _touches: mpsc::Receiver<Address>,
    space: Space,
    /// The entry that was put in last, by key: its number.
    last: HashMap<u8, u64>,
    /// What was kept, by key, and of which entry it was made.
    kept: HashMap<u8, u64>,
    count: u64,
    /// Values that were answered without a look at their copies.
    at_once: Cell<usize>,
}

impl World {
    fn new(bytes: usize) -> Self {
        let clock = ManualClock::new();
        let (copies, touches) = Copies::new(NearConfig::new(bytes).unwrap().with_clock(clock.clone()));
        let space = Space::new(None, &KeyspaceName::new("k").unwrap());
        let (view, last, kept) = (NearView(Arc::clone(&copies)), HashMap::new(), HashMap::new());
        Self { clock, copies, view, _touches: touches, space, last, kept, count: 0, at_once: Cell::new(0) }
    }

    fn get(&self, key: u8, scope: &Scope) -> Option<u64> {
        let (name, wanted) = (name(key), DecodedAs::new(TypeId::of::<u64>(), FormatId::default(), None));
        let parts = Parts::new(&self.space, name.as_bytes()).unwrap();
        let plain = scope.max_staleness.is_none() && scope.consistency != crate::Consistency::Authority;
        let take = |value: &Value| value.downcast_ref::<u64>().copied();
        let at_once = plain.then(|| self.view.decoded(&parts, self.now(), wanted, take));
        let value = self.view.try_decoded(&parts, scope, self.now(), &wanted, None);
        if let Some(Looked::Sure(found)) = at_once {
            assert_eq!(found, value.as_ref().and_then(take), "at once, and by its copy");
            self.at_once.set(self.at_once.get() + usize::from(found.is_some()));
        }
        let value = value?;
        let type_id = TypeId::of::<u64>();
        let others = [
            DecodedAs::new(TypeId::of::<u32>(), FormatId::default(), None),
            DecodedAs::new(type_id, FormatId(77), None),
            DecodedAs::new(type_id, FormatId::default(), Some(crate::Schema(1))),
        ];
        for other in others {
            assert!(self.view.try_decoded(&parts, scope, self.now(), &other, None).is_none(), "{other:?}");
            let take = |value: &Value| ((**value).type_id() == other.type_id).then_some(());
            let at_once = self.view.decoded(&parts, self.now(), other, take);
            assert!(matches!(at_once, Looked::Sure(None) | Looked::Unsure), "{other:?}");
        }
        Some(*value.downcast::<u64>().unwrap())
    }

    fn now(&self) -> crate::Tick {
        use crate::Clock as _;
        self.clock.now()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Insert(key, size, life, tagged) => {
                self.count += 1;
                let life = match life {
                    Some(units) => Lifetime::new(Duration::from_millis(20) * units.into()),
                    None => Lifetime::new(Duration::from_secs(10))
                        .and_then(|life| life.with_sliding(Duration::from_millis(500))),
                };
                let tags = if tagged { Tags::new([Tag::new("t").unwrap()]).unwrap() } else { Tags::NONE };
                let entry = NewEntry::new(vec![key; size.into()], life.unwrap()).with_tags(tags);
                let address = Address::plain(&self.space, name(key)).unwrap();
                let ticket = self.copies.ticket(&address);
                let entry = entry.into_entry(self.now(), Version(self.count), Sequence(self.sequence()));
                assert!(self.copies.insert(&address, entry, &ticket));
                self.last.insert(key, self.count);
                self.kept.remove(&key);
            }
            Step::Keep(key, weight) => {
                let name = name(key);
                let parts = Parts::new(&self.space, name.as_bytes()).unwrap();
                if let Some(entry) = self.view.try_hit(&parts, &Scope::default(), self.now()) {
                    let number = self.last[&key];
                    assert_eq!(entry.meta.version, Version(number));
                    self.view.keep_decoded(&parts, &entry, Arc::new(number), weight.into());
                    self.kept.entry(key).or_insert(number);
                }
            }
            Step::Get(key) => {
                let name = name(key);
                let parts = Parts::new(&self.space, name.as_bytes()).unwrap();
                let decoded = self.get(key, &Scope::default());
                let entry = self.view.try_hit(&parts, &Scope::default(), self.now());
                // The value of the copy that would be answered, and of no other.
                if let Some(number) = decoded {
                    assert_eq!(entry.map(|entry| entry.meta.version), Some(Version(number)));
                    assert_eq!(self.kept.get(&key), Some(&number));
                }
            }
            Step::Drop(key) => self.copies.drop_copy(&Address::plain(&self.space, name(key)).unwrap()),
            Step::Tag => {
                self.count += 1;
                let tag = Tag::new("t").unwrap();
                self.copies.apply(Invalidation::Tag(self.space.clone(), tag, Sequence(self.count)));
            }
            Step::DropSpace => self.copies.drop_all_of(&[Target::Space(self.space.clone())]),
            Step::Flush => self.copies.flush(),
            Step::Advance(units) => self.clock.advance(Duration::from_millis(10) * units.into()),
        }
    }

    /// Entries are of now: no earlier invalidation hides them.
    fn sequence(&self) -> u64 {
        self.count
    }
}

proptest! {
    #[test]
    fn a_decoded_value_lives_just_as_long_as_its_copy(steps in steps()) {
        let mut world = World::new(MIN_NEAR_BYTES);
        for step in &steps {
            world.step(step);
            let mut charged = 0;
            let shard = world.copies.shards[0].read();
            for id in (0..shard.end().0).map(crate::SlotId) {
                charged += usize::from(shard.get(id).is_some_and(|copy| copy.extra().decoded != 0));
            }
            prop_assert_eq!(shard.decoded_len(), charged, "after {:?}", step);
            prop_assert!(shard.bytes() <= MIN_NEAR_BYTES);
        }
        world.copies.flush();
        prop_assert_eq!(world.copies.shards[0].read().decoded_len(), 0);
    }
}

/// What is kept is answered, again and again: a hit that only its copy can judge, too.
#[test]
fn names_of_every_length_are_found_and_told_apart() {
    let mut world = World::new(MIN_NEAR_BYTES);
    for key in 0..24 {
        // Some slide, so that their copies are asked.
        let life = (key % 2 == 0).then_some(50);
        world.step(&Step::Insert(key, 8, life, key % 5 == 0));
        world.step(&Step::Keep(key, 8));
    }
    let all = |world: &World, scope: Scope| {
        (0..24).filter(|key| world.get(*key, &scope) == Some(u64::from(*key) + 1)).count()
    };
    let capped = |age| Scope { max_staleness: Some(Duration::from_millis(age)), ..Scope::default() };
    for _ in 0..2 {
        assert_eq!(all(&world, Scope::default()), 24);
        assert_eq!(world.at_once.take(), 12, "those that do not slide");
        assert_eq!(all(&world, capped(100)), 24);
    }
    let authority = Scope { consistency: crate::Consistency::Authority, ..Scope::default() };
    assert_eq!(all(&world, authority), 0);
    world.clock.advance(Duration::from_millis(400));
    assert_eq!(all(&world, capped(100)), 0, "too long ago");
    assert_eq!(all(&world, Scope::default()), 24);
    world.clock.advance(Duration::from_millis(400));
    assert_eq!(all(&world, Scope::default()), 24, "twelve slid on");
    world.step(&Step::Tag);
    assert_eq!(all(&world, Scope::default()), 24 - 5, "0, 5, 10, 15 and 20 were invalidated");
    world.clock.advance(Duration::from_millis(400));
    assert_eq!(all(&world, Scope::default()), 10, "those that slide, but for 5 and 15");
}

/// Handles on one space may each have a key of their own; handles on two never have the same.
#[test]
fn spaces_are_told_apart_by_what_they_are_called() {
    let mut world = World::new(MIN_NEAR_BYTES);
    for key in 0..24 {
        world.step(&Step::Insert(key, 8, Some(50), false));
        world.step(&Step::Keep(key, 8));
    }
    let keyspace = KeyspaceName::new("k").unwrap();
    let space = |tenant: &str| Space::new(Some(&crate::TenantId::new(tenant).unwrap()), &keyspace);
    // So many, because of most the hashes differ as well.
    let others = (0..500).map(|tenant| (space(&tenant.to_string()), 0));
    for (space, held) in others.chain([(Space::new(None, &keyspace), 24)]) {
        world.space = space;
        let found = (0..24).filter(|key| world.get(*key, &Scope::default()) == Some(u64::from(*key) + 1));
        assert_eq!((found.count(), world.at_once.take()), (held, held), "{:?}", world.space);
    }
}

/// Room that nobody needs any more is given back.
#[test]
fn a_shard_that_was_emptied_keeps_little_room() {
    let mut world = World::new(200 << 10);
    for key in 0..=255 {
        world.step(&Step::Insert(key, 0, Some(200), false));
        world.step(&Step::Keep(key, 0));
    }
    let room = |world: &World| world.copies.shards[0].read().decoded_room();
    assert!(world.copies.shards[0].read().decoded_len() > 200);
    let before = room(&world);
    (0..=255).for_each(|key| world.step(&Step::Drop(key)));
    assert!(room(&world) <= 64 && before > 200, "{before} to {}", room(&world));
}
