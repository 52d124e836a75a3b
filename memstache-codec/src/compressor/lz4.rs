//! LZ4 blocks, by lz4_flex in safe Rust.

use std::fmt;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use memstache_core::{Encoding, Result};

use super::{Compressor, broken, idle::Idle};

/// From here on lz4_flex needs the table for larger inputs.
const LARGE: usize = u16::MAX as usize;
/// No LZ4 block holds more than 255 bytes for each of its own.
const DENSEST: u64 = 255;

/// LZ4: reads at the speed of memory, and needs about a kibibyte of value to be worth it.
pub struct Lz4 {
    small: Idle<CompressTable>,
    large: Idle<CompressTable>,
}

impl Lz4 {
    /// Creates the compressor.
    pub fn new() -> Self {
        Self { small: Idle::new(), large: Idle::new() }
    }
}

impl Default for Lz4 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lz4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lz4")
    }
}

impl Compressor for Lz4 {
    fn name(&self) -> &str {
        "lz4"
    }

    fn encoding(&self) -> Encoding {
        Encoding::LZ4
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut table = match plain.len() {
            ..LARGE => self.small.take(CompressTable::small),
            _ => self.large.take(CompressTable::large),
        };
        out.resize(get_maximum_output_size(plain.len()), 0);
        let len = compress_into_with_table(plain, out, &mut table).map_err(|_| broken("lz4 found too little room"))?;
        out.truncate(len);
        Ok(())
    }

    fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()> {
        match decompress_into(packed, plain) {
            Ok(len) if len == plain.len() => Ok(()),
            _ => Err(broken("the stored value is no lz4 block of the length that its header says")),
        }
    }

    fn longest(&self, packed: &[u8]) -> u64 {
        packed.len() as u64 * DENSEST
    }
}
