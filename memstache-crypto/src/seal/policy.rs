//! Which keyspaces are sealed, and the spaces that were seen.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, Hasher as _},
    sync::OnceLock,
};

use foldhash::quality::RandomState;
use memstache_core::{Address, EntryOptions, KeyspaceName, Space};

/// Spaces that are remembered at most; others are made anew for each call.
const PLACES: usize = 4_096;
/// Places of which a space may have one.
const PROBES: usize = 4;

/// Whether a keyspace is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Everything in it is; what is not was put there by somebody else.
    Sealed,
    /// What asks for it is.
    Plain,
}

/// What is to be done with an entry on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Seal,
    Leave,
    /// It asks for what its keyspace does not allow.
    Refuse,
}

impl Policy {
    pub(super) fn way(self, options: EntryOptions) -> Way {
        match (self, options.encrypt) {
            (Self::Sealed, Some(false)) => Way::Refuse,
            (Self::Plain, Some(false) | None) => Way::Leave,
            (Self::Sealed, _) | (Self::Plain, Some(true)) => Way::Seal,
        }
    }
}

/// The choice for each keyspace.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    pub(super) plain_by_default: bool,
    named: HashMap<Box<str>, Policy>,
}

impl Policies {
    pub(super) fn set(&mut self, keyspace: &KeyspaceName, plain: bool) {
        self.named.insert(keyspace.as_str().into(), if plain { Policy::Plain } else { Policy::Sealed });
    }

    fn of(&self, keyspace: &str) -> Policy {
        let default = if self.plain_by_default { Policy::Plain } else { Policy::Sealed };
        self.named.get(keyspace).copied().unwrap_or(default)
    }
}

/// A space, and whether it is sealed.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) space: Space,
    pub(super) policy: Policy,
}

/// The spaces of addresses: an address has none that could be borrowed.
///
/// Places are filled once and never emptied, so that who looks takes no lock and counts no reference.
pub(super) struct Spaces {
    policies: Policies,
    hasher: RandomState,
    places: Box<[OnceLock<Known>]>,
}

impl Spaces {
    pub(super) fn new(policies: Policies) -> Self {
        let places = (0..PLACES).map(|_| OnceLock::new()).collect();
        Self { policies, hasher: RandomState::default(), places }
    }

    /// Uses what is known of an address's space.
    #[inline(always)]
    pub(super) fn with<R>(&self, address: &Address, use_it: impl FnOnce(&Known) -> R) -> R {
        let key = address.space_key();
        // The bytes alone: their length is in them.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        // The remainder is below the number of places.
        let first = hasher.finish() as usize % PLACES;
        for at in first..first + PROBES {
            let known = self.places[at % PLACES].get_or_init(|| self.make(address));
            if known.space.key() == key {
                return use_it(known);
            }
        }
        use_it(&self.make(address))
    }

    #[cold]
    fn make(&self, address: &Address) -> Known {
        Known { space: address.space(), policy: self.policies.of(address.keyspace()) }
    }
}

impl fmt::Debug for Spaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spaces").field("policies", &self.policies).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyspace(name: &str) -> KeyspaceName {
        KeyspaceName::new(name).unwrap()
    }

    #[test]
    fn keyspaces_that_are_named_are_as_named_and_others_by_default() {
        for (plain_by_default, usual) in [(false, Policy::Sealed), (true, Policy::Plain)] {
            let mut policies = Policies { plain_by_default, ..Policies::default() };
            policies.set(&keyspace("plain"), true);
            policies.set(&keyspace("sealed"), false);
            let spaces = Spaces::new(policies);
            let of = |name: &str| {
                let space = Space::new(None, &keyspace(name));
                spaces.with(&Address::plain(&space, "k").unwrap(), |known| known.policy)
            };
            assert_eq!(
                [of("any"), of("plain"), of("sealed"), of("any")],
                [usual, Policy::Plain, Policy::Sealed, usual]
            );
        }
    }

    #[test]
    fn an_entry_may_ask_for_more_and_not_for_less() {
        let ways = |policy: Policy| {
            [None, Some(true), Some(false)]
                .map(|encrypt| policy.way(EntryOptions { encrypt, ..EntryOptions::default() }))
        };
        assert_eq!(ways(Policy::Sealed), [Way::Seal, Way::Seal, Way::Refuse]);
        assert_eq!(ways(Policy::Plain), [Way::Leave, Way::Seal, Way::Leave]);
    }

    #[test]
    fn every_space_is_found_also_beyond_what_is_remembered() {
        let spaces = Spaces::new(Policies::default());
        for round in 0..2 {
            for n in 0..2 * PLACES {
                let space = Space::new(None, &keyspace(&format!("k{n}")));
                let found = spaces.with(&Address::plain(&space, "k").unwrap(), |known| known.space.clone());
                assert_eq!(found, space, "{round}");
            }
        }
        assert!(spaces.places.iter().filter(|place| place.get().is_some()).count() > PLACES / 2);
    }
}
