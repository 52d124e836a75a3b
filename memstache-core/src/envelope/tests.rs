use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::Tick,
    entry::{Content, Encoding, Entry, FormatId, Meta, NewEntry, Schema, Tags},
    error::ErrorKind,
    lifetime::Lifetime,
    name::Tag,
    version::{Sequence, Version},
};

const NOW: Tick = Tick::from_millis(1 << 41);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn tags(texts: &[&str]) -> Tags {
    Tags::new(texts.iter().map(|text| Tag::new(text).unwrap())).unwrap()
}

/// A value of JSON, 5 minutes to live, 30 s of grace.
fn typical() -> Entry {
    let lifetime = Lifetime::new(ms(300_000)).unwrap().with_stale_for(ms(30_000)).unwrap();
    let mut entry = NewEntry::new(r#"{"a":1}"#, lifetime);
    entry.content.format = FormatId::JSON;
    entry.content.schema = Some(Schema::new("product", 1));
    entry.load_cost = ms(12);
    entry.into_entry(NOW, Version(1_000), Sequence(3))
}

/// Everything that can be set is set, and it is stale.
fn full() -> Entry {
    Entry {
        value: Bytes::from_static(b"\xc1sealed"),
        meta: Meta {
            version: Version(u64::MAX),
            sequence: Sequence(1 << 32),
            written_at: NOW.before(ms(90_000)),
            confirmed_at: NOW.before(ms(45_000)),
            fresh_until: NOW.before(ms(1_500)),
            hard_until: NOW.after(ms(60_000)),
            stale_for: ms(10_000),
            sliding: Some(ms(20_000)),
            load_cost: ms(250),
            content: Content {
                format: FormatId::POSTCARD,
                encoding: Encoding::ZSTD,
                sealed: true,
                negative: false,
                schema: Some(Schema(0x0102_0304_0506_0708)),
                plain_len: 70_000,
            },
            tags: tags(&["ü:1", "shop:7"]),
        },
    }
}

fn negative() -> Entry {
    NewEntry::negative(Lifetime::UNLIMITED).into_entry(NOW, Version(1), Sequence(0))
}

/// What version 1 looks like, for ever: never change these bytes, add others.
const GOLDEN: [(fn() -> Entry, &str); 3] = [
    (typical, "e501e80700040100030000e0a71200b0ea010c6505bb4271cf3f5f077b2261223a317d"),
    (
        full,
        "e501ffffffffffffffffff01003d02018080808010 90bf05c8df02dc0bbce003904efa01a09c01\
         0102030405060708f0a204020673686f703a3704c3bc3a31c17365616c6564",
    ),
    (negative, "e5010100c20000000000000000"),
];

fn golden_bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect::<Vec<_>>().into()
}

fn assert_same(left: &Entry, right: &Entry) {
    assert_eq!((&left.value, &left.meta), (&right.value, &right.meta));
}

/// What every reader may rely on, whatever the bytes were.
fn assert_well_formed(entry: &Entry) {
    let meta = &entry.meta;
    assert!(meta.fresh_until <= meta.hard_until);
    assert!(meta.written_at <= NOW && meta.confirmed_at <= NOW);
    assert!(meta.sliding != Some(Duration::ZERO));
    assert_same(&decode(encode(entry, NOW), NOW).unwrap(), entry);
}

#[test]
fn golden_bytes_never_change() {
    for (entry, hex) in GOLDEN {
        let (entry, bytes) = (entry(), golden_bytes(hex));
        assert_eq!(format!("{:x}", encode(&entry, NOW)), format!("{bytes:x}"));
        assert_same(&decode(bytes, NOW).unwrap(), &entry);
    }
}

#[test]
fn a_typical_entry_costs_at_most_forty_bytes() {
    let entry = typical();
    assert!(encode(&entry, NOW).len() - entry.value.len() <= 40);
}

#[test]
fn what_is_known_of_a_value_goes_without_it() {
    for entry in [typical(), full(), negative()] {
        let mut out = b"before".to_vec();
        encode_meta(&entry.meta, NOW, &mut out);
        out.extend_from_slice(&entry.value);
        assert_eq!(out[6..], encode(&entry, NOW));
        let mut rest = &out[6..];
        assert_eq!(decode_meta(&mut rest, NOW).unwrap(), decode(encode(&entry, NOW), NOW).unwrap().meta);
        assert_eq!(rest, entry.value);
        let mut cut = &out[6..12];
        assert!(decode_meta(&mut cut, NOW).is_err() && cut.len() == 6);
    }
}

#[test]
fn the_value_is_a_part_of_the_input() {
    let bytes = encode(&typical(), NOW);
    let end = bytes.as_ptr_range().end;
    assert_eq!(decode(bytes, NOW).unwrap().value.as_ptr_range().end, end);
}

#[test]
fn no_truncation_panics() {
    for (entry, hex) in GOLDEN {
        let bytes = golden_bytes(hex);
        let head = bytes.len() - entry().value.len();
        for len in 0..bytes.len() {
            match decode(bytes.slice(..len), NOW) {
                Ok(entry) => assert!(len >= head && entry.meta.content.sealed, "{len} bytes are an entry"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Rejected),
            }
        }
    }
}

#[test]
fn no_changed_byte_panics() {
    for (_, hex) in GOLDEN {
        let bytes = golden_bytes(hex);
        for (at, byte) in (0..bytes.len()).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
            let mut changed = bytes.to_vec();
            changed[at] = byte;
            match decode(changed.into(), NOW) {
                Ok(entry) => assert_well_formed(&entry),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Rejected | ErrorKind::Unsupported)),
            }
        }
    }
}

#[test]
fn another_version_is_unsupported_and_named() {
    let mut bytes = encode(&typical(), NOW).to_vec();
    bytes[1] = 9;
    let error = decode(bytes.into(), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "the stored envelope has version 9, this build reads version 1");
    assert_eq!(error.version(), Some(Version(1_000)), "so that it can be reloaded under a lease");
}

#[test]
fn unknown_flags_are_unsupported_and_name_the_version() {
    let mut bytes = encode(&negative(), NOW).to_vec();
    bytes[3] = 0x80;
    let error = decode(bytes.into(), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("version 1") && error.to_string().contains("0x8000"));
    assert_eq!(error.version(), Some(Version(1)));
}

#[test]
fn malformed_is_rejected_with_its_version() {
    let hex = |text| decode(golden_bytes(text), NOW).unwrap_err();
    let cases = [
        ("e501 8000", "a number that is not canonical", None),
        ("c1010000", "a sealed value", None),
        ("", "nothing", None),
        ("e501 01 0080 00000000 00 00 00 00 00", "never fresh-ending, but with a hard deadline", Some(Version(1))),
        ("e501 01 0060 0000 00 00 00 00 00 00 00", "freshness that ended zero milliseconds ago", Some(Version(1))),
        ("e501 01 00c8 0000 00 00 00 00 00 00 00", "an empty sliding window", Some(Version(1))),
        ("e501 01 00c2 0000 00 00 00 00 00 01 78", "a negative entry with a value", Some(Version(1))),
        ("e501 01 00c0 0000 00 00 00 00 00 05 78", "a value cut short", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 00", "a flag of tags without one", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 21 0161", "more tags than allowed", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 02 0161 0161", "a tag twice", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 02 0162 0161", "tags out of order", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 01 00 61", "an empty tag", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 01 01 ff", "a tag that is no UTF-8", Some(Version(1))),
        ("e501 01 00d0 0000 00 00 00 00 00 00 01 ff 61", "a tag longer than the rest", Some(Version(1))),
    ];
    for (text, what, version) in cases {
        let error = hex(text);
        assert_eq!((error.kind(), error.version()), (ErrorKind::Rejected, version), "{what}: {error}");
    }
}

#[test]
fn freshness_never_passes_the_hard_deadline() {
    let mut entry = typical();
    entry.meta.hard_until = NOW.after(ms(5));
    let read = decode(encode(&entry, NOW), NOW).unwrap();
    assert_eq!((read.meta.fresh_until, read.meta.hard_until), (NOW.after(ms(5)), NOW.after(ms(5))));
}

#[test]
fn rest_counts_as_age() {
    let stored = encode(&typical(), NOW);
    let read = decode(stored, NOW.after(ms(60_000)).before(ms(10_000))).unwrap();
    let now = NOW.after(ms(60_000));
    assert_eq!(now.since(read.meta.written_at), ms(10_000));
    assert_eq!(read.meta.fresh_until.since(now), ms(290_000));
}

prop_compose! {
    fn contents()(
        format: u8, encoding in 0u8..5, sealed: bool, schema in prop::option::of(any::<u64>()), plain_len: u64,
        negative in prop::bool::weighted(0.1), value in prop::collection::vec(any::<u8>(), 0..40),
    ) -> (Bytes, Content) {
        let value = if negative && !sealed { Bytes::new() } else { Bytes::from(value) };
        let plain_len = if encoding == 0 && !sealed { value.len() as u64 } else { plain_len };
        let (format, encoding, schema) = (FormatId(format), Encoding(encoding), schema.map(Schema));
        (value, Content { format, encoding, sealed, negative, schema, plain_len })
    }
}

prop_compose! {
    fn entries()(
        (value, content) in contents(), version: u64, sequence: u64, age in 0u64..1 << 40, confirmed in 0u64..1 << 40,
        fresh in prop::option::of(-(1i64 << 40)..1 << 40), left in prop::option::of(0u64..1 << 40),
        stale_for in 0u64..1 << 40, load_cost in 0u64..1 << 40, sliding in prop::option::of(1u64..1 << 40),
        tags in prop::collection::vec("[a-zü:]{1,60}", 0..8),
    ) -> Entry {
        let fresh_until = fresh.map_or(Tick::NEVER, |fresh| Tick::from_millis(NOW.as_millis().saturating_add_signed(fresh)));
        let hard_until = left.map_or(Tick::NEVER, |left| fresh_until.after(ms(left)));
        let tags = Tags::new(tags.iter().map(|tag| Tag::new(tag).unwrap())).unwrap();
        Entry { value, meta: Meta {
            version: Version(version), sequence: Sequence(sequence),
            written_at: NOW.before(ms(age)), confirmed_at: NOW.before(ms(confirmed)), fresh_until, hard_until,
            stale_for: ms(stale_for), sliding: sliding.map(ms), load_cost: ms(load_cost), content, tags,
        } }
    }
}

proptest! {
    #[test]
    fn round_trip(entry in entries()) {
        let read = decode(encode(&entry, NOW), NOW).unwrap();
        prop_assert_eq!((read.value, read.meta), (entry.value, entry.meta));
    }

    #[test]
    fn ages_and_remaining_times_move_to_another_clock_to_the_millisecond(entry in entries(), then in 1u64 << 41..1 << 50) {
        let then = Tick::from_millis(then);
        let shift = |tick: Tick| match tick {
            Tick::NEVER => Tick::NEVER,
            tick => Tick::from_millis(tick.as_millis() + then.as_millis() - NOW.as_millis()),
        };
        let read = decode(encode(&entry, NOW), then).unwrap().meta;
        prop_assert_eq!(read.written_at, shift(entry.meta.written_at));
        prop_assert_eq!(read.confirmed_at, shift(entry.meta.confirmed_at));
        prop_assert_eq!(read.fresh_until, shift(entry.meta.fresh_until));
        prop_assert_eq!(read.hard_until, shift(entry.meta.hard_until));
    }

    #[test]
    fn any_bytes_are_an_entry_or_an_error(tail in prop::collection::vec(any::<u8>(), 0..120)) {
        let bytes = [&[MAGIC, VERSION, 1, 0][..], &tail].concat();
        if let Ok(entry) = decode(bytes.into(), NOW) {
            assert_well_formed(&entry);
        }
    }
}
