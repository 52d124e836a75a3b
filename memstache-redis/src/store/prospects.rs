//! What reads of a keyspace came to lately: whether it is worth trying without a script first.

use std::{
    hash::{BuildHasher, Hash},
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use foldhash::fast::RandomState;
use memstache_core::Address;

use super::get::Mode;

/// Guesses that are kept; keyspaces that share one mislead each other to no harm but a slower read.
const PLACES: usize = 1_024;
/// A second round trip costs more than a script does: plain reads are tried while at most a third of them were in vain.
const IN_VAIN: u8 = 2;
const ENOUGH: u8 = 1;
const MOST: u8 = 12;
const TRUSTED_BELOW: u8 = 6;

/// A plain read costs the server little, and answers what is fresh, or missing to who does not want to load it. Where it is
/// in vain as a rule, a script is asked at once: one round trip either way.
#[derive(Debug)]
pub(super) struct Prospects {
    places: Box<[AtomicU8]>,
    hasher: RandomState,
}

impl Default for Prospects {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU8::new(0)).collect(), hasher: RandomState::default() }
    }
}

impl Prospects {
    /// Returns whether a plain read would probably be in vain.
    pub(super) fn are_bad(&self, address: &Address, mode: Mode) -> bool {
        self.place(address, mode).load(Relaxed) >= TRUSTED_BELOW
    }

    /// Takes note of a read: whether a plain one was in vain, or would have been.
    pub(super) fn note(&self, address: &Address, mode: Mode, in_vain: bool) {
        let place = self.place(address, mode);
        let level = place.load(Relaxed);
        let next = if in_vain { (level + IN_VAIN).min(MOST) } else { level.saturating_sub(ENOUGH) };
        // Most of the time there is nothing to write, and nobody else's cache line to take. A lost note is no loss.
        if next != level {
            place.store(next, Relaxed);
        }
    }

    fn place(&self, address: &Address, mode: Mode) -> &AtomicU8 {
        let mut hasher = self.hasher.build_hasher();
        (address.tenant(), address.keyspace(), mode == Mode::Lease).hash(&mut hasher);
        let hash = std::hash::Hasher::finish(&hasher);
        &self.places[hash as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::{KeyspaceName, Space};

    use super::*;

    #[test]
    fn what_was_in_vain_more_than_a_third_of_the_time_is_not_tried() {
        let prospects = Prospects::default();
        let address = Address::plain(&Space::new(None, &KeyspaceName::new("items").unwrap()), "k").unwrap();
        let bad = |mode| prospects.are_bad(&address, mode);
        assert!(!bad(Mode::Lease), "at first it is tried");
        (0..2).for_each(|_| prospects.note(&address, Mode::Lease, true));
        assert!(!bad(Mode::Lease));
        prospects.note(&address, Mode::Lease, true);
        assert!(bad(Mode::Lease) && !bad(Mode::Report), "who does not load is another matter");
        (0..100).for_each(|_| prospects.note(&address, Mode::Lease, true));
        (0..6).for_each(|_| prospects.note(&address, Mode::Lease, false));
        assert!(bad(Mode::Lease));
        prospects.note(&address, Mode::Lease, false);
        assert!(!bad(Mode::Lease), "it is not held against it for ever");
    }
}
