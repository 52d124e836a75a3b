//! Which dictionaries are for whom.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use memstache_core::{Error, Result, Space};
use parking_lot::RwLock;

use super::Dictionary;

/// Most dictionaries of one space, or shared ones.
const MAX_EACH: usize = 32;

/// The dictionaries of a [`Compress`](crate::Compress): for each tenant's keyspace its own, several readable at once.
///
/// Clones share one set, so that dictionaries can be added while the layer runs. To roll one out over several processes,
/// let all of them [read](Self::add_readable) it before the first one [writes](Self::add) with it.
///
/// ```
/// use memstache_codec::{Compress, Dictionaries, Dictionary};
/// use memstache_core::{KeyspaceName, Space, TenantId};
///
/// let dictionaries = Dictionaries::new();
/// let compress = Compress::builder().zstd(3).dictionaries(&dictionaries).build()?;
///
/// let acme = Space::new(Some(&TenantId::new("acme")?), &KeyspaceName::new("users")?);
/// let sample = |n: u32| format!("user no. {n} of acme, who likes tea and lives in {}", n % 7);
/// dictionaries.add(&acme, Dictionary::train(1, (0..1_000).map(sample), 4_096)?)?;
/// assert_eq!(dictionaries.of(&acme).len(), 1);
/// # let _ = compress;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dictionaries(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Set with the first dictionary: until then nobody waits for the lock.
    used: AtomicBool,
    sets: RwLock<Sets>,
}

#[derive(Debug, Default)]
struct Sets {
    own: HashMap<Vec<u8>, Set>,
    shared: Set,
}

/// Dictionaries of one owner.
#[derive(Debug, Default)]
struct Set {
    readable: Vec<Dictionary>,
    writing: Option<Dictionary>,
}

impl Dictionaries {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the values of one space with a dictionary from now on, and reads what was written with it.
    ///
    /// Another dictionary of the same id, be it of this space or of all tenants, is
    /// [`Invalid`](memstache_core::ErrorKind::Invalid), and so is the 33rd: retire one.
    pub fn add(&self, space: &Space, dictionary: Dictionary) -> Result<()> {
        self.change(|sets| sets.add(space, dictionary, true))
    }

    /// Reads the values of one space that were written with a dictionary; does not write with it. Errors as for `add`.
    pub fn add_readable(&self, space: &Space, dictionary: Dictionary) -> Result<()> {
        self.change(|sets| sets.add(space, dictionary, false))
    }

    /// Writes the values of every space that has no dictionary of its own with this one, whoever the tenant is.
    ///
    /// How small a value becomes tells how much it has in common with the samples: share only what was trained from
    /// nobody's secrets. Errors as for `add`: its id must be free in every space.
    pub fn add_for_all_tenants(&self, dictionary: Dictionary) -> Result<()> {
        self.change(|sets| sets.add_shared(dictionary, true))
    }

    /// Reads the values of every space that were written with a dictionary; does not write with it. Errors as for
    /// `add_for_all_tenants`.
    pub fn add_readable_for_all_tenants(&self, dictionary: Dictionary) -> Result<()> {
        self.change(|sets| sets.add_shared(dictionary, false))
    }

    /// Forgets a dictionary of one space; values that were written with it are misses from now on. Returns whether it
    /// was there.
    pub fn retire(&self, space: &Space, id: u32) -> bool {
        let mut sets = self.0.sets.write();
        let Some(set) = sets.own.get_mut(space.key()) else { return false };
        let was_here = set.retire(id);
        if set.readable.is_empty() {
            sets.own.remove(space.key());
        }
        was_here
    }

    /// Forgets a dictionary of all tenants. Returns whether it was there.
    pub fn retire_for_all_tenants(&self, id: u32) -> bool {
        self.0.sets.write().shared.retire(id)
    }

    /// Goes on reading what was written with the dictionaries of one space, and writes without them: with the one of all
    /// tenants, if there is such.
    pub fn stop_writing(&self, space: &Space) {
        if let Some(set) = self.0.sets.write().own.get_mut(space.key()) {
            set.writing = None;
        }
    }

    /// Goes on reading what was written with the dictionaries of all tenants, and writes without them.
    pub fn stop_writing_for_all_tenants(&self) {
        self.0.sets.write().shared.writing = None;
    }

    /// Returns the dictionaries of one space, each with its counts.
    pub fn of(&self, space: &Space) -> Vec<Dictionary> {
        self.0.sets.read().own.get(space.key()).map(|set| set.readable.clone()).unwrap_or_default()
    }

    fn change(&self, change: impl FnOnce(&mut Sets) -> Result<()>) -> Result<()> {
        self.0.used.store(true, Relaxed);
        change(&mut self.0.sets.write())
    }

    /// Whether there was never any.
    fn is_unused(&self) -> bool {
        !self.0.used.load(Relaxed)
    }

    pub(crate) fn for_writing(&self, space: &[u8]) -> Option<Dictionary> {
        if self.is_unused() {
            return None;
        }
        let sets = self.0.sets.read();
        let own = sets.own.get(space).and_then(|set| set.writing.clone());
        own.or_else(|| sets.shared.writing.clone())
    }

    pub(crate) fn for_reading(&self, space: &[u8], id: u32) -> Option<Dictionary> {
        let sets = self.0.sets.read();
        let own = sets.own.get(space).and_then(|set| set.find(id));
        own.or_else(|| sets.shared.find(id)).cloned()
    }
}

impl Sets {
    /// A value says no more than an id: within reach of one space, it must mean one dictionary.
    fn add(&mut self, space: &Space, dictionary: Dictionary, write: bool) -> Result<()> {
        self.shared.check(&dictionary)?;
        self.own.entry(space.key().to_vec()).or_default().add(dictionary, write)
    }

    fn add_shared(&mut self, dictionary: Dictionary, write: bool) -> Result<()> {
        self.own.values().try_for_each(|set| set.check(&dictionary))?;
        self.shared.add(dictionary, write)
    }
}

impl Set {
    fn add(&mut self, dictionary: Dictionary, write: bool) -> Result<()> {
        self.check(&dictionary)?;
        match self.find(dictionary.id()) {
            Some(_) => self.readable.retain(|known| known.id() != dictionary.id()),
            None if self.readable.len() >= MAX_EACH => {
                return Err(Error::invalid(
                    "dictionaries",
                    format_args!("at most {MAX_EACH} of a space"),
                    MAX_EACH + 1,
                ));
            }
            None => {}
        }
        if write {
            self.writing = Some(dictionary.clone());
        }
        self.readable.push(dictionary);
        Ok(())
    }

    /// Refuses another dictionary of an id that is here.
    fn check(&self, dictionary: &Dictionary) -> Result<()> {
        match self.find(dictionary.id()) {
            Some(known) if known.as_bytes() != dictionary.as_bytes() => {
                Err(Error::invalid("dictionary id", "free", dictionary.id()))
            }
            _ => Ok(()),
        }
    }

    fn retire(&mut self, id: u32) -> bool {
        let before = self.readable.len();
        self.readable.retain(|dictionary| dictionary.id() != id);
        self.writing.take_if(|dictionary| dictionary.id() == id);
        self.readable.len() < before
    }

    fn find(&self, id: u32) -> Option<&Dictionary> {
        self.readable.iter().find(|dictionary| dictionary.id() == id)
    }
}
