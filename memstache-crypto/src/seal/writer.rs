//! How often a writer derives a key: for each entry, or for many.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use foldhash::quality::RandomState;
use memstache_core::{Error, Result, Tick};
use parking_lot::Mutex;

use crate::{
    backend::{Backend, NONCE_LEN},
    envelope::{EntryKey, SALT_LEN, Suite},
    key::{DataKey, KeyId},
    random::Random,
};

/// Most messages that one key may seal under random nonces (NIST SP 800-38D, §8.3).
pub(super) const MOST_MESSAGES: u64 = 1 << 32;
/// Data keys whose entry keys are held.
const MOST_KEYS: usize = 1_024;

/// How often a writer derives a key; readers do not care, and the wire is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Subkeys {
    /// A key for each entry: no limit is ever near.
    #[default]
    PerEntry,
    /// A key for as many entries as one writer seals within these limits: cheaper by a derivation and a key setup.
    PerWriter {
        /// At most so many entries under one key, from 1 to 2^32; [`DEFAULT_MAX_MESSAGES`](Self::DEFAULT_MAX_MESSAGES) is a
        /// good value.
        max_messages: u64,
        /// For so long at most, above zero; [`DEFAULT_MAX_AGE`](Self::DEFAULT_MAX_AGE) is a good value.
        max_age: Duration,
    },
}

impl Subkeys {
    /// 2^28: two nonces of one key are the same with a chance of 2^-41.
    pub const DEFAULT_MAX_MESSAGES: u64 = 1 << 28;
    /// Ten minutes.
    pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(600);

    /// One key for many entries, within the default limits.
    pub const fn per_writer() -> Self {
        Self::PerWriter { max_messages: Self::DEFAULT_MAX_MESSAGES, max_age: Self::DEFAULT_MAX_AGE }
    }

    /// What is wrong with it.
    pub(super) fn wrong(self) -> impl Iterator<Item = Error> {
        let (messages, age) = match self {
            Self::PerEntry => (None, None),
            Self::PerWriter { max_messages, max_age } => (Some(max_messages), Some(max_age)),
        };
        let messages = messages.filter(|messages| !(1..=MOST_MESSAGES).contains(messages));
        let age = age.filter(Duration::is_zero);
        let messages = messages.map(|given| Error::invalid("max_messages", "from 1 to 4294967296", given));
        messages.into_iter().chain(age.map(|_| Error::invalid("max_age", "above zero", "zero")))
    }
}

/// What one value is sealed with.
pub(super) struct Fresh {
    pub(super) salt: [u8; SALT_LEN],
    pub(super) nonce: [u8; NONCE_LEN],
}

/// Makes the keys, salts and nonces of a writer.
pub(super) struct Writer {
    subkeys: Subkeys,
    backend: Backend,
    random: Arc<dyn Random>,
    epochs: Mutex<HashMap<(KeyId, Suite), Arc<Epoch>, RandomState>>,
    /// The one that was asked for last, mostly the next one too: found without the lock.
    last: ArcSwapOption<Epoch>,
}

/// One salt for many entries.
struct Epoch {
    name: (KeyId, Suite),
    salt: [u8; SALT_LEN],
    key: EntryKey,
    left: AtomicU64,
    until: Tick,
}

impl Writer {
    pub(super) fn new(subkeys: Subkeys, backend: Backend, random: Arc<dyn Random>) -> Self {
        Self { subkeys, backend, random, epochs: Mutex::default(), last: ArcSwapOption::empty() }
    }

    /// Seals by a key, with a nonce that it was never used with.
    ///
    /// Errors: those of the source of randomness.
    #[inline(always)]
    pub(super) fn with<R>(
        &self,
        now: Tick,
        key: &DataKey,
        suite: Suite,
        seal: impl FnOnce(&Fresh, &EntryKey) -> R,
    ) -> Result<R> {
        let (own, held, begun);
        // One of them, used in one place: a key is some hundred bytes that are made where they are used.
        let (fresh, key) = match self.subkeys {
            Subkeys::PerEntry => {
                let fresh = self.salt_and_nonce()?;
                own = EntryKey::derive(self.backend, key, suite, &fresh.salt);
                (fresh, &own)
            }
            Subkeys::PerWriter { max_messages, max_age } => {
                let mut nonce = [0; NONCE_LEN];
                self.random.fill(&mut nonce)?;
                held = self.last.load();
                let epoch = match held.as_deref() {
                    Some(last) if last.is_of(key, suite) && last.take(now) => last,
                    _ => {
                        begun = self.epoch(now, key, suite, max_messages, max_age)?;
                        self.last.store(Some(Arc::clone(&begun)));
                        &begun
                    }
                };
                (Fresh { salt: epoch.salt, nonce }, &epoch.key)
            }
        };
        Ok(seal(&fresh, key))
    }

    /// Counts a message under the epoch that stands, or begins one.
    #[cold]
    #[inline(never)]
    fn epoch(
        &self,
        now: Tick,
        key: &DataKey,
        suite: Suite,
        max_messages: u64,
        max_age: Duration,
    ) -> Result<Arc<Epoch>> {
        let name = (key.id(), suite);
        if let Some(found) = self.epochs.lock().get(&name).filter(|epoch| epoch.take(now)) {
            return Ok(Arc::clone(found));
        }
        let salt = self.salt_and_nonce()?.salt;
        let entry_key = EntryKey::derive(self.backend, key, suite, &salt);
        let (left, until) = (AtomicU64::new(max_messages - 1), now.after(max_age));
        let epoch = Arc::new(Epoch { name, salt, key: entry_key, left, until });
        // Two writers at once begin two: the one that is replaced has sealed what it has sealed.
        let mut epochs = self.epochs.lock();
        if epochs.len() >= MOST_KEYS {
            epochs.retain(|_, epoch| epoch.stands(now));
        }
        if epochs.len() < MOST_KEYS || epochs.contains_key(&name) {
            epochs.insert(name, Arc::clone(&epoch));
        }
        Ok(epoch)
    }

    /// One call of the system for both.
    #[inline]
    fn salt_and_nonce(&self) -> Result<Fresh> {
        let mut bytes = [0; SALT_LEN + NONCE_LEN];
        self.random.fill(&mut bytes)?;
        let (salt, nonce) = bytes.split_first_chunk().expect("it is longer");
        Ok(Fresh { salt: *salt, nonce: nonce.try_into().expect("the rest of it") })
    }
}

impl Epoch {
    fn is_of(&self, key: &DataKey, suite: Suite) -> bool {
        self.name.0.as_bytes() == key.id_bytes() && self.name.1 == suite
    }

    fn stands(&self, now: Tick) -> bool {
        self.left.load(Relaxed) > 0 && now < self.until
    }

    /// Counts a message; `false` if there may be no more.
    fn take(&self, now: Tick) -> bool {
        now < self.until && self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("subkeys", &self.subkeys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use memstache_core::{Clock as _, ErrorKind, testing::ManualClock};

    use super::*;
    use crate::{key::Secret, random::SeededRandom};

    #[derive(Debug)]
    struct NoRandom;

    impl Random for NoRandom {
        fn fill(&self, _: &mut [u8]) -> Result<()> {
            Err(Error::new(ErrorKind::Unavailable, "none"))
        }
    }

    fn key(seed: u8) -> DataKey {
        DataKey::new(Secret::from_bytes([seed; 32]))
    }

    /// The salts and nonces of as many seals, with a second between them.
    fn seals(subkeys: Subkeys, count: usize) -> Vec<([u8; SALT_LEN], [u8; NONCE_LEN])> {
        let (clock, key) = (ManualClock::new(), key(1));
        let writer = Writer::new(subkeys, Backend::ring(), Arc::new(SeededRandom::new(1)));
        let seal = |_| {
            clock.advance(Duration::from_secs(1));
            writer.with(clock.now(), &key, Suite::Aes256Gcm, |fresh, _| (fresh.salt, fresh.nonce)).unwrap()
        };
        (0..count).map(seal).collect()
    }

    fn salts(of: &[([u8; SALT_LEN], [u8; NONCE_LEN])]) -> usize {
        of.iter().map(|(salt, _)| salt).collect::<HashSet<_>>().len()
    }

    #[test]
    fn each_entry_has_its_own_salt_or_an_epoch_has_one_and_no_nonce_comes_twice() {
        let per_writer = |max_messages, secs| Subkeys::PerWriter { max_messages, max_age: Duration::from_secs(secs) };
        for (subkeys, expected) in [
            (Subkeys::PerEntry, 100),
            (Subkeys::per_writer(), 1),
            (per_writer(10, 1_000), 10),
            (per_writer(1_000, 25), 4),
            (per_writer(1, 1_000), 100),
        ] {
            let seals = seals(subkeys, 100);
            assert_eq!(salts(&seals), expected, "{subkeys:?}");
            assert_eq!(seals.iter().collect::<HashSet<_>>().len(), 100, "{subkeys:?}");
        }
    }

    #[test]
    fn keys_and_suites_have_epochs_of_their_own_and_not_too_many_are_held() {
        let clock = ManualClock::new();
        let writer = Writer::new(Subkeys::per_writer(), Backend::ring(), Arc::new(SeededRandom::new(1)));
        let salt = |key: &DataKey, suite| writer.with(clock.now(), key, suite, |fresh, _| fresh.salt).unwrap();
        let (one, two) = (key(1), key(2));
        let gcm = salt(&one, Suite::Aes256Gcm);
        assert_ne!(gcm, salt(&two, Suite::Aes256Gcm));
        assert_ne!(gcm, salt(&one, Suite::ChaCha20Poly1305));
        assert_eq!(gcm, salt(&one, Suite::Aes256Gcm));
        for n in 0..2 * MOST_KEYS as u64 {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            salt(&DataKey::new(Secret::from_bytes(bytes)), Suite::Aes256Gcm);
        }
        assert_eq!(writer.epochs.lock().len(), MOST_KEYS);
        assert_eq!(gcm, salt(&one, Suite::Aes256Gcm), "those that stand are not driven out");
        clock.advance(Subkeys::DEFAULT_MAX_AGE);
        assert_ne!(gcm, salt(&one, Suite::Aes256Gcm));
        salt(&key(3), Suite::Aes256Gcm);
        assert_eq!(writer.epochs.lock().len(), 2, "those that ended are");
    }

    #[test]
    fn nothing_is_sealed_without_randomness() {
        for subkeys in [Subkeys::PerEntry, Subkeys::per_writer()] {
            let writer = Writer::new(subkeys, Backend::ring(), Arc::new(NoRandom));
            let error = writer.with(ManualClock::new().now(), &key(1), Suite::Aes256Gcm, |_, _| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn limits_are_checked() {
        let wrong = |max_messages, max_age| Subkeys::PerWriter { max_messages, max_age }.wrong().count();
        assert_eq!(wrong(1, Duration::from_millis(1)) + wrong(MOST_MESSAGES, Duration::from_secs(1)), 0);
        assert_eq!(wrong(0, Duration::ZERO), 2);
        let error =
            Subkeys::PerWriter { max_messages: MOST_MESSAGES + 1, max_age: Duration::from_secs(1) }.wrong().next();
        assert_eq!(error.unwrap().to_string(), "max_messages must be from 1 to 4294967296, but 4294967297 was given");
    }
}
