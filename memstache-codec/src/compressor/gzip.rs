//! gzip (RFC 1952), by flate2 over zlib-rs.

use std::fmt;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use memstache_core::{Encoding, Error, Result};

use super::{Compressor, broken, idle::Idle};

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Checksum and length.
const TRAILER: usize = 8;
/// Deflate makes at most 258 bytes of two bits.
const DENSEST: u64 = 1_032;

/// gzip: read by everything; slower than zstd at either end, and larger.
pub struct Gzip {
    level: Compression,
    compressors: Idle<Compress>,
    decompressors: Idle<Decompress>,
}

impl Gzip {
    /// The level unless another is chosen.
    pub const DEFAULT_LEVEL: i32 = 6;

    /// Creates the compressor at a level from 1 (fast) to 9 (small); others are [`Invalid`](memstache_core::ErrorKind).
    pub fn new(level: i32) -> Result<Self> {
        match u32::try_from(level) {
            Ok(level @ 1..=9) => Ok(Self::at(level)),
            _ => Err(Error::invalid("compression level of gzip", "from 1 to 9", level)),
        }
    }

    fn at(level: u32) -> Self {
        Self { level: Compression::new(level), compressors: Idle::new(), decompressors: Idle::new() }
    }
}

impl Default for Gzip {
    fn default() -> Self {
        Self::at(Self::DEFAULT_LEVEL.unsigned_abs())
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gzip({})", self.level.level())
    }
}

impl Compressor for Gzip {
    fn name(&self) -> &str {
        "gzip"
    }

    fn encoding(&self) -> Encoding {
        Encoding::GZIP
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        // A stored block takes five bytes more for at most 65,535; half that size is for safety.
        out.reserve(plain.len() + plain.len() / 1_000 + 128);
        out.extend_from_slice(&HEADER);
        let mut deflate = self.compressors.take(|| Compress::new(self.level, false));
        deflate.reset();
        match deflate.compress_vec(plain, out, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => {}
            _ => return Err(broken("gzip found too little room")),
        }
        out.extend_from_slice(&checksum(plain).to_le_bytes());
        out.extend_from_slice(&length(plain).to_le_bytes());
        Ok(())
    }

    fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()> {
        let trailer = inflated(&self.decompressors, packed, plain).and_then(<[u8]>::split_first_chunk::<4>);
        match trailer {
            Some((sum, len)) if *len == length(plain).to_le_bytes() && *sum == checksum(plain).to_le_bytes() => Ok(()),
            _ => Err(broken("the stored value is no gzip of the length that its header says")),
        }
    }

    fn longest(&self, packed: &[u8]) -> u64 {
        (packed.len() as u64).saturating_mul(DENSEST)
    }
}

/// Fills `plain`; what is left of the input is the trailer.
fn inflated<'a>(idle: &Idle<Decompress>, packed: &'a [u8], plain: &mut [u8]) -> Option<&'a [u8]> {
    // Only what `compress` writes: no name, no comment, no second member.
    let body = packed.strip_prefix(&HEADER)?;
    let mut inflate = idle.take(|| Decompress::new(false));
    inflate.reset(false);
    let status = inflate.decompress(body, plain, FlushDecompress::Finish).ok()?;
    let read = usize::try_from(inflate.total_in()).ok()?;
    let trailer = body.get(read..)?;
    let whole = status == Status::StreamEnd && inflate.total_out() == plain.len() as u64 && trailer.len() == TRAILER;
    whole.then_some(trailer)
}

fn checksum(plain: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(plain);
    crc.sum()
}

/// The length modulo 2^32, as the trailer has it.
fn length(plain: &[u8]) -> u32 {
    (plain.len() as u64 & u64::from(u32::MAX)) as u32
}
