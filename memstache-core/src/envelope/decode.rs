//! Envelopes into entries; the bytes may be anything.

use std::time::Duration;

use bytes::{Buf, Bytes};

use super::{MAGIC, VERSION, flags, varint};
use crate::{
    clock::Tick,
    entry::{Content, Encoding, Entry, FormatId, MAX_TAGS, Meta, Schema, Tags},
    error::{Error, ErrorKind, Result},
    name::Tag,
    version::{Sequence, Version},
};

/// Reads an entry as if it had been written at `now`.
///
/// For an envelope that lay somewhere for a known time, pass the tick at which it was written: `now.before(rested)`.
/// The value is a part of `bytes`, not a copy; without tags nothing is allocated, with them no more than they are long.
///
/// Errors: [`Unsupported`](ErrorKind::Unsupported) for another version of the layout or a flag that this build does not
/// know, [`Rejected`](ErrorKind::Rejected) for anything else that is no envelope. Both carry the entry's version, if it
/// could be read, so that the caller can ask again with `unless`.
pub fn decode(mut bytes: Bytes, now: Tick) -> Result<Entry> {
    let mut reader = Reader { rest: &bytes };
    let version = opening(&mut reader)?;
    let meta = meta(&mut reader, version, now).map_err(|error| error.with_version(version))?;
    let head = bytes.len() - reader.rest.len();
    // Not `slice`: that may allocate the count of references that a sole owner has not needed so far.
    bytes.advance(head);
    check_value(&meta.content, bytes.len()).map_err(|error| error.with_version(version))?;
    Ok(Entry { value: bytes, meta })
}

/// Reads what [`encode_meta`](super::encode_meta) wrote off the front of `bytes`, as if it had been written at `now`.
///
/// Nothing is said of the value, which is wherever the caller has put it.
///
/// Errors: those of [`decode`].
pub fn decode_meta(bytes: &mut &[u8], now: Tick) -> Result<Meta> {
    let mut reader = Reader { rest: bytes };
    let version = opening(&mut reader)?;
    let meta = meta(&mut reader, version, now).map_err(|error| error.with_version(version))?;
    *bytes = reader.rest;
    Ok(meta)
}

/// What all versions of the layout begin with.
fn opening(reader: &mut Reader<'_>) -> Result<Version> {
    if reader.byte()? != MAGIC {
        return Err(rejected("the stored bytes are no envelope"));
    }
    let layout = reader.byte()?;
    let version = reader.number().map(Version);
    if layout == VERSION {
        return version;
    }
    let error = unsupported(format!("the stored envelope has version {layout}, this build reads version {VERSION}"));
    Err(match version {
        Ok(version) => error.with_version(version),
        Err(_) => error,
    })
}

fn meta(reader: &mut Reader<'_>, version: Version, now: Tick) -> Result<Meta> {
    let flags = flags_of(reader)?;
    let format = FormatId(reader.byte()?);
    let encoding = Encoding(reader.byte()?);
    let sequence = Sequence(reader.number()?);
    let written_at = now.before(reader.span()?);
    let confirmed_at = now.before(reader.span()?);
    let (fresh_until, hard_until) = deadlines(reader, flags, now)?;
    let stale_for = reader.span()?;
    let load_cost = reader.span()?;
    let sliding = if flags & flags::SLIDING == 0 { None } else { Some(positive(reader.span()?)?) };
    let schema = if flags & flags::SCHEMA == 0 { None } else { Some(Schema(u64::from_be_bytes(reader.array()?))) };
    let plain_len = reader.number()?;
    let tags = if flags & flags::TAGS == 0 { Tags::NONE } else { tags(reader)? };
    let (sealed, negative) = (flags & flags::SEALED != 0, flags & flags::NEGATIVE != 0);
    let content = Content { format, encoding, sealed, negative, schema, plain_len };
    Ok(Meta {
        version,
        sequence,
        written_at,
        confirmed_at,
        fresh_until,
        hard_until,
        stale_for,
        sliding,
        load_cost,
        content,
        tags,
    })
}

fn flags_of(reader: &mut Reader<'_>) -> Result<u16> {
    let flags = u16::from_be_bytes(reader.array()?);
    match flags & !flags::KNOWN {
        0 => Ok(flags),
        unknown => Err(unsupported(format!(
            "the stored envelope of version {VERSION} has flags that this build does not know: {unknown:#06x}"
        ))),
    }
}

/// The end of freshness and the hard deadline, which is never before it.
fn deadlines(reader: &mut Reader<'_>, flags: u16, now: Tick) -> Result<(Tick, Tick)> {
    let has = |flag| flags & flag != 0;
    if has(flags::FRESH_NEVER) {
        return match has(flags::HARD_NEVER) && !has(flags::PAST) {
            true => Ok((Tick::NEVER, Tick::NEVER)),
            false => Err(rejected("the stored envelope has flags that contradict each other")),
        };
    }
    let span = reader.span()?;
    let fresh_until = if has(flags::PAST) { now.before(positive(span)?) } else { now.after(span) };
    let hard_until = if has(flags::HARD_NEVER) { Tick::NEVER } else { fresh_until.after(reader.span()?) };
    Ok((fresh_until, hard_until))
}

fn tags(reader: &mut Reader<'_>) -> Result<Tags> {
    let count = usize::from(reader.byte()?);
    // A tag is a length and at least a byte: what the count claims must be there before room is made for it.
    if count == 0 || count > MAX_TAGS || count * 2 > reader.rest.len() {
        return Err(rejected("the stored envelope has an impossible number of tags"));
    }
    let mut tags = Vec::with_capacity(count);
    for _ in 0..count {
        let tag = tag(reader)?;
        if tags.last().is_some_and(|last| *last >= tag) {
            return Err(rejected("the stored envelope has tags out of order"));
        }
        tags.push(tag);
    }
    Tags::new(tags)
}

fn tag(reader: &mut Reader<'_>) -> Result<Tag> {
    let len = usize::from(reader.byte()?);
    let text = std::str::from_utf8(reader.take(len)?).map_err(|_| rejected("the stored envelope has a broken tag"))?;
    Tag::new(text).map_err(|_| rejected("the stored envelope has a tag of an impossible length"))
}

/// Finds values that were cut short, as far as their length is known without opening them.
fn check_value(content: &Content, len: usize) -> Result<()> {
    let plain = content.encoding == Encoding::NONE && !content.sealed;
    if plain && content.plain_len != len as u64 {
        return Err(rejected("the stored value has another length than its envelope says"));
    }
    if content.negative && !content.sealed && len > 0 {
        return Err(rejected("the stored envelope is of no value, but there is one"));
    }
    Ok(())
}

fn positive(span: Duration) -> Result<Duration> {
    if span.is_zero() { Err(rejected("the stored envelope has an empty span")) } else { Ok(span) }
}

fn rejected(what: &'static str) -> Error {
    Error::new(ErrorKind::Rejected, what)
}

fn unsupported(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, what)
}

/// What is left of the bytes.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64> {
        varint::read(&mut self.rest).ok_or_else(|| rejected("the stored envelope has a broken number"))
    }

    fn span(&mut self) -> Result<Duration> {
        self.number().map(Duration::from_millis)
    }
}

fn cut_short() -> Error {
    rejected("the stored envelope is cut short")
}
