use std::sync::Arc;

use super::{
    BufferPool,
    shelf::{DEFAULT_MAX_BYTES, Shelf},
};
use crate::error::{Error, Result};

/// Most bytes that a pool may be allowed to hold.
const MAX_BYTES: usize = 1 << 40;

/// Builds a [`BufferPool`].
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct BufferPoolBuilder {
    max_bytes: usize,
    clear: bool,
}

impl Default for BufferPoolBuilder {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, clear: false }
    }
}

impl BufferPoolBuilder {
    /// Sets how many bytes idle buffers take at most; 0 keeps none. Default: 16 MiB.
    ///
    /// Where they take so much, a buffer that comes back takes the place of idle ones of sizes that nobody asks for, if
    /// there are such; else it is freed.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Overwrites every buffer that comes back with zeros. Default: not.
    ///
    /// What a buffer leaves behind when it grows is not reached: rent it large enough.
    pub fn clear_on_return(mut self, clear: bool) -> Self {
        self.clear = clear;
        self
    }

    /// Builds the pool. More than a tebibyte is [`Invalid`](crate::ErrorKind::Invalid).
    pub fn build(self) -> Result<BufferPool> {
        if self.max_bytes > MAX_BYTES {
            return Err(Error::invalid("max_bytes", format_args!("at most {MAX_BYTES}"), self.max_bytes));
        }
        Ok(BufferPool(Arc::new(Shelf::new(self.max_bytes, self.clear))))
    }
}
