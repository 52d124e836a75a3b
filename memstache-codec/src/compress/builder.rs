//! Building the layer: every setting is checked, all at once.

use std::{fmt, sync::Arc, thread};

use memstache_core::{Address, BufferPool, Encoding, Error, ErrorKind, NewEntry, Result};
use tokio::sync::Semaphore;

use super::{Compress, Inner, Predicate, Settings, stats::Counters};
#[cfg(feature = "zstd")]
use crate::dictionary::Dictionaries;
use crate::{
    compressor::{self, Compressor},
    given::Given,
};

const DEFAULT_MIN_SAVING: f64 = 0.1;
const DEFAULT_OFFLOAD_ABOVE: usize = 64 << 10;
const DEFAULT_MAX_PLAIN: usize = 64 << 20;

/// Builds a [`Compress`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting.
///
/// ```
/// # #[cfg(feature = "zstd")] {
/// use memstache_codec::Compress;
///
/// let compress = Compress::builder()
///     .zstd(3)
///     .threshold(1_024)
///     .min_saving(0.2)
///     .only_if(|address, _| address.keyspace() != "thumbnails")
///     .max_plain(8 << 20)
///     .build()?;
/// # let _ = compress;
/// # }
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[must_use = "nothing is built before `build`"]
pub struct CompressBuilder {
    algorithm: Option<String>,
    own: Vec<Arc<dyn Compressor>>,
    settings: Settings,
    predicate: Option<Predicate>,
    pool: Option<BufferPool>,
    #[cfg(feature = "zstd")]
    dictionaries: Option<Dictionaries>,
}

impl Default for CompressBuilder {
    fn default() -> Self {
        Self {
            algorithm: None,
            own: Vec::new(),
            settings: Settings {
                threshold: None,
                min_saving: DEFAULT_MIN_SAVING,
                offload_above: DEFAULT_OFFLOAD_ABOVE,
                max_plain: DEFAULT_MAX_PLAIN,
                max_plain_per_call: None,
            },
            predicate: None,
            pool: None,
            #[cfg(feature = "zstd")]
            dictionaries: None,
        }
    }
}

impl CompressBuilder {
    /// Writes zstd at a level from -7 (fast) to 19 (small); 3 is a good value.
    #[cfg(feature = "zstd")]
    pub fn zstd(self, level: i32) -> Self {
        self.algorithm(format!("zstd:{level}"))
    }

    /// Writes LZ4 blocks.
    #[cfg(feature = "lz4")]
    pub fn lz4(self) -> Self {
        self.algorithm("lz4")
    }

    /// Writes gzip at a level from 1 (fast) to 9 (small); 6 is a good value.
    #[cfg(feature = "gzip")]
    pub fn gzip(self, level: i32) -> Self {
        self.algorithm(format!("gzip:{level}"))
    }

    /// Writes by the compressor of this name: `zstd`, `lz4`, `gzip`, with a level after a colon (`zstd:7`), or one that is
    /// registered. The name of one that this build lacks is [`Unsupported`](ErrorKind::Unsupported).
    pub fn algorithm(mut self, name: impl Into<String>) -> Self {
        self.algorithm = Some(name.into());
        self
    }

    /// Writes nothing compressed; reads what is. Default.
    pub fn no_compression(mut self) -> Self {
        self.algorithm = None;
        self
    }

    /// Adds a compressor of your own: its values can be read, and it can be chosen by name.
    pub fn register(mut self, compressor: impl Compressor) -> Self {
        self.own.push(Arc::new(compressor));
        self
    }

    /// Sets from which length on values are compressed. Default: 512 bytes, or 64 where there is a dictionary.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.settings.threshold = Some(bytes);
        self
    }

    /// Sets which part of a value must be saved for it to be kept compressed, from 0 to 1. Default: 0.1.
    pub fn min_saving(mut self, part: f64) -> Self {
        self.settings.min_saving = part;
        self
    }

    /// Compresses only entries that pass; an entry's own option is stronger. It may be asked twice for one write.
    pub fn only_if(mut self, predicate: impl Fn(&Address, &NewEntry) -> bool + Send + Sync + 'static) -> Self {
        self.predicate = Some(Arc::new(predicate));
        self
    }

    /// Sets how many bytes of values one call compresses or decompresses on the caller's thread; beyond that it does so
    /// off the async threads, if there is a runtime. Default: 64 KiB.
    pub fn offload_above(mut self, bytes: usize) -> Self {
        self.settings.offload_above = bytes;
        self
    }

    /// Sets how long a value may be decompressed; longer ones are refused before memory is allocated, and are not
    /// compressed either. Default: 64 MiB.
    pub fn max_plain(mut self, bytes: usize) -> Self {
        self.settings.max_plain = bytes;
        self
    }

    /// Sets how many bytes one call may decompress in all, however many values it asks for. Default: four times
    /// [`max_plain`](Self::max_plain), which is also the least that can be set.
    ///
    /// Values are taken in the order of the call. One that does not fit into what is left is an error of kind
    /// [`TooLarge`](ErrorKind::TooLarge) in its place, counted in
    /// [`rejected_by_call`](crate::CompressStats::rejected_by_call): no miss, for the value is sound, and a call for
    /// fewer values gets it. A value that proves to be broken has used its part all the same.
    pub fn max_plain_per_call(mut self, bytes: usize) -> Self {
        self.settings.max_plain_per_call = Some(bytes);
        self
    }

    /// Chooses the pool of its working buffers. Default: [`BufferPool::global`].
    pub fn pool(mut self, pool: &BufferPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Uses dictionaries for zstd; some can be added to them later.
    ///
    /// What is written with one is written at its [level](crate::Dictionary::with_level), not at that of the layer.
    #[cfg(feature = "zstd")]
    pub fn dictionaries(mut self, dictionaries: &Dictionaries) -> Self {
        self.dictionaries = Some(dictionaries.clone());
        self
    }

    /// Builds the layer.
    pub fn build(self) -> Result<Compress> {
        let mut wrong = self.wrong();
        let writer = match self.writer() {
            Ok(writer) => writer,
            Err(error) => {
                wrong.push(error);
                None
            }
        };
        match wrong.as_slice() {
            [] => {}
            [one] => return Err(one.clone()),
            many => {
                let lines: Vec<_> = many.iter().map(ToString::to_string).collect();
                return Err(Error::new(ErrorKind::Invalid, lines.join("; ")));
            }
        }
        let Self { own, settings, predicate, pool, .. } = self;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Compress(Arc::new(Inner {
            writer,
            readers: compressor::built_in().into_iter().chain(own).map(|reader| (reader.encoding(), reader)).collect(),
            settings,
            predicate,
            pool: pool.unwrap_or_else(|| BufferPool::global().clone()),
            #[cfg(feature = "zstd")]
            dictionaries: self.dictionaries,
            counters: Counters::default(),
            permits: Arc::new(Semaphore::new(cores)),
        })))
    }

    fn writer(&self) -> Result<Option<Arc<dyn Compressor>>> {
        let Some(name) = &self.algorithm else { return Ok(None) };
        if let Some(own) = self.own.iter().find(|own| own.name() == name) {
            return Ok(Some(Arc::clone(own)));
        }
        let unknown = || {
            let mut names: Vec<&str> = compressor::names().to_vec();
            names.extend(self.own.iter().map(|own| own.name()));
            Err(Error::invalid("compression algorithm", format_args!("one of {}", names.join(", ")), Given(name)))
        };
        compressor::named(name).unwrap_or_else(unknown).map(Some)
    }

    /// Everything that is wrong but the algorithm.
    fn wrong(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let Settings { min_saving, max_plain, .. } = self.settings;
        if !(0.0..=1.0).contains(&min_saving) {
            wrong.push(Error::invalid("min_saving", "from 0 to 1", min_saving));
        }
        if max_plain == 0 || max_plain > isize::MAX.unsigned_abs() {
            wrong.push(Error::invalid("max_plain", "at least 1, and what can be allocated", max_plain));
        }
        let per_call = self.settings.per_call();
        if per_call < max_plain {
            wrong.push(Error::invalid("max_plain_per_call", format_args!("at least max_plain, {max_plain}"), per_call));
        }
        for (at, own) in self.own.iter().enumerate() {
            let (id, name) = (own.encoding(), own.name());
            let others = || self.own[..at].iter();
            if id.0 < Encoding::FIRST_OWN.0 || others().any(|other| other.encoding() == id) {
                wrong.push(Error::invalid("encoding id", "free, and from Encoding::FIRST_OWN on", id.0));
            }
            let taken = compressor::named(name).is_some() || others().any(|other| other.name() == name);
            if name.is_empty() || taken {
                wrong.push(Error::invalid("compressor name", "free, and not empty", Given(name)));
            }
        }
        wrong
    }
}

impl fmt::Debug for CompressBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
