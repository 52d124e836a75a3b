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

type Name = (KeyId, Suite, [u8; SALT_LEN]);

/// The entry keys of salts that were seen more than once, the least recently used going first.
///
/// It is asked only for keys whose data key was just given out: one that was withdrawn opens nothing here.
pub(super) struct Prepared {
    seen: Box<[AtomicU64]>,
    shards: Box<[Mutex<Vec<(Name, Arc<EntryKey>)>>]>,
}

impl Prepared {
    pub(super) fn new() -> Self {
        Self {
            seen: (0..SEEN).map(|_| AtomicU64::new(0)).collect(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Uses the key of an envelope: a kept one, or one that is derived and kept if its salt is not new.
    pub(super) fn with<R>(
        &self,
        parsed: &Parsed<'_>,
        derive: impl FnOnce() -> EntryKey,
        use_it: impl FnOnce(&EntryKey) -> R,
    ) -> R {
        let salt = u64::from_ne_bytes(*parsed.salt.first_chunk().expect("a salt is longer"));
        let place = |count: usize| usize::try_from(salt % count as u64).expect("less than a count");
        // Salts are random: a value whose salt was not seen is not worth a lock and an allocation.
        if self.seen[place(SEEN)].swap(salt, Relaxed) != salt {
            return use_it(&derive());
        }
        let name = (parsed.key_id, parsed.suite, *parsed.salt);
        let shard = &self.shards[place(SHARDS)];
        if let Some(key) = find(&mut shard.lock(), &name) {
            return use_it(&key);
        }
        let key = Arc::new(derive());
        let dropped = keep(&mut shard.lock(), name, Arc::clone(&key));
        drop(dropped);
        use_it(&key)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

fn find(shard: &mut Vec<(Name, Arc<EntryKey>)>, name: &Name) -> Option<Arc<EntryKey>> {
    let at = shard.iter().rposition(|(kept, _)| kept == name)?;
    let found = shard.remove(at);
    let key = Arc::clone(&found.1);
    shard.push(found);
    Some(key)
}

/// Returns what had to go for it.
fn keep(shard: &mut Vec<(Name, Arc<EntryKey>)>, name: Name, key: Arc<EntryKey>) -> Option<(Name, Arc<EntryKey>)> {
    let gone = if shard.len() == KEPT { Some(shard.remove(0)) } else { None };
    shard.push((name, key));
    gone
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
        for salt in 10..2_000 {
            use_it(salt);
            use_it(salt);
        }
        assert_eq!(prepared.len(), SHARDS * KEPT);
    }

    #[test]
    fn the_least_recently_used_goes() {
        let key = DataKey::new(Secret::from_bytes([1; 32]));
        let name = |n: u8| (key.id(), Suite::Aes256Gcm, [n; SALT_LEN]);
        let entry_key = || Arc::new(EntryKey::derive(Backend::ring(), &key, Suite::Aes256Gcm, &[0; SALT_LEN]));
        let mut shard = Vec::new();
        for n in 0..16 {
            assert!(keep(&mut shard, name(n), entry_key()).is_none());
        }
        assert!(find(&mut shard, &name(0)).is_some());
        assert_eq!(keep(&mut shard, name(99), entry_key()).unwrap().0, name(1));
        assert!(find(&mut shard, &name(0)).is_some() && find(&mut shard, &name(1)).is_none());
    }
}
