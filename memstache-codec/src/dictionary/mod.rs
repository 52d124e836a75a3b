//! Dictionaries of zstd: what small values have in common, kept once.

mod savings;
mod set;
mod train;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use memstache_core::{Error, Result};
use zstd_safe::{CDict, DDict};

pub use self::{savings::Savings, set::Dictionaries};
use crate::compressor::zstd::{self, Zstd};

/// Longest dictionary: 1 MiB.
pub const MAX_DICTIONARY: usize = 1 << 20;

/// A dictionary of zstd: what small values have in common, so that each is stored without it.
///
/// Its id is stored with every value. Give a new one a new id, keep the old one readable until its values have expired,
/// and keep its bytes: a value whose dictionary is lost is a miss. Cheap to clone.
///
/// ```
/// use memstache_codec::Dictionary;
///
/// let user = |n: u32| format!(r#"{{"id":{n},"name":"user no. {n}","plan":"basic","country":"DE","score":{}}}"#, n * 7 % 100);
/// let samples: Vec<_> = (0..1_000).map(user).collect();
/// let dictionary = Dictionary::train(1, &samples, 4_096)?;
///
/// let report = dictionary.savings((1_000..2_000).map(user))?;
/// assert!(report.with_dictionary() > 2.0 * report.without());
/// println!("{report}");
///
/// let kept = Dictionary::from_bytes(dictionary.as_bytes().clone())?;
/// assert_eq!(kept.id(), 1);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Dictionary(Arc<Inner>);

struct Inner {
    id: u32,
    level: i32,
    bytes: Bytes,
    writing: CDict<'static>,
    reading: DDict<'static>,
    counted: Counted,
}

#[derive(Default)]
struct Counted {
    values: AtomicU64,
    plain: AtomicU64,
    packed: AtomicU64,
}

/// What was written with a dictionary since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DictionaryStats {
    /// Values written.
    pub values: u64,
    /// Their bytes before.
    pub bytes_plain: u64,
    /// Their bytes after.
    pub bytes_compressed: u64,
}

impl Dictionary {
    /// Takes a dictionary that was trained before, with the id that is in it. Its level is 3.
    ///
    /// Bytes that are no dictionary of zstd with an id, or more than [`MAX_DICTIONARY`] of them, are
    /// [`Invalid`](memstache_core::ErrorKind::Invalid).
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self> {
        Self::at_level(bytes.into(), Zstd::DEFAULT_LEVEL)
    }

    /// Returns the same dictionary for writing at another level, from -7 to 19. Its counts begin anew.
    pub fn with_level(&self, level: i32) -> Result<Self> {
        Self::at_level(self.0.bytes.clone(), zstd::check_level(level)?)
    }

    fn at_level(bytes: Bytes, level: i32) -> Result<Self> {
        let no_dictionary = |given: &str| Error::invalid("dictionary", "a dictionary of zstd with an id", given);
        if bytes.len() > MAX_DICTIONARY {
            return Err(Error::invalid("dictionary", format_args!("at most {MAX_DICTIONARY} bytes"), bytes.len()));
        }
        if !bytes.starts_with(&zstd::DICTIONARY_MAGIC) {
            return Err(no_dictionary("something else"));
        }
        let id = zstd_safe::get_dict_id_from_dict(&bytes).ok_or_else(|| no_dictionary("one without"))?;
        let writing = CDict::try_create(&bytes, level).ok_or_else(|| no_dictionary("a broken one"))?;
        let reading = DDict::try_create(&bytes).ok_or_else(|| no_dictionary("a broken one"))?;
        Ok(Self(Arc::new(Inner { id: id.get(), level, bytes, writing, reading, counted: Counted::default() })))
    }

    /// Returns the id that is stored with every value.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Returns the level at which it writes.
    pub fn level(&self) -> i32 {
        self.0.level
    }

    /// Returns the dictionary, to be kept; it holds pieces of the samples, so keep it as you keep those.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Returns what was written with it.
    pub fn stats(&self) -> DictionaryStats {
        let Counted { values, plain, packed } = &self.0.counted;
        DictionaryStats {
            values: values.load(Relaxed),
            bytes_plain: plain.load(Relaxed),
            bytes_compressed: packed.load(Relaxed),
        }
    }

    pub(crate) fn count(&self, plain: usize, packed: usize) {
        self.0.counted.values.fetch_add(1, Relaxed);
        self.0.counted.plain.fetch_add(plain as u64, Relaxed);
        self.0.counted.packed.fetch_add(packed as u64, Relaxed);
    }

    pub(crate) fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        zstd::compress_with(&self.0.writing, plain, out)
    }

    pub(crate) fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()> {
        zstd::decompress_with(&self.0.reading, packed, plain)
    }
}

/// Shows no content.
impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary")
            .field("id", &self.0.id)
            .field("level", &self.0.level)
            .field("len", &self.0.bytes.len())
            .finish_non_exhaustive()
    }
}
