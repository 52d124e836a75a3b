//! The entries of one shard by tenant, each tenant's in the order in which they were written.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{
    address::Space,
    memory::{
        policy::{
            SlotId,
            list::{Links, Queue},
        },
        slab::{Column, Slab},
    },
};

/// Tenants whose load is asked for at a time, beside the writer's and the one that was loaded most the last time.
const TENANTS: usize = 16;
/// Places looked at for them.
const PLACES: u32 = 64;
/// Entries of a tenant that are compared at a time.
const ENTRIES: usize = 8;

/// Which entries are whose; twelve bytes an entry, and about fifty a tenant for as long as it has an entry here.
///
/// A row is a tenant, or the shared space. With more of them than are asked at a time the search goes round, and does
/// not forget whom it found last: Mitzenmacher, Prabhakar and Shah, [Load balancing with memory] (FOCS 2002).
///
/// [Load balancing with memory]: https://doi.org/10.1109/SFCS.2002.1181957
pub(crate) struct Queues {
    rows: Slab<Row>,
    index: HashTable<u32>,
    hasher: RandomState,
    links: Links,
    /// The row of each slot that is in a queue.
    of: Column<u32>,
    /// Where the next search begins.
    next: u32,
    /// The row that was loaded most when somebody asked last; may be gone.
    last: u32,
}

struct Row {
    /// Any space of the tenant.
    space: Space,
    queue: Queue,
}

impl Queues {
    pub(crate) fn new() -> Self {
        Self {
            rows: Slab::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            links: Links::new(),
            of: Column::new(),
            next: 0,
            last: 0,
        }
    }

    /// Takes in a new entry of a space, as the newest of its tenant.
    pub(crate) fn insert(&mut self, slot: SlotId, space: &Space) {
        let id = self.row(space.tenant()).unwrap_or_else(|| self.begin(space));
        if let Some((row, ())) = self.rows.both_mut(id) {
            row.queue.push(&mut self.links, slot);
            *self.of.at(slot.0) = id;
        }
    }

    fn begin(&mut self, space: &Space) -> u32 {
        let (id, ()) = self.rows.insert(Row { space: space.clone(), queue: Queue::new() }, ());
        let (rows, hasher) = (&self.rows, &self.hasher);
        let hash = |id: &u32| hasher.hash_one(rows.get(*id).and_then(|row| row.space.tenant()));
        self.index.insert_unique(hasher.hash_one(space.tenant()), id, hash);
        id
    }

    /// Lets an entry go; forgets its tenant if it was the last.
    pub(crate) fn remove(&mut self, slot: SlotId) {
        let Some(id) = self.row_of(slot) else { return };
        let Some((row, ())) = self.rows.both_mut(id) else { return };
        row.queue.remove(&mut self.links, slot);
        if row.queue.is_empty()
            && let Some((gone, ())) = self.rows.remove(id, |_, ()| ())
            && let Ok(found) = self.index.find_entry(self.hasher.hash_one(gone.space.tenant()), |held| *held == id)
        {
            found.remove();
        }
    }

    /// Makes an entry the newest of its tenant.
    pub(crate) fn renew(&mut self, slot: SlotId) {
        if let Some(id) = self.row_of(slot)
            && let Some((row, ())) = self.rows.both_mut(id)
        {
            row.queue.renew(&mut self.links, slot);
        }
    }

    fn row_of(&self, slot: SlotId) -> Option<u32> {
        self.of.get(slot.0).copied().filter(|_| self.links.contains(slot))
    }

    /// Returns the row of a tenant that has entries here.
    pub(crate) fn row(&self, tenant: Option<&str>) -> Option<u32> {
        let same = |id: &u32| self.rows.get(*id).is_some_and(|row| row.space.tenant() == tenant);
        self.index.find(self.hasher.hash_one(tenant), same).copied()
    }

    /// Names the row that is loaded most, and at least as much as is said: of all, if they are few, else of some, the
    /// writer's always among them. Also returns whether it is the writer's; of two alike, another's.
    pub(crate) fn most_loaded(
        &mut self,
        writer: Option<&str>,
        least: f64,
        load: impl Fn(Option<&str>) -> f64,
    ) -> Option<(u32, bool)> {
        let own = self.row(writer);
        let mut most = own.map(|id| (id, load(writer)));
        let (begin, end) = (self.next, self.rows.end());
        let mut look = |id: u32| {
            let Some(row) = self.rows.get(id).filter(|_| Some(id) != own) else { return false };
            let load = load(row.space.tenant());
            if load >= least && most.is_none_or(|(_, most)| load >= most) {
                most = Some((id, load));
            }
            true
        };
        look(self.last);
        let mut looked = 0;
        for step in 0..end.min(PLACES) {
            let id = (begin % end + step) % end;
            self.next = id + 1;
            looked += usize::from(look(id));
            if looked == TENANTS {
                break;
            }
        }
        let (id, load) = most?;
        self.last = id;
        (load >= least).then_some((id, Some(id) == own))
    }

    /// Names the entry of a row that is worth least among the oldest, of several the oldest; those worth more get
    /// another turn.
    pub(crate) fn victim(
        &mut self,
        row: u32,
        but: Option<SlotId>,
        mut worth: impl FnMut(SlotId) -> u32,
    ) -> Option<SlotId> {
        let oldest = self.rows.get(row)?.queue.oldest();
        let mut seen = [(SlotId(0), 0); ENTRIES];
        let walk = std::iter::successors(oldest, |slot| self.links.newer(*slot)).take(ENTRIES + 1);
        let others = walk.filter(|slot| Some(*slot) != but);
        let count = seen.iter_mut().zip(others).map(|(place, slot)| *place = (slot, worth(slot))).count();
        let (victim, least) = seen[..count].iter().copied().min_by_key(|(_, worth)| *worth)?;
        for (slot, worth) in &seen[..count] {
            if *worth > least {
                self.renew(*slot);
            }
        }
        Some(victim)
    }

    /// Returns how many tenants have entries here.
    #[cfg(test)]
    pub(crate) fn tenants(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::{KeyspaceName, TenantId};

    fn space(tenant: usize) -> Space {
        let tenant = (tenant > 0).then(|| TenantId::new(format!("t{tenant}")).unwrap());
        Space::new(tenant.as_ref(), &KeyspaceName::new("k").unwrap())
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32, usize),
        Remove(u32),
        Renew(u32),
        Victim(usize, Option<u32>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..100u32, 0..6usize).prop_map(|(slot, tenant)| Step::Insert(slot, tenant)),
            2 => (0..100u32).prop_map(Step::Remove),
            2 => (0..100u32).prop_map(Step::Renew),
            3 => (0..6usize, prop::option::of(0..100u32)).prop_map(|(tenant, but)| Step::Victim(tenant, but)),
        ];
        prop::collection::vec(step, 0..300)
    }

    /// Some are worth more than others.
    fn worth(slot: u32) -> u32 {
        slot % 3
    }

    proptest! {
        #[test]
        fn the_least_worth_of_the_oldest_goes_and_better_ones_get_another_turn(steps in steps()) {
            let mut queues = Queues::new();
            let mut naive: Vec<Vec<u32>> = vec![Vec::new(); 6];
            for step in steps {
                match step {
                    Step::Insert(slot, tenant) if naive.iter().all(|queue| !queue.contains(&slot)) => {
                        queues.insert(SlotId(slot), &space(tenant));
                        naive[tenant].push(slot);
                    }
                    Step::Insert(..) => {}
                    Step::Remove(slot) => {
                        queues.remove(SlotId(slot));
                        naive.iter_mut().for_each(|queue| queue.retain(|held| *held != slot));
                    }
                    Step::Renew(slot) => {
                        queues.renew(SlotId(slot));
                        if let Some(queue) = naive.iter_mut().find(|queue| queue.contains(&slot)) {
                            queue.retain(|held| *held != slot);
                            queue.push(slot);
                        }
                    }
                    Step::Victim(tenant, but) => {
                        let row = queues.row(space(tenant).tenant());
                        prop_assert_eq!(row.is_some(), !naive[tenant].is_empty());
                        let named = row.and_then(|row| queues.victim(row, but.map(SlotId), |slot| worth(slot.0)));
                        let seen: Vec<u32> =
                            naive[tenant].iter().copied().filter(|slot| Some(*slot) != but).take(ENTRIES).collect();
                        let least = seen.iter().copied().min_by_key(|slot| worth(*slot));
                        prop_assert_eq!(named.map(|slot| slot.0), least);
                        for slot in seen.iter().filter(|slot| least.is_some_and(|least| worth(**slot) > worth(least))) {
                            naive[tenant].retain(|held| held != slot);
                            naive[tenant].push(*slot);
                        }
                    }
                }
                prop_assert_eq!(queues.tenants(), naive.iter().filter(|queue| !queue.is_empty()).count());
            }
        }
    }

    /// Makes rows for as many tenants, with an entry each.
    fn rows(tenants: usize) -> Queues {
        let mut queues = Queues::new();
        (0..tenants).for_each(|tenant| queues.insert(SlotId(tenant as u32), &space(tenant)));
        queues
    }

    fn load_of(heavy: &str) -> impl Fn(Option<&str>) -> f64 {
        move |tenant| if tenant == Some(heavy) { 5.0 } else { 0.5 }
    }

    #[test]
    fn of_few_tenants_the_most_loaded_is_found_at_once() {
        let mut queues = rows(TENANTS);
        let (row, own) = queues.most_loaded(Some("t3"), 0.5, load_of("t11")).unwrap();
        assert_eq!((Some(row), own), (queues.row(Some("t11")), false));
        let (row, own) = queues.most_loaded(Some("t11"), 5.0, load_of("t11")).unwrap();
        assert_eq!((Some(row), own), (queues.row(Some("t11")), true));
    }

    #[test]
    fn of_many_the_most_loaded_is_found_in_a_round_and_not_forgotten() {
        let mut queues = rows(20 * TENANTS);
        let heavy = queues.row(Some("t300"));
        let found = |queues: &mut Queues| queues.most_loaded(Some("t3"), 0.1, load_of("t300")).unwrap().0;
        let rounds = (0..21).position(|_| Some(found(&mut queues)) == heavy).unwrap();
        assert!(rounds > 0, "not all are asked at a time");
        (0..100).for_each(|_| assert_eq!(Some(found(&mut queues)), heavy));
    }

    #[test]
    fn nobody_is_named_who_is_loaded_less_than_the_writer() {
        let mut queues = rows(4);
        assert_eq!(queues.most_loaded(Some("stranger"), 6.0, load_of("t1")), None);
        let (row, own) = queues.most_loaded(Some("t2"), 0.5, |_| 0.5).unwrap();
        assert!(!own && queues.row(Some("t2")) != Some(row), "of two alike, another");
        assert_eq!(Queues::new().most_loaded(None, 0.0, |_| 1.0), None);
    }
}
