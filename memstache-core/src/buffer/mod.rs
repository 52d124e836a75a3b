//! Byte buffers that are used again.

mod builder;
mod shelf;
#[cfg(test)]
mod tests;

use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use self::shelf::Shelf;
pub use self::{builder::BufferPoolBuilder, shelf::BufferPoolStats};
use crate::error::{Error, ErrorKind, Result};

/// The process's own pool, once it is chosen or used.
static GLOBAL: OnceLock<BufferPool> = OnceLock::new();

/// A bounded pool of byte buffers: rented, returned when they are dropped, given out again.
///
/// Formats encode into a rented buffer and transforms work in one, so that a value costs one allocation: the exact one
/// that it is kept in. Idle buffers are kept by size, in classes of powers of two from 1 KiB to 16 MiB, and take at most
/// `max_bytes` together. Clones share one pool; [`global`](Self::global) is the process's own, and
/// [`set_global`](Self::set_global) chooses it.
///
/// ```
/// use memstache_core::BufferPool;
///
/// let pool = BufferPool::builder().max_bytes(1 << 20).clear_on_return(true).build()?;
/// let mut buffer = pool.rent(300);
/// buffer.extend_from_slice(b"tea");
/// assert_eq!(buffer.to_bytes(), "tea");
/// drop(buffer);
///
/// let again = pool.rent(1_000);
/// assert!(again.is_empty() && again.capacity() >= 1_000);
/// assert_eq!((pool.stats().rented, pool.stats().reused), (2, 1));
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct BufferPool(Arc<Shelf>);

impl BufferPool {
    /// Starts building a pool.
    pub fn builder() -> BufferPoolBuilder {
        BufferPoolBuilder::default()
    }

    /// Returns the pool that formats use, and transforms that were given no other.
    ///
    /// It is the one that was [set](Self::set_global), or else one of 16 MiB that does not clear.
    #[inline]
    pub fn global() -> &'static Self {
        GLOBAL.get_or_init(|| Self(Arc::new(Shelf::default())))
    }

    /// Makes a pool the process's own: once, at its start, before anything is encoded.
    ///
    /// That is for an application, not for libraries: formats have no other way to be told how much memory idle buffers
    /// may take, and whether they are cleared. Clones of the pool remain the same pool.
    ///
    /// Errors: [`Conflict`](ErrorKind::Conflict) if the process has a pool already, because one was set or the default one
    /// was used. Nothing has changed then.
    ///
    /// ```
    /// use memstache_core::{BufferPool, ErrorKind};
    ///
    /// let pool = BufferPool::builder().max_bytes(4 << 20).clear_on_return(true).build()?;
    /// BufferPool::set_global(pool.clone())?;
    /// drop(BufferPool::global().rent(300));
    /// assert_eq!(pool.stats().rented, 1);
    ///
    /// let late = BufferPool::set_global(pool).unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::Conflict);
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn set_global(pool: Self) -> Result<()> {
        let taken = |_| Error::new(ErrorKind::Conflict, "the global buffer pool is chosen or in use already");
        GLOBAL.set(pool).map_err(taken)
    }

    /// Rents an empty buffer with room for at least so many bytes.
    pub fn rent(&self, room: usize) -> Buffer {
        Buffer { bytes: self.0.take(room), shelf: Arc::clone(&self.0), learn: false }
    }

    /// Rents an empty buffer with room for what such buffers held of late: for writers that do not know beforehand.
    pub fn rent_typical(&self) -> Buffer {
        let mut buffer = self.rent(self.0.typical());
        buffer.learn = true;
        buffer
    }

    /// Returns what it has done and what it holds.
    pub fn stats(&self) -> BufferPoolStats {
        self.0.stats()
    }

    /// Frees every idle buffer.
    pub fn shrink(&self) {
        self.0.empty();
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A rented buffer: a `Vec<u8>` that goes back to its pool when it is dropped.
///
/// `Debug` shows no content.
pub struct Buffer {
    bytes: Vec<u8>,
    shelf: Arc<Shelf>,
    learn: bool,
}

impl Buffer {
    /// Copies the content into bytes that hold no more than it. One allocation; none for nothing.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.learn {
            self.shelf.learn(self.bytes.len());
        }
        self.shelf.put(mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.bytes.len())
            .field("capacity", &self.bytes.capacity())
            .finish_non_exhaustive()
    }
}
