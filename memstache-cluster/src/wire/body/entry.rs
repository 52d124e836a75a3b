//! Entries: those that are stored as core's envelopes, those that are to be stored in a form of their own.

use memstache_core::{
    Content, Encoding, Entry, EntryOptions, FormatId, Lifetime, Meta, NewEntry, Result, Schema, Tag, Tags, envelope,
};

use super::{
    super::{
        reader::{Reader, malformed},
        writer::Writer,
    },
    address::get_short,
};

/// What the two flag bytes of a new entry say.
mod flags {
    pub(super) const SEALED: u16 = 1;
    pub(super) const NEGATIVE: u16 = 1 << 1;
    pub(super) const SCHEMA: u16 = 1 << 2;
    pub(super) const TTL: u16 = 1 << 3;
    pub(super) const SLIDING: u16 = 1 << 4;
    pub(super) const TAGS: u16 = 1 << 5;
    /// The writer said whether to compress …
    pub(super) const COMPRESS_SAID: u16 = 1 << 6;
    /// … and that it should.
    pub(super) const COMPRESS: u16 = 1 << 7;
    pub(super) const ENCRYPT_SAID: u16 = 1 << 8;
    pub(super) const ENCRYPT: u16 = 1 << 9;
    pub(super) const KNOWN: u16 = (1 << 10) - 1;
}

// Meta: core's envelope (memstache_core::envelope) up to its value.
pub(super) fn put_meta(w: &mut Writer<'_, '_>, meta: &Meta) -> Result<()> {
    w.charge(meta.tags.as_slice().len())?;
    let now = w.now();
    w.out.with_small(|small| envelope::encode_meta(meta, now, small));
    Ok(())
}

pub(super) fn get_meta(r: &mut Reader<'_>) -> Result<Meta> {
    let now = r.now();
    let meta = r.with(|rest| envelope::decode_meta(rest, now)).map_err(|_| malformed("an entry"))?;
    r.charge(meta.tags.as_slice().len())?;
    Ok(meta)
}

// Entry:
//   meta
//   v  length of the value
//   n  value
pub(super) fn put(w: &mut Writer<'_, '_>, entry: &Entry) -> Result<()> {
    put_meta(w, &entry.meta)?;
    w.len(entry.value.len());
    w.out.value(&entry.value);
    Ok(())
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Entry> {
    let meta = get_meta(r)?;
    Ok(Entry { value: r.value()?, meta })
}

// New entry:
//   2  flags
//   1  format
//   1  encoding
//   v  ttl, ms                             only under TTL
//   v  sliding window, ms                  only under SLIDING
//   v  stale_for, ms
//   v  load cost, ms
//   8  schema                              only under SCHEMA
//   v  plain length
//   v  number of tags                      only under TAGS; each:
//        1  length
//        n  UTF-8
//   v  length of the value
//   n  value
pub(super) fn put_new<'c>(w: &mut Writer<'_, 'c>, entry: &'c NewEntry) -> Result<()> {
    let NewEntry { value, content, lifetime, tags, options: _, load_cost } = entry;
    w.out.put(&flags_of(entry).to_be_bytes());
    w.out.put(&[content.format.0, content.encoding.0]);
    put_lifetime(w, *lifetime);
    w.span(*load_cost);
    if let Some(schema) = content.schema {
        w.out.put(&schema.0.to_be_bytes());
    }
    w.out.number(content.plain_len);
    if !tags.is_empty() {
        w.many(tags.as_slice(), |w, tag| {
            w.short(tag.as_str());
            Ok(())
        })?;
    }
    w.len(value.len());
    w.out.value(value);
    Ok(())
}

fn flags_of(entry: &NewEntry) -> u16 {
    let EntryOptions { compress, encrypt } = entry.options;
    [
        (flags::SEALED, entry.content.sealed),
        (flags::NEGATIVE, entry.content.negative),
        (flags::SCHEMA, entry.content.schema.is_some()),
        (flags::TTL, entry.lifetime.ttl().is_some()),
        (flags::SLIDING, entry.lifetime.sliding().is_some()),
        (flags::TAGS, !entry.tags.is_empty()),
        (flags::COMPRESS_SAID, compress.is_some()),
        (flags::COMPRESS, compress == Some(true)),
        (flags::ENCRYPT_SAID, encrypt.is_some()),
        (flags::ENCRYPT, encrypt == Some(true)),
    ]
    .into_iter()
    .filter(|(_, set)| *set)
    .fold(0, |all, (flag, _)| all | flag)
}

pub(super) fn get_new(r: &mut Reader<'_>) -> Result<NewEntry> {
    let flags = u16::from_be_bytes(r.array()?);
    let has = |flag| flags & flag != 0;
    let contradicts =
        (has(flags::COMPRESS) && !has(flags::COMPRESS_SAID)) || (has(flags::ENCRYPT) && !has(flags::ENCRYPT_SAID));
    if flags & !flags::KNOWN != 0 || contradicts {
        return Err(malformed("flags"));
    }
    let [format, encoding] = r.array()?;
    let lifetime = get_lifetime(r, has(flags::TTL), has(flags::SLIDING))?;
    let load_cost = r.span()?;
    let schema = if has(flags::SCHEMA) { Some(Schema(r.fixed()?)) } else { None };
    let plain_len = r.number()?;
    let tags = if has(flags::TAGS) { tags(r)? } else { Tags::NONE };
    let value = r.value()?;
    let (sealed, negative) = (has(flags::SEALED), has(flags::NEGATIVE));
    let (format, encoding) = (FormatId(format), Encoding(encoding));
    let said = |said, yes| has(said).then(|| has(yes));
    Ok(NewEntry {
        value,
        content: Content { format, encoding, sealed, negative, schema, plain_len },
        lifetime,
        tags,
        options: EntryOptions {
            compress: said(flags::COMPRESS_SAID, flags::COMPRESS),
            encrypt: said(flags::ENCRYPT_SAID, flags::ENCRYPT),
        },
        load_cost,
    })
}

pub(super) fn put_lifetime(w: &mut Writer<'_, '_>, lifetime: Lifetime) {
    if let Some(ttl) = lifetime.ttl() {
        w.span(ttl);
    }
    if let Some(window) = lifetime.sliding() {
        w.span(window);
    }
    w.span(lifetime.stale_for());
}

pub(super) fn get_lifetime(r: &mut Reader<'_>, ttl: bool, sliding: bool) -> Result<Lifetime> {
    let mut lifetime = Lifetime::UNLIMITED;
    let wrong = |_| malformed("a lifetime");
    if ttl {
        lifetime = lifetime.with_ttl(r.span()?).map_err(wrong)?;
    }
    if sliding {
        lifetime = lifetime.with_sliding(r.span()?).map_err(wrong)?;
    }
    lifetime.with_stale_for(r.span()?).map_err(wrong)
}

fn tags(r: &mut Reader<'_>) -> Result<Tags> {
    let tags = r.many(2, |r| Tag::new(get_short(r)?).map_err(|_| malformed("a tag")))?;
    if tags.is_empty() || !tags.is_sorted_by(|a, b| a < b) {
        return Err(malformed("tags"));
    }
    Tags::new(tags).map_err(|_| malformed("tags"))
}
