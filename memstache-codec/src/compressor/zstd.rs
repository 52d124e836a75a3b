//! Zstandard (RFC 8878), by the reference library.

use std::{fmt, sync::LazyLock};

use memstache_core::{Encoding, Error, Result};
use zstd_safe::{CCtx, CDict, DCtx, DDict, SafeResult, compress_bound};

use super::{Compressor, broken, idle::Idle};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first byte of a dictionary that is no mere text.
pub(crate) const DICTIONARY_MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];
/// Most bytes that one block makes.
const BLOCK: u64 = 128 << 10;

/// Contexts for reading are alike for every level.
static READERS: LazyLock<Idle<DCtx<'static>>> = LazyLock::new(Idle::new);

/// Zstandard: the smallest, for values that are read more often than written; with dictionaries also for small ones.
///
/// Levels go from -7 (fast) to 19 (small). Contexts are kept, for making one costs more than a small value.
pub struct Zstd {
    level: i32,
    writers: Idle<CCtx<'static>>,
}

impl Zstd {
    /// The level unless another is chosen.
    pub const DEFAULT_LEVEL: i32 = 3;

    /// Creates the compressor at a level from -7 to 19; others are [`Invalid`](memstache_core::ErrorKind::Invalid).
    pub fn new(level: i32) -> Result<Self> {
        check_level(level).map(Self::at)
    }

    fn at(level: i32) -> Self {
        Self { level, writers: Idle::new() }
    }
}

impl Default for Zstd {
    fn default() -> Self {
        Self::at(Self::DEFAULT_LEVEL)
    }
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zstd({})", self.level)
    }
}

impl Compressor for Zstd {
    fn name(&self) -> &str {
        "zstd"
    }

    fn encoding(&self) -> Encoding {
        Encoding::ZSTD
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.reserve(compress_bound(plain.len()));
        written(self.writers.take(CCtx::create).compress(out, plain, self.level))
    }

    fn decompress(&self, packed: &[u8], plain: &mut [u8]) -> Result<()> {
        let read = READERS.take(DCtx::create).decompress(plain, packed);
        whole(read, plain)
    }

    fn longest(&self, packed: &[u8]) -> u64 {
        longest(packed)
    }
}

pub(crate) fn check_level(level: i32) -> Result<i32> {
    match level {
        -7..=19 if level != 0 => Ok(level),
        _ => Err(Error::invalid("compression level of zstd", "from -7 to 19, and not 0", level)),
    }
}

/// Contexts for writing with a dictionary, which brings its own level.
static DICTIONARY_WRITERS: LazyLock<Idle<CCtx<'static>>> = LazyLock::new(Idle::new);

pub(crate) fn compress_with(dictionary: &CDict<'_>, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(compress_bound(plain.len()));
    written(DICTIONARY_WRITERS.take(CCtx::create).compress_using_cdict(out, plain, dictionary))
}

pub(crate) fn decompress_with(dictionary: &DDict<'_>, packed: &[u8], plain: &mut [u8]) -> Result<()> {
    let read = READERS.take(DCtx::create).decompress_using_ddict(plain, packed, dictionary);
    whole(read, plain)
}

/// The dictionary that a frame says it needs.
pub(crate) fn dictionary_of(packed: &[u8]) -> Option<u32> {
    // Most name none, by two bits of the descriptor: no call for those.
    let names_one = packed.get(MAGIC.len()).is_some_and(|descriptor| descriptor & 3 != 0);
    names_one.then(|| zstd_safe::get_dict_id_from_frame(packed))?.map(Into::into)
}

fn written(result: SafeResult) -> Result<()> {
    result.map(drop).map_err(|_| broken("zstd found too little room"))
}

fn whole(read: SafeResult, plain: &[u8]) -> Result<()> {
    match read {
        Ok(len) if len == plain.len() => Ok(()),
        _ => Err(broken("the stored value is no zstd frame of the length that its header says")),
    }
}

/// What one frame can hold at most: by what it says, and by the headers of its blocks.
fn longest(packed: &[u8]) -> u64 {
    let said = zstd_safe::get_frame_content_size(packed);
    said.map_or(0, |said| said.unwrap_or(u64::MAX).min(longest_blocks(packed)))
}

fn longest_blocks(packed: &[u8]) -> u64 {
    let mut sum = 0;
    let Some(mut rest) = blocks(packed) else { return 0 };
    while let Some((head, after)) = rest.split_first_chunk::<3>() {
        let head = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        let (last, kind, size) = (head & 1 == 1, head >> 1 & 3, head >> 3);
        let (made, taken) = match kind {
            0 => (u64::from(size), size),
            1 => (u64::from(size), 1),
            2 => (BLOCK, size),
            _ => return 0,
        };
        sum += made.min(BLOCK);
        match after.get(taken as usize..) {
            Some(next) if !last => rest = next,
            _ => break,
        }
    }
    sum
}

/// What follows a frame's header.
fn blocks(packed: &[u8]) -> Option<&[u8]> {
    let (descriptor, rest) = packed.strip_prefix(&MAGIC)?.split_first()?;
    let single = descriptor >> 5 & 1;
    let window = usize::from(1 - single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    rest.get(window + dictionary + content..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_and_is_near_for_what_is_small() {
        let zstd = Zstd::default();
        for len in [0, 1, 100, 255, 256, 65_791, 70_000, 131_072, 131_073, 1 << 20] {
            let text: Vec<u8> = (0..len).map(|n| (n % 251) as u8 ^ (n / 1_000) as u8).collect();
            for plain in [vec![7; len], text] {
                let mut out = Vec::new();
                zstd.compress(&plain, &mut out).unwrap();
                assert_eq!(longest(&out), len as u64, "{len}");
                assert!(longest_blocks(&out) >= len as u64, "{len}");
                // A frame that lies about its length is held to its blocks.
                if out[4] >> 5 == 0b101 {
                    out[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
                    assert_eq!(longest(&out), longest_blocks(&out), "{len}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_frame_holds_nothing() {
        assert_eq!(longest(b""), 0);
        assert_eq!(longest(b"\x28\xb5\x2f\xfd"), 0);
        assert_eq!(longest(b"no frame at all"), 0);
        assert_eq!(longest(b"\x28\xb5\x2f\xfd\x20\xff\xff\xff\xff\xff"), 0, "a block of no kind");
    }

    #[test]
    fn levels_are_checked() {
        assert!(Zstd::new(-7).is_ok() && Zstd::new(19).is_ok());
        assert!(Zstd::new(-8).is_err() && Zstd::new(20).is_err() && Zstd::new(0).is_err());
    }
}
