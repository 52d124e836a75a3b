//! Reading the body of a frame, which may be anything.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, KeyspaceName, Result, Space, Tick};

use super::{names::Names, varint};

/// Most items, tags and reports that one call or answer carries, in all: so that many tiny ones do not take many times
/// the room that their frame took.
pub(crate) const MAX_ITEMS: usize = 32_768;

/// Values longer than this are not kept within a frame of twice their length.
///
/// A store keeps larger values as they are: one of a hundred would keep the whole frame.
const KEPT_IN_FRAME: usize = 4096;

/// What is left of a body.
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
    budget: usize,
    space: Option<Space>,
    names: &'a mut Names,
    now: Tick,
    deadline: Option<Tick>,
}

/// The error of bytes that no peer of ours would send.
pub(super) fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, format!("a peer sent {what} that cannot be read"))
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a Bytes, names: &'a mut Names, now: Tick, deadline: Option<Tick>) -> Self {
        Self { bytes, at: 0, budget: MAX_ITEMS, space: None, names, now, deadline }
    }

    pub(super) fn now(&self) -> Tick {
        self.now
    }

    /// When the caller gives up.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.deadline
    }

    fn left(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self) -> Result<()> {
        if self.left().is_empty() { Ok(()) } else { Err(malformed("more than belongs there, and thus something")) }
    }

    /// Reads by something that takes its part off the front of a slice.
    pub(super) fn with<T>(&mut self, read: impl FnOnce(&mut &[u8]) -> Result<T>) -> Result<T> {
        let mut rest = self.left();
        let result = read(&mut rest)?;
        self.at = self.bytes.len() - rest.len();
        Ok(result)
    }

    pub(super) fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, _) = self.left().split_at_checked(len).ok_or_else(|| malformed("a length"))?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.left().first_chunk().ok_or_else(|| malformed("something short"))?;
        self.at += N;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn fixed(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        self.with(|rest| varint::read(rest).ok_or_else(|| malformed("a number")))
    }

    /// A length of something that is still to come.
    pub(super) fn len(&mut self) -> Result<usize> {
        let len = usize::try_from(self.number()?).map_err(|_| malformed("a length"))?;
        if len > self.left().len() { Err(malformed("a length")) } else { Ok(len) }
    }

    pub(super) fn span(&mut self) -> Result<Duration> {
        self.number().map(Duration::from_millis)
    }

    /// A value; a part of the frame, unless it would keep too much of it.
    pub(super) fn value(&mut self) -> Result<Bytes> {
        let len = self.len()?;
        let at = self.at;
        self.at += len;
        let value = at..self.at;
        if len > KEPT_IN_FRAME && len < self.bytes.len() / 2 {
            return Ok(Bytes::copy_from_slice(&self.bytes[value]));
        }
        Ok(self.bytes.slice(value))
    }

    /// Takes so many items from what the frame may have.
    pub(super) fn charge(&mut self, items: usize) -> Result<()> {
        self.budget = self.budget.checked_sub(items).ok_or_else(|| malformed("too many items, and thus something"))?;
        Ok(())
    }

    /// Reads items one by one; each takes at least `least` bytes, so that room is made only for what can be there.
    pub(super) fn many<T>(&mut self, least: usize, read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.many_at_most(MAX_ITEMS, least, read)
    }

    /// Reads not more than so many items.
    pub(super) fn many_at_most<T>(
        &mut self,
        most: usize,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = usize::try_from(self.number()?).map_err(|_| malformed("a count"))?;
        if count > most {
            return Err(malformed("too many items, and thus something"));
        }
        if count.checked_mul(least).is_none_or(|needed| needed > self.left().len()) {
            return Err(malformed("a count"));
        }
        self.charge(count)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Whether the count that comes next is one.
    pub(super) fn is_one(&self) -> bool {
        self.left().first() == Some(&1)
    }

    pub(super) fn keyspace(&mut self) -> Result<KeyspaceName> {
        let len = usize::from(self.byte()?);
        let name = self.slice(len)?;
        self.names.keyspace(name)
    }

    /// A space; a zero in its place is the one before.
    pub(super) fn space(&mut self) -> Result<Space> {
        match self.byte()? {
            0 => self.space.clone().ok_or_else(|| malformed("a space")),
            len => {
                let key = self.slice(usize::from(len))?;
                Ok(self.space.insert(self.names.space(key)?).clone())
            }
        }
    }
}
