//! Entry keys that were derived before: for values whose writer used one salt for many, and for values that are hot.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{
    envelope::{EntryKey, Parsed, SALT_LEN, Suite},
    key::KeyId,
};

const SHARDS: usize = 16;
/// Keys of a shard.
const KEPT: usize = 16;
/// Salts of which it is remembered that they were seen.
const SEEN: usize = 1_024;

/// One of so many misses takes the place of another key: where more values are hot than there is room for, taking each in
/// would cost more than it brings.
const ADMITS: u32 = 8;

/// The salt first: it tells most keys apart.
type Name = ([u8; SALT_LEN], KeyId, Suite);

/// The entry keys of salts that were seen more than once, the least recently used going first.
///
/// It is asked only for keys whose data key was just given out: one that was withdrawn opens nothing here.
pub(super) struct Prepared {
    seen: Box<[AtomicU64]>,
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Default)]
struct Shard {
    /// The most recently used is the last.
    keys: Vec<(Name, Arc<EntryKey>)>,
    misses: u32,
}

impl Prepared {
    pub(super) fn new() -> Self {
        Self {
            seen: (0..SEEN).map(|_| AtomicU64::new(0)).collect(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Uses the key of an envelope: a kept one, or one that is derived, and maybe kept if its salt is not new.
    #[inline]
    pub(super) fn with<R>(
        &self,
        parsed: &Parsed<'_>,
        derive: impl FnOnce() -> EntryKey,
        use_it: impl FnOnce(&EntryKey) -> R,
    ) -> R {
        let salt = u64::from_ne_bytes(*parsed.salt.first_chunk().expect("a salt is longer"));
        let place = |count: usize| usize::try_from(salt % count as u64).expect("less than a count");
        // Salts are random: a value whose salt was not seen is not worth a lock and an allocation.
        let seen = &self.seen[place(SEEN)];
        if seen.load(Relaxed) != salt {
            seen.store(salt, Relaxed);
            return use_it(&derive());
        }
        let name = (*parsed.salt, parsed.key_id, parsed.suite);
        let shard = &self.shards[place(SHARDS)];
        // Apart from the match, which would hold the lock to its end: nobody decrypts under it.
        let found = shard.lock().find(&name);
        match found {
            Found::Kept(key) => return use_it(&key),
            Found::Passed => return use_it(&derive()),
            Found::Admitted => {}
        }
        let key = Arc::new(derive());
        let dropped = shard.lock().keep(name, Arc::clone(&key));
        drop(dropped);
        use_it(&key)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().keys.len()).sum()
    }
}

enum Found {
    Kept(Arc<EntryKey>),
    /// Not here, and not to be kept.
    Passed,
    /// Not here, and to be kept.
    Admitted,
}

impl Shard {
    fn find(&mut self, name: &Name) -> Found {
        let Some(at) = self.keys.iter().rposition(|(kept, _)| kept == name) else {
            self.misses = self.misses.wrapping_add(1);
            let admitted = self.keys.len() < KEPT || self.misses.is_multiple_of(ADMITS);
            return if admitted { Found::Admitted } else { Found::Passed };
        };
        let key = Arc::clone(&self.keys[at].1);
        self.keys[at..].rotate_left(1);
        Found::Kept(key)
    }

    /// Returns what had to go for it.
    fn keep(&mut self, name: Name, key: Arc<EntryKey>) -> Option<(Name, Arc<EntryKey>)> {
        let gone = if self.keys.len() == KEPT { Some(self.keys.remove(0)) } else { None };
        self.keys.push((name, key));
        gone
    }
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
        assert_eq!(prepared.len(), SHARDS * KEPT);
    }

    #[test]
    fn the_least_recently_used_goes_and_not_every_miss_takes_its_place() {
        let key = DataKey::new(Secret::from_bytes([1; 32]));
        let name = |n: u8| ([n; SALT_LEN], key.id(), Suite::Aes256Gcm);
        let entry_key = || Arc::new(EntryKey::derive(Backend::ring(), &key, Suite::Aes256Gcm, &[0; SALT_LEN]));
        let mut shard = Shard::default();
        for n in 0..16 {
            assert!(matches!(shard.find(&name(n)), Found::Admitted));
            assert!(shard.keep(name(n), entry_key()).is_none());
        }
        assert!(matches!(shard.find(&name(0)), Found::Kept(_)));
        let admitted = (0..80).filter(|_| matches!(shard.find(&name(99)), Found::Admitted)).count();
        assert_eq!(admitted, 10);
        assert_eq!(shard.keep(name(99), entry_key()).unwrap().0, name(1));
        assert!(matches!(shard.find(&name(0)), Found::Kept(_)));
        assert!(!matches!(shard.find(&name(1)), Found::Kept(_)));
    }
}
