//! Which nodes may have copies of which keys, and until when; pure.

use std::collections::HashMap;

use memstache_core::{Address, Tick};
use parking_lot::Mutex;

use super::MOST_HOT_KEYS;
use crate::member::NodeId;

/// Which nodes may have copies of which keys, and until when. Bounded: at most 1,024 keys, and a node once for each.
#[derive(Debug, Default)]
pub(super) struct Holders(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<Address, Vec<Holder>>,
    /// How many calls to drop copies each node was sent.
    numbers: HashMap<NodeId, u64>,
    /// How many copies were given.
    grants: u64,
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    id: NodeId,
    until: Tick,
    /// Which grant it was: several may be of the same tick.
    grant: u64,
}

/// What one node may have copies of.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::owner) struct Held {
    pub(super) by: NodeId,
    /// Which keys, and until when of each.
    pub(super) keys: Vec<(Address, Tick)>,
    /// Which call to drop copies it is that this node is sent.
    pub(super) number: u64,
    /// How many copies had been given by then.
    grants: u64,
}

impl Holders {
    /// Notes that a node may have a copy, unless as many others may have one.
    pub(super) fn grant(&self, address: &Address, to: NodeId, most: usize, until: Tick, now: Tick) -> bool {
        let known = &mut *self.0.lock();
        if known.keys.len() >= MOST_HOT_KEYS && !known.keys.contains_key(address) {
            known.forget_before(now);
            if known.keys.len() >= MOST_HOT_KEYS {
                return false;
            }
        }
        let holders = known.keys.entry(address.clone()).or_default();
        holders.retain(|holder| holder.until > now);
        if holders.iter().filter(|holder| holder.id != to).count() >= most {
            return false;
        }
        known.grants += 1;
        let grant = known.grants;
        match holders.iter_mut().find(|holder| holder.id == to) {
            Some(holder) => (holder.until, holder.grant) = (holder.until.max(until), grant),
            None => holders.push(Holder { id: to, until, grant }),
        }
        true
    }

    /// Returns who may have copies of some of these keys, and takes a number for telling each of them.
    pub(super) fn of(&self, addresses: &[Address], now: Tick) -> Vec<Held> {
        let mut known = self.0.lock();
        if known.keys.is_empty() {
            return Vec::new();
        }
        let mut all: Vec<Held> = Vec::new();
        for address in addresses {
            let holders = known.keys.get(address).into_iter().flatten().filter(|holder| holder.until > now);
            for holder in holders {
                let at = all.iter().position(|held| held.by == holder.id).unwrap_or_else(|| {
                    all.push(Held { by: holder.id, keys: Vec::new(), number: 0, grants: known.grants });
                    all.len() - 1
                });
                all[at].keys.push((address.clone(), holder.until));
            }
        }
        for held in &mut all {
            let number = known.numbers.entry(held.by).or_default();
            *number += 1;
            held.number = *number;
        }
        all
    }

    /// Forgets what a node has dropped, but for what it was given anew meanwhile.
    pub(super) fn dropped(&self, held: &Held) {
        let mut known = self.0.lock();
        for (address, _) in &held.keys {
            let Some(holders) = known.keys.get_mut(address) else { continue };
            holders.retain(|holder| holder.id != held.by || holder.grant > held.grants);
            if holders.is_empty() {
                known.keys.remove(address);
            }
        }
    }

    /// Returns how many nodes may have a copy of a key.
    pub(super) fn count(&self, address: &Address, now: Tick) -> usize {
        let known = self.0.lock();
        known.keys.get(address).into_iter().flatten().filter(|holder| holder.until > now).count()
    }

    /// Returns until when somebody may have a copy of anything who is none of these.
    pub(super) fn until_of_others(&self, is_member: impl Fn(NodeId) -> bool) -> Tick {
        let known = self.0.lock();
        let others = known.keys.values().flatten().filter(|holder| !is_member(holder.id));
        others.map(|holder| holder.until).max().unwrap_or(Tick::from_millis(0))
    }

    /// Forgets how many calls those were sent who are none of these.
    pub(super) fn forget_others(&self, is_member: impl Fn(NodeId) -> bool) {
        self.0.lock().numbers.retain(|id, _| is_member(*id));
    }
}

impl Known {
    fn forget_before(&mut self, now: Tick) {
        self.keys.retain(|_, holders| {
            holders.retain(|holder| holder.until > now);
            !holders.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::{KeyspaceName, Space};

    use super::*;

    fn address(name: &str) -> Address {
        Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
    }

    fn at(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    #[test]
    fn so_many_may_have_a_copy_and_who_has_one_is_told_until_it_ends() {
        let (holders, key, other) = (Holders::default(), address("key"), address("other"));
        assert!(holders.of(std::slice::from_ref(&key), at(0)).is_empty());
        assert!(!holders.grant(&key, A, 0, at(10), at(0)));
        assert!(holders.grant(&key, A, 1, at(10), at(0)));
        assert!(!holders.grant(&key, B, 1, at(10), at(5)), "one is all");
        assert!(holders.grant(&key, A, 1, at(15), at(5)), "who has it may have it longer");
        assert!(holders.grant(&key, B, 2, at(12), at(5)));
        assert!(holders.grant(&other, B, 1, at(20), at(5)));
        assert_eq!((holders.count(&key, at(11)), holders.count(&key, at(12)), holders.count(&key, at(15))), (2, 1, 0));
        let held = holders.of(&[key.clone(), other.clone(), address("third")], at(11));
        let of_b = Held { by: B, keys: vec![(key.clone(), at(12)), (other, at(20))], number: 1, grants: 4 };
        assert_eq!(held, [Held { by: A, keys: vec![(key.clone(), at(15))], number: 1, grants: 4 }, of_b]);
        let again = holders.of(std::slice::from_ref(&key), at(13));
        assert_eq!(
            again,
            [Held { by: A, keys: vec![(key, at(15))], number: 2, grants: 4 }],
            "until it confirms, or the lease ends"
        );
    }

    #[test]
    fn what_was_given_anew_while_it_was_dropped_is_known() {
        let (holders, key) = (Holders::default(), address("key"));
        holders.grant(&key, A, 1, at(10), at(0));
        let held = holders.of(std::slice::from_ref(&key), at(1)).remove(0);
        assert!(holders.grant(&key, A, 1, at(10), at(1)), "in the same tick");
        holders.dropped(&held);
        assert_eq!(holders.count(&key, at(1)), 1);
        holders.dropped(&holders.of(std::slice::from_ref(&key), at(1))[0]);
        assert_eq!(holders.count(&key, at(1)), 0);
        assert!(holders.0.lock().keys.is_empty());
    }

    #[test]
    fn keys_are_bounded_and_who_left_is_waited_out() {
        let holders = Holders::default();
        for n in 0..2 * MOST_HOT_KEYS {
            assert_eq!(holders.grant(&address(&n.to_string()), A, 1, at(10), at(0)), n < MOST_HOT_KEYS);
        }
        assert!(holders.grant(&address("new"), B, 1, at(30), at(10)), "what has ended makes room");
        assert_eq!(holders.0.lock().keys.len(), 1);
        assert_eq!(holders.until_of_others(|id| id == B), at(0));
        assert_eq!(holders.until_of_others(|id| id == A), at(30));
    }
}
