//! Which keyspaces are sealed, and the spaces that were seen.

use std::collections::HashMap;

use memstache_core::{Address, EntryOptions, KeyspaceName, Space};
use parking_lot::RwLock;

/// Spaces that are remembered; others are made anew for each call.
const MAX_SPACES: usize = 4_096;

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

/// The spaces of addresses, with their policies: an address has no space that could be borrowed.
#[derive(Debug)]
pub(super) struct Spaces {
    policies: Policies,
    seen: RwLock<HashMap<Box<[u8]>, (Space, Policy)>>,
}

impl Spaces {
    pub(super) fn new(policies: Policies) -> Self {
        Self { policies, seen: RwLock::default() }
    }

    pub(super) fn of(&self, address: &Address) -> (Space, Policy) {
        if let Some(known) = self.seen.read().get(address.space_key()) {
            return known.clone();
        }
        let made = (address.space(), self.policies.of(address.keyspace()));
        let mut seen = self.seen.write();
        if seen.len() < MAX_SPACES {
            seen.insert(address.space_key().into(), made.clone());
        }
        made
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
                spaces.of(&Address::plain(&space, "k").unwrap()).1
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
    fn no_more_spaces_are_remembered_than_there_is_room_for() {
        let spaces = Spaces::new(Policies::default());
        for n in 0..MAX_SPACES + 10 {
            let space = Space::new(None, &keyspace(&format!("k{n}")));
            assert_eq!(spaces.of(&Address::plain(&space, "k").unwrap()).0, space);
        }
        assert_eq!(spaces.seen.read().len(), MAX_SPACES);
    }
}
