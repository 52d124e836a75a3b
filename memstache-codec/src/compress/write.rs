//! Values on their way down.

use std::sync::Arc;

use memstache_core::{Address, Encoding, NewEntry, Request, Result, Step};

use super::{
    Asked, Inner,
    guess::looks_compressed,
    offload::{Budget, offload},
    stats::bump,
};
use crate::compressor::Compressor;

/// From here on a value is worth trying without a dictionary.
const DEFAULT_THRESHOLD: usize = 512;
/// And with one.
#[cfg(feature = "zstd")]
const DEFAULT_DICTIONARY_THRESHOLD: usize = 64;

/// Compresses what a call writes: here, or from the entry on that is too much for this thread elsewhere.
pub(super) fn request(inner: &Arc<Inner>, mut request: Request, asked: Asked) -> Step<(Request, Asked)> {
    let mut budget = Budget::new(inner);
    let too_much = request.entries_mut().position(|(address, entry)| match inner.way(address, entry) {
        None => false,
        Some(_) if budget.is_exceeded(entry.value.len() as u64) => true,
        Some(way) => {
            inner.pack(&way, entry);
            false
        }
    });
    let (Some(first), Some(runtime)) = (too_much, budget.elsewhere()) else {
        return Step::Now(Ok((request, asked)));
    };
    offload(inner, runtime, move |inner| {
        for (address, entry) in request.entries_mut().skip(first) {
            if let Some(way) = inner.way(address, entry) {
                inner.pack(&way, entry);
            }
        }
        (request, asked)
    })
}

/// How an entry is compressed.
struct Way<'a> {
    writer: &'a dyn Compressor,
    #[cfg(feature = "zstd")]
    dictionary: Option<crate::dictionary::Dictionary>,
}

impl Way<'_> {
    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        #[cfg(feature = "zstd")]
        if let Some(dictionary) = &self.dictionary {
            return dictionary.compress(plain, out);
        }
        self.writer.compress(plain, out)
    }
}

impl Inner {
    /// How an entry is to be compressed; `None`, counted, if not at all.
    fn way(&self, address: &Address, entry: &NewEntry) -> Option<Way<'_>> {
        let writer = self.writer.as_deref()?;
        let content = &entry.content;
        if content.encoding != Encoding::NONE || content.sealed || content.negative || entry.value.is_empty() {
            return None;
        }
        if entry.options.compress == Some(false) || entry.value.len() > self.settings.max_plain {
            bump(&self.counters.skipped_asked);
            return None;
        }
        let way = Way {
            writer,
            #[cfg(feature = "zstd")]
            dictionary: self.dictionary(writer, address),
        };
        if entry.options.compress == Some(true) || self.is_promising(&way, address, entry) { Some(way) } else { None }
    }

    #[cfg(feature = "zstd")]
    fn dictionary(&self, writer: &dyn Compressor, address: &Address) -> Option<crate::dictionary::Dictionary> {
        if writer.encoding() != Encoding::ZSTD {
            return None;
        }
        self.dictionaries.as_ref()?.for_writing(address.space_key())
    }

    fn threshold(&self, way: &Way<'_>) -> usize {
        #[cfg(feature = "zstd")]
        if way.dictionary.is_some() {
            return self.settings.threshold.unwrap_or(DEFAULT_DICTIONARY_THRESHOLD);
        }
        let _ = way;
        self.settings.threshold.unwrap_or(DEFAULT_THRESHOLD)
    }

    /// Whether it is worth trying, as far as the layer decides; a refusal is counted.
    fn is_promising(&self, way: &Way<'_>, address: &Address, entry: &NewEntry) -> bool {
        let refused = if entry.value.len() < self.threshold(way) {
            &self.counters.skipped_small
        } else if self.predicate.as_ref().is_some_and(|passes| !passes(address, entry)) {
            &self.counters.skipped_asked
        } else if looks_compressed(&entry.value) {
            &self.counters.skipped_dense
        } else {
            return true;
        };
        bump(refused);
        false
    }

    /// Compresses an entry, and keeps the result if it is smaller by the margin.
    fn pack(&self, way: &Way<'_>, entry: &mut NewEntry) {
        let plain = &entry.value;
        let mut packed = self.pool.rent(plain.len() + plain.len() / 8 + 512);
        if way.compress(plain, &mut packed).is_err() {
            bump(&self.counters.skipped_failed);
            return;
        }
        if packed.len() as f64 > plain.len() as f64 * (1.0 - self.settings.min_saving) || packed.len() >= plain.len() {
            bump(&self.counters.skipped_no_gain);
            return;
        }
        self.counters.compressed.bump();
        self.counters.bytes_plain.add(plain.len() as u64);
        self.counters.bytes_compressed.add(packed.len() as u64);
        #[cfg(feature = "zstd")]
        if let Some(dictionary) = &way.dictionary {
            dictionary.count(plain.len(), packed.len());
        }
        entry.content.plain_len = plain.len() as u64;
        entry.content.encoding = way.writer.encoding();
        entry.value = packed.to_bytes();
    }
}
