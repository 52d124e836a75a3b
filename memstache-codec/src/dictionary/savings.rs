//! What a dictionary saves.

use std::fmt;

use memstache_core::Result;

use super::Dictionary;
use crate::compressor::{Compressor, Zstd};

/// What a dictionary saves, measured on values that it was not trained from.
///
/// ```text
/// dictionary 7 of 16384 bytes, level 3: 1000 values of 301 bytes, 1.42 x by zstd alone, 2.98 x with it, 200.1 kB saved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Savings {
    /// Which dictionary.
    pub id: u32,
    /// At which level.
    pub level: i32,
    /// How long the dictionary is.
    pub dictionary_bytes: u64,
    /// How many values were tried.
    pub values: u64,
    /// Their bytes as they are.
    pub plain: u64,
    /// Their bytes compressed at the same level without the dictionary.
    pub alone: u64,
    /// Their bytes compressed with it.
    pub packed: u64,
}

impl Dictionary {
    /// Compresses values with and without the dictionary, and says what it saves.
    ///
    /// Takes other values than those it was trained from: on those it does too well.
    pub fn savings(&self, values: impl IntoIterator<Item: AsRef<[u8]>>) -> Result<Savings> {
        let zstd = Zstd::new(self.level())?;
        let mut savings = Savings {
            id: self.id(),
            level: self.level(),
            dictionary_bytes: self.as_bytes().len() as u64,
            values: 0,
            plain: 0,
            alone: 0,
            packed: 0,
        };
        let mut out = Vec::new();
        for value in values {
            let value = value.as_ref();
            savings.values += 1;
            savings.plain += value.len() as u64;
            out.clear();
            zstd.compress(value, &mut out)?;
            savings.alone += out.len() as u64;
            out.clear();
            self.compress(value, &mut out)?;
            savings.packed += out.len() as u64;
        }
        Ok(savings)
    }
}

impl Savings {
    /// Returns how many times smaller values are by zstd alone; 0 without values.
    pub fn without(&self) -> f64 {
        ratio(self.plain, self.alone)
    }

    /// Returns how many times smaller values are with the dictionary; 0 without values.
    pub fn with_dictionary(&self) -> f64 {
        ratio(self.plain, self.packed)
    }
}

fn ratio(before: u64, after: u64) -> f64 {
    if after == 0 { 0.0 } else { before as f64 / after as f64 }
}

impl fmt::Display for Savings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, level, dictionary_bytes, values, plain, alone, packed } = self;
        let each = plain.checked_div(*values).unwrap_or(0);
        let saved = alone.saturating_sub(*packed) as f64 / 1_000.0;
        write!(
            f,
            "dictionary {id} of {dictionary_bytes} bytes, level {level}: {values} values of {each} bytes, \
             {:.2} x by zstd alone, {:.2} x with it, {saved:.1} kB saved",
            self.without(),
            self.with_dictionary(),
        )
    }
}
