//! Entries into envelopes.

use bytes::{BufMut, Bytes};

use super::{MAGIC, VERSION, flags, varint};
use crate::{
    clock::{Tick, millis},
    entry::{Entry, Meta, Tags},
};

/// Longest opening, numbers and schema together: ten numbers of ten bytes, and fifteen bytes that are fixed.
const MAX_HEAD: usize = 10 * varint::MAX_LEN + 15;

/// Writes an entry as it is at `now`. One allocation.
///
/// Spans are rounded up to whole milliseconds. An entry whose freshness would end after its hard deadline is written
/// with the deadline for both.
// Layout, version 1; `v` is a varint, fixed numbers are big-endian:
//
//   1  magic 0xE5
//   1  version 1
//   v  the entry's version                 (every future version begins with these three)
//   2  flags
//   1  format
//   1  encoding
//   v  sequence
//   v  age since written, ms
//   v  age since confirmed, ms
//   v  fresh for another … ms              PAST: freshness ended … ms ago (not 0); FRESH_NEVER: absent
//   v  from there to the hard deadline, ms HARD_NEVER: absent
//   v  stale_for, ms
//   v  load cost, ms
//   v  sliding window, ms (not 0)          only under SLIDING
//   8  schema                              only under SCHEMA
//   v  plain length
//   1  number of tags, 1 to 32             only under TAGS; sorted, without duplicates, each:
//        1  length, 1 to 128
//        n  UTF-8
//   n  value, to the end
pub fn encode(entry: &Entry, now: Tick) -> Bytes {
    let mut room = [0; MAX_HEAD];
    let head = head(&entry.meta, now, &mut room);
    let len = head.len() + tags_len(&entry.meta.tags) + entry.value.len();

    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(head);
    put_tags(&entry.meta.tags, &mut out);
    out.extend_from_slice(&entry.value);
    debug_assert_eq!(out.len(), len, "a second allocation");
    out.into()
}

/// Writes all of an envelope but the value: for who sends that without copying it.
///
/// [`decode_meta`](super::decode_meta) reads it; with the value behind it, it is what [`encode`] writes.
pub fn encode_meta(meta: &Meta, now: Tick, out: &mut Vec<u8>) {
    let mut room = [0; MAX_HEAD];
    let head = head(meta, now, &mut room);
    out.reserve(head.len() + tags_len(&meta.tags));
    out.extend_from_slice(head);
    put_tags(&meta.tags, out);
}

fn tags_len(tags: &Tags) -> usize {
    let tags = tags.as_slice();
    usize::from(!tags.is_empty()) + tags.iter().map(|tag| 1 + tag.as_str().len()).sum::<usize>()
}

/// Everything before the tags.
fn head<'a>(meta: &Meta, now: Tick, room: &'a mut [u8; MAX_HEAD]) -> &'a [u8] {
    let mut out = &mut room[..];
    out.put_u8(MAGIC);
    out.put_u8(VERSION);
    varint::write(meta.version.0, &mut out);
    out.put_u16(flags(meta, now));
    out.put_u8(meta.content.format.0);
    out.put_u8(meta.content.encoding.0);
    varint::write(meta.sequence.0, &mut out);
    put_times(meta, now, &mut out);
    if let Some(schema) = meta.content.schema {
        out.put_u64(schema.0);
    }
    varint::write(meta.content.plain_len, &mut out);
    let left = out.len();
    &room[..MAX_HEAD - left]
}

fn flags(meta: &Meta, now: Tick) -> u16 {
    let fresh_until = fresh_until(meta);
    [
        (flags::SEALED, meta.content.sealed),
        (flags::NEGATIVE, meta.content.negative),
        (flags::SCHEMA, meta.content.schema.is_some()),
        (flags::SLIDING, meta.sliding.is_some()),
        (flags::TAGS, !meta.tags.is_empty()),
        (flags::PAST, fresh_until < now && fresh_until != Tick::NEVER),
        (flags::HARD_NEVER, meta.hard_until == Tick::NEVER),
        (flags::FRESH_NEVER, fresh_until == Tick::NEVER),
    ]
    .into_iter()
    .filter(|(_, set)| *set)
    .fold(0, |all, (flag, _)| all | flag)
}

fn put_times(meta: &Meta, now: Tick, out: &mut impl BufMut) {
    let fresh_until = fresh_until(meta);
    varint::write(millis(now.since(meta.written_at)), out);
    varint::write(millis(now.since(meta.confirmed_at)), out);
    if fresh_until != Tick::NEVER {
        varint::write(fresh_until.as_millis().abs_diff(now.as_millis()), out);
    }
    if meta.hard_until != Tick::NEVER {
        varint::write(millis(meta.hard_until.since(fresh_until)), out);
    }
    varint::write(millis(meta.stale_for), out);
    varint::write(millis(meta.load_cost), out);
    if let Some(window) = meta.sliding {
        varint::write(millis(window), out);
    }
}

fn fresh_until(meta: &Meta) -> Tick {
    meta.fresh_until.min(meta.hard_until)
}

fn put_tags(tags: &Tags, out: &mut Vec<u8>) {
    let tags = tags.as_slice();
    if tags.is_empty() {
        return;
    }
    out.push(u8::try_from(tags.len()).expect("at most 32 tags"));
    for tag in tags {
        out.push(u8::try_from(tag.as_str().len()).expect("a tag has at most 128 bytes"));
        out.extend_from_slice(tag.as_str().as_bytes());
    }
}
