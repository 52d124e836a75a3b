//! What tests of the compressing layer share: its compressors, one of one's own, entries.

use bytes::Bytes;
use memstache_codec::{Compress, CompressBuilder, Compressor};
use memstache_core::{Encoding, Error, ErrorKind, Lifetime, NewEntry, Result};

/// Every compressor that this build has.
pub(crate) fn builders() -> Vec<(&'static str, Encoding, CompressBuilder)> {
    vec![
        #[cfg(feature = "lz4")]
        ("lz4", Encoding::LZ4, Compress::builder().lz4()),
        #[cfg(feature = "zstd")]
        ("zstd", Encoding::ZSTD, Compress::builder().zstd(1)),
        #[cfg(feature = "gzip")]
        ("gzip", Encoding::GZIP, Compress::builder().gzip(6)),
    ]
}

pub(crate) fn entry(value: impl Into<Bytes>) -> NewEntry {
    NewEntry::new(value, Lifetime::UNLIMITED)
}

/// Halves values of pairs; fails and panics on demand.
#[derive(Debug)]
pub(crate) struct Pairs;

impl Compressor for Pairs {
    fn name(&self) -> &str {
        "pairs"
    }

    fn encoding(&self) -> Encoding {
        Encoding(Encoding::FIRST_OWN.0 + 3)
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        assert_ne!(plain.first(), Some(&b'!'), "on demand");
        if plain.first() == Some(&b'?') {
            return Err(Error::new(ErrorKind::Invalid, "on demand"));
        }
        out.extend(plain.iter().step_by(2));
        Ok(())
    }

    fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()> {
        if plain.len() != packed.len() * 2 {
            return Err(Error::new(ErrorKind::Rejected, "no pairs"));
        }
        plain.iter_mut().enumerate().for_each(|(at, byte)| *byte = packed[at / 2]);
        Ok(())
    }
}

pub(crate) fn pairs() -> CompressBuilder {
    Compress::builder().register(Pairs).algorithm("pairs")
}
