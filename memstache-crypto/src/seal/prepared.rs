//! Entry keys that were derived before: for values whose writer used one salt for many, and for values that are hot.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;

use crate::{
    envelope::{EntryKey, Parsed, SALT_LEN, Suite},
    key::KeyId,
};

/// Keys that are kept, each in the place that its salt gives it.
const PLACES: usize = 256;
/// Salts of which it is remembered that they were seen.
const SEEN: usize = 1_024;

/// One of so many misses takes the place of another key: where more values are hot than there is room for, taking each in
/// would cost more than it brings.
const ADMITS: u32 = 8;

/// The salt first: it tells most keys apart.
type Name = ([u8; SALT_LEN], KeyId, Suite);

/// The entry keys of salts that were seen more than once.
///
/// Found without a lock, and without counting references. It is asked only for keys whose data key was just given out: one
/// that was withdrawn opens nothing here.
pub(super) struct Prepared {
    seen: Box<[AtomicU64]>,
    places: Box<[ArcSwapOption<Kept>]>,
    misses: AtomicU32,
}

struct Kept {
    name: Name,
    key: EntryKey,
}

impl Kept {
    fn is_named(&self, parsed: &Parsed<'_>) -> bool {
        self.name.0 == *parsed.salt && self.name.1.as_bytes() == parsed.key_id && self.name.2 == parsed.suite
    }
}

impl Prepared {
    pub(super) fn new() -> Self {
        Self {
            seen: (0..SEEN).map(|_| AtomicU64::new(0)).collect(),
            places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect(),
            misses: AtomicU32::new(0),
        }
    }

    /// Uses the key of an envelope: a kept one, or one that is derived, and maybe kept if its salt is not new.
    #[inline(always)]
    pub(super) fn with<R>(
        &self,
        parsed: &Parsed<'_>,
        derive: impl FnOnce() -> EntryKey,
        use_it: impl FnOnce(&EntryKey) -> R,
    ) -> R {
        let salt = u64::from_ne_bytes(*parsed.salt.first_chunk().expect("a salt is longer"));
        let place = |count: usize| usize::try_from(salt % count as u64).expect("less than a count");
        // Salts are random: a value whose salt was not seen is not worth an allocation.
        let seen = &self.seen[place(SEEN)];
        let place = &self.places[place(PLACES)];
        if seen.load(Relaxed) == salt {
            let held = place.load();
            match held.as_deref() {
                Some(kept) if kept.is_named(parsed) => return use_it(&kept.key),
                Some(_) if !self.is_admitted() => {}
                _ => return use_it(&keep(place, parsed, derive).key),
            }
        } else {
            seen.store(salt, Relaxed);
        }
        use_it(&derive())
    }

    /// Whether a miss takes the place of another key.
    fn is_admitted(&self) -> bool {
        self.misses.fetch_add(1, Relaxed).is_multiple_of(ADMITS)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.places.iter().filter(|place| place.load().is_some()).count()
    }
}

/// Derives a key and keeps it.
#[cold]
#[inline(never)]
fn keep(place: &ArcSwapOption<Kept>, parsed: &Parsed<'_>, derive: impl FnOnce() -> EntryKey) -> Arc<Kept> {
    let kept = Arc::new(Kept { name: (*parsed.salt, KeyId::from_bytes(*parsed.key_id), parsed.suite), key: derive() });
    place.store(Some(Arc::clone(&kept)));
    kept
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{
        backend::Backend,
        envelope::parse,
        key::{DataKey, Secret},
    };

    /// An envelope that says to be of a salt.
    fn envelope(salt: u32) -> Vec<u8> {
        let mut bytes = vec![0; 120];
        bytes[..4].copy_from_slice(&[0xC1, 1, 1, 0]);
        bytes[20..24].copy_from_slice(&salt.to_le_bytes());
        bytes[24..28].copy_from_slice(&salt.to_le_bytes());
        bytes
    }

    #[test]
    fn a_salt_that_comes_again_is_derived_once_more_and_then_kept_within_bounds() {
        let (prepared, derived) = (Prepared::new(), Cell::new(0));
        let key = DataKey::new(Secret::from_bytes([1; 32]));
        let use_it = |salt: u32| {
            let bytes = envelope(salt);
            let parsed = parse(&bytes).unwrap();
            let derive = || {
                derived.set(derived.get() + 1);
                EntryKey::derive(Backend::ring(), &key, parsed.suite, parsed.salt)
            };
            prepared.with(&parsed, derive, |_| ());
        };
        for (expected, kept) in [(1, 0), (2, 1), (2, 1), (2, 1)] {
            use_it(9);
            assert_eq!((derived.get(), prepared.len()), (expected, kept));
        }
        for salt in 10..2_000 {
            use_it(salt);
        }
        assert_eq!(prepared.len(), 1, "salts that come once are not kept");
        for salt in 10..4_000 {
            use_it(salt);
            use_it(salt);
        }
        assert_eq!(prepared.len(), PLACES);
    }

    #[test]
    fn of_two_at_one_place_both_open_and_not_every_miss_takes_it() {
        let prepared = Prepared::new();
        let key = DataKey::new(Secret::from_bytes([1; 32]));
        let derived = Cell::new(0);
        // Both words of a salt are the same number here, so that these two meet at every place.
        let (one, two) = (envelope(1), envelope(1 + SEEN as u32 * PLACES as u32));
        let use_it = |bytes: &[u8]| {
            let parsed = parse(bytes).unwrap();
            let derive = || {
                derived.set(derived.get() + 1);
                EntryKey::derive(Backend::ring(), &key, parsed.suite, parsed.salt)
            };
            prepared.with(&parsed, derive, |_| ());
        };
        (0..3).for_each(|_| use_it(&one));
        assert_eq!((derived.get(), prepared.len()), (2, 1), "seen, then kept");
        use_it(&two);
        (0..80).for_each(|_| use_it(&two));
        assert!((3..=11).contains(&derived.get()), "{}", derived.get());
        derived.set(0);
        use_it(&one);
        assert_eq!((derived.get(), prepared.len()), (1, 1), "its place was taken");
    }
}
