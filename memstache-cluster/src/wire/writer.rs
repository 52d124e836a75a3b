//! Writing the body of a frame.

use std::time::Duration;

use memstache_core::{Error, ErrorKind, KeyspaceName, Result, Tick};

use super::{out::Out, reader::MAX_ITEMS};

/// What a body is written with.
pub(crate) struct Writer<'o, 'c> {
    pub(super) out: &'o mut Out,
    now: Tick,
    /// The key of the space that came last.
    space: &'c [u8],
    items: usize,
}

impl<'o, 'c> Writer<'o, 'c> {
    pub(crate) fn new(out: &'o mut Out, now: Tick) -> Self {
        Self { out, now, space: b"", items: 0 }
    }

    pub(super) fn now(&self) -> Tick {
        self.now
    }

    /// A length or a count.
    pub(super) fn len(&mut self, len: usize) {
        self.out.number(len as u64);
    }

    /// A span, rounded up to whole milliseconds.
    pub(super) fn span(&mut self, span: Duration) {
        self.out.number(Tick::default().after(span).as_millis());
    }

    /// Text of at most 255 bytes.
    pub(super) fn short(&mut self, text: &str) {
        self.out.byte(u8::try_from(text.len()).expect("names and tags have at most 128 bytes"));
        self.out.put(text.as_bytes());
    }

    pub(super) fn keyspace(&mut self, keyspace: &KeyspaceName) {
        self.short(keyspace.as_str());
    }

    /// A space by its key; the one before is a zero.
    pub(super) fn space(&mut self, key: &'c [u8]) {
        if self.space == key {
            return self.out.byte(0);
        }
        self.space = key;
        self.out.byte(u8::try_from(key.len()).expect("two names of at most 64 bytes"));
        self.out.put(key);
    }

    /// Takes note of so many more items.
    pub(super) fn charge(&mut self, items: usize) -> Result<()> {
        self.items = self.items.saturating_add(items);
        if self.items <= MAX_ITEMS {
            return Ok(());
        }
        let detail = format!("a call or answer has at most {MAX_ITEMS} items and tags, and this has more");
        Err(Error::new(ErrorKind::TooLarge, detail).without_effect())
    }

    /// Writes items one by one.
    pub(super) fn many<T>(
        &mut self,
        items: &'c [T],
        mut write: impl FnMut(&mut Self, &'c T) -> Result<()>,
    ) -> Result<()> {
        self.len(items.len());
        self.charge(items.len())?;
        items.iter().try_for_each(|item| write(self, item))
    }
}

/// The error of what a newer core can ask and this build cannot send: it must not be passed on as something else.
pub(super) fn unsupported(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this build cannot send {what} to a peer")).without_effect()
}

/// Cuts a text to at most `max` bytes, between two characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
