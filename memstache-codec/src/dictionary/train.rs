//! Training: an explicit call, never done behind one's back.

use memstache_core::{Error, Result};

use super::{Dictionary, MAX_DICTIONARY};

/// Fewest samples that say anything.
const MIN_SAMPLES: usize = 16;
/// Smallest dictionary that zstd makes.
const MIN_DICTIONARY: usize = 512;
/// How many bytes of samples are looked at; more only take time.
const MAX_TRAINING: usize = 64 << 20;
/// How many samples are looked at, empty ones included: an iterator may have no end.
const MAX_SAMPLES: usize = 1 << 20;
/// How many bytes of one sample are looked at: what is long needs no dictionary.
const MAX_SAMPLE: usize = 64 << 10;
/// Where a dictionary has its id, little-endian.
const ID: std::ops::Range<usize> = 4..8;

impl Dictionary {
    /// Trains a dictionary from samples: values as the cache stores them, in the format that it uses.
    ///
    /// Takes seconds for megabytes: call it off the async threads. A thousand samples and 16 KiB of dictionary are a good
    /// beginning; a hundred times the dictionary is what more samples are good for: a million of them, and 64 MiB in all, are
    /// looked at. The id, not 0, is yours to choose;
    /// below 256 it takes one byte of each value, below 65,536 two, else four.
    ///
    /// Never train one dictionary from values of several tenants, unless each may learn what is in the others': how small
    /// a value becomes tells how much it has in common with the samples.
    ///
    /// Errors: [`Invalid`](memstache_core::ErrorKind::Invalid) for fewer than 16 samples, for samples that have nothing in
    /// common, and for a length outside of 512 to [`MAX_DICTIONARY`].
    pub fn train(id: u32, samples: impl IntoIterator<Item: AsRef<[u8]>>, max_bytes: usize) -> Result<Self> {
        if id == 0 {
            return Err(Error::invalid("dictionary id", "other than 0", id));
        }
        if !(MIN_DICTIONARY..=MAX_DICTIONARY).contains(&max_bytes) {
            let limit = format_args!("from {MIN_DICTIONARY} to {MAX_DICTIONARY} bytes");
            return Err(Error::invalid("dictionary", limit, max_bytes));
        }
        let (joined, lens) = join(samples);
        if lens.len() < MIN_SAMPLES {
            return Err(Error::invalid("samples", format_args!("at least {MIN_SAMPLES}"), lens.len()));
        }
        let mut bytes = Vec::with_capacity(max_bytes);
        let alike = |_| Error::invalid("samples", "more, or more alike", lens.len());
        zstd_safe::train_from_buffer(&mut bytes, &joined, &lens).map_err(alike)?;
        bytes[ID].copy_from_slice(&id.to_le_bytes());
        bytes.shrink_to_fit();
        Self::from_bytes(bytes)
    }
}

/// The samples one after the other, and how long each is.
fn join(samples: impl IntoIterator<Item: AsRef<[u8]>>) -> (Vec<u8>, Vec<usize>) {
    let (mut joined, mut lens) = (Vec::new(), Vec::new());
    for sample in samples.into_iter().take(MAX_SAMPLES) {
        let sample = sample.as_ref();
        let sample = &sample[..sample.len().min(MAX_SAMPLE)];
        if joined.len() + sample.len() > MAX_TRAINING {
            break;
        }
        if !sample.is_empty() {
            joined.extend_from_slice(sample);
            lens.push(sample.len());
        }
    }
    (joined, lens)
}
