//! Every truncation and every flipped bit of every golden value: the value or an error, and never much memory.

use std::{fs, path::Path};

use bytes::Bytes;
use memstache_codec::{Compress, NamedFormat};
use memstache_core::{Content, Encoding, Format, FormatId, Lookup, Tick, envelope};

use crate::{
    common::{User, address, stored, up, value},
    counted,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/1");
/// The limit of the layer under test.
const MAX_PLAIN: usize = 64 << 10;
/// What an error, a deserializer and the like may take.
const SLACK: usize = 8 << 10;

/// The golden files, by name.
fn files() -> Vec<(String, Bytes)> {
    let mut all: Vec<_> = fs::read_dir(Path::new(GOLDEN))
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap().into())
        })
        .collect();
    all.sort();
    assert_eq!(all.len(), 25);
    all
}

/// The golden values as the layers see them: file, content, bytes.
fn goldens() -> Vec<(String, Content, Bytes)> {
    let now = Tick::from_millis(1 << 41);
    let entry = |bytes| envelope::decode(bytes, now).unwrap();
    files()
        .into_iter()
        .map(|(name, bytes)| (name, entry(bytes)))
        .map(|(name, it)| (name, it.meta.content, it.value))
        .collect()
}

/// Every truncation, and every flipped bit.
fn damaged(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    let cut = (0..bytes.len()).map(|len| bytes.slice(..len));
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Bytes::from(bytes)
    });
    cut.chain(flipped)
}

fn format(id: FormatId) -> Option<NamedFormat> {
    let names = ["raw", "json", "postcard", "bincode", "message-pack"];
    names.get(usize::from(id.0))?.parse().ok()
}

/// Decodes as the handle does, and returns the most that was allocated in all.
fn decode(format: &NamedFormat, bytes: &Bytes) -> usize {
    match format.id() {
        FormatId::RAW => counted(|| format.decode_shared::<Vec<u8>>(bytes).map(drop)).1.bytes,
        _ => counted(|| format.decode_shared::<Vec<User>>(bytes).map(drop)).1.bytes,
    }
}

#[test]
fn damaged_values_of_every_format() {
    let plain = goldens().into_iter().filter(|(_, content, _)| content.encoding == Encoding::NONE);
    let mut tried = 0;
    for (name, content, bytes) in plain {
        let Some(format) = format(content.format) else { continue };
        let sound = decode(&format, &bytes);
        for bytes in damaged(&bytes) {
            let allocated = decode(&format, &bytes);
            // A length that lies makes room for at most as many elements as there are bytes.
            let limit = 4 * sound + bytes.len() * size_of::<User>() + SLACK;
            assert!(allocated <= limit, "{name}: {allocated} bytes, {sound} for what is sound");
            tried += 1;
        }
    }
    assert!(tried > 30_000, "{tried}");
}

/// A text and bytes of which only the length is there: nearly 64 MiB, in each format's way to say it.
#[test]
fn texts_that_claim_to_be_long() {
    let claims: [(&str, &[u8], &[u8]); 3] = [
        ("bincode", &[0xfc, 0, 0, 0xf0, 0x03], &[0xfc, 0, 0, 0xf0, 0x03]),
        ("postcard", &[0x80, 0x80, 0xc0, 0x1f], &[0x80, 0x80, 0xc0, 0x1f]),
        ("message-pack", &[0xdb, 0x03, 0xf0, 0, 0], &[0xc6, 0x03, 0xf0, 0, 0]),
    ];
    for (name, text, bytes) in claims {
        let Ok(format) = name.parse::<NamedFormat>() else { continue };
        let (_, text) = counted(|| format.decode::<String>(text).unwrap_err());
        let (_, blob) = counted(|| format.decode::<memstache_codec::Blob>(bytes).unwrap_err());
        assert!(text.bytes <= SLACK && blob.bytes <= SLACK, "{name}: {} and {} bytes", text.bytes, blob.bytes);
    }
}

fn layer() -> Compress {
    let builder = Compress::builder().max_plain(MAX_PLAIN);
    #[cfg(feature = "zstd")]
    let builder = builder.dictionaries(&dictionaries());
    builder.build().unwrap()
}

/// gzip has a checksum: the value or an error. In what lz4 and zstd store here there is none, as in plain bytes: then it may
/// be another value, of the length that was declared.
#[test]
fn damaged_values_of_every_compressor() {
    let layer = layer();
    let (mut tried, mut refused) = (0, 0);
    for (name, content, bytes) in goldens().into_iter().filter(|(_, content, _)| content.encoding != Encoding::NONE) {
        // So that contexts are there, too.
        let sound = up(&layer, &address(None), stored(bytes.clone(), content)).ok();
        let sound = sound.map(|found| value(Ok(found)).unwrap());
        for bytes in damaged(&bytes) {
            let entry = stored(bytes, content);
            let (found, count) = counted(|| up(&layer, &address(None), entry));
            assert!(count.bytes <= MAX_PLAIN + SLACK, "{name}: {} bytes", count.bytes);
            tried += 1;
            match value(found) {
                Ok(found) if name.contains("gzip") => assert!(Some(&found) == sound.as_ref(), "{name}"),
                Ok(found) => assert_eq!(found.len() as u64, content.plain_len, "{name}"),
                Err(error) => {
                    assert!(error.version().is_some(), "{name}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(tried > 100_000 && refused > tried / 2, "{tried}, {refused} refused");
}

/// The whole of what a store keeps: the header that says what the value is, and the value.
#[test]
fn damaged_envelopes() {
    let (layer, now) = (layer(), Tick::from_millis(1 << 41));
    let (mut tried, mut refused) = (0, 0);
    for (name, bytes) in files() {
        for bytes in damaged(&bytes) {
            let len = bytes.len();
            let (entry, count) = counted(|| envelope::decode(bytes, now));
            assert!(count.bytes <= len + SLACK, "{name}: {} bytes", count.bytes);
            tried += 1;
            let Ok(entry) = entry else {
                refused += 1;
                continue;
            };
            let content = entry.meta.content;
            let (found, count) = counted(|| up(&layer, &address(None), entry));
            assert!(count.bytes <= MAX_PLAIN + SLACK, "{name}: {} bytes", count.bytes);
            let Ok(Lookup::Hit(entry)) = found else { continue };
            if content.encoding != Encoding::NONE {
                assert_eq!(entry.value.len() as u64, content.plain_len, "{name}");
            }
            if let Some(format) = format(content.format) {
                let limit = MAX_PLAIN + entry.value.len() * size_of::<User>() + SLACK;
                assert!(decode(&format, &entry.value) <= limit, "{name}");
            }
        }
    }
    assert!(tried > 250_000 && (10_000..tried).contains(&refused), "{tried}, {refused} refused");
}

#[test]
fn lengths_that_lie() {
    let layer = Compress::builder().max_plain(MAX_PLAIN).build().unwrap();
    for (name, content, bytes) in goldens().into_iter().filter(|(_, content, _)| content.encoding != Encoding::NONE) {
        drop(up(&layer, &address(None), stored(bytes.clone(), content)));
        for plain_len in (0..64).map(|bit| 1u64 << bit).chain([0, u64::MAX, MAX_PLAIN as u64, content.plain_len - 1]) {
            if plain_len == content.plain_len {
                continue;
            }
            let entry = stored(bytes.clone(), Content { plain_len, ..content });
            let (found, count) = counted(|| up(&layer, &address(None), entry));
            assert!(found.is_err(), "{name}: {plain_len}");
            let limit = if plain_len > MAX_PLAIN as u64 { 0 } else { plain_len as usize };
            assert!(count.bytes <= limit + SLACK, "{name}: {} bytes for {plain_len}", count.bytes);
        }
    }
}

/// Small each, and a gibibyte together.
#[cfg(feature = "zstd")]
#[test]
fn a_thousand_bombs_in_one_call() {
    use memstache_core::{Get, Lookup, OneOrMany, Request, Response, Step, Transform};

    const LEN: usize = 1 << 20;
    let builder = || Compress::builder().zstd(3).max_plain(LEN).offload_above(usize::MAX);
    let packed = crate::common::down(
        &builder().build().unwrap(),
        &address(None),
        memstache_core::NewEntry::new(vec![0; LEN], memstache_core::Lifetime::UNLIMITED),
    );
    assert!(packed.value.len() < 100 && packed.content.plain_len == LEN as u64);
    let layer = builder().max_plain_per_call(3 * LEN).build().unwrap();
    let found = (0..1_000).map(|_| Ok(Lookup::Hit(stored(packed.value.clone(), packed.content))));
    let found = Response::Found(OneOrMany::Many(found.collect()));
    let Step::Now(Ok((_, asked))) = layer.request(Request::Get(Get::one(address(None)))) else { panic!("at once") };
    let (step, count) = counted(|| layer.response(asked, found));
    let Step::Now(Ok(Response::Found(found))) = step else { panic!("at once") };
    assert_eq!(found.iter().filter(|item| item.is_ok()).count(), 3);
    // Each error is an allocation or two of its own.
    assert!(count.bytes <= 3 * LEN + 1_000 * 512, "{} bytes", count.bytes);
    assert_eq!(layer.stats().rejected_by_call, 997);
}

#[test]
fn every_encoding_id_with_any_bytes() {
    let layer = Compress::builder().max_plain(MAX_PLAIN).build().unwrap();
    for id in 1..=255 {
        for len in [0, 1, 9, 100, 5_000] {
            let content = Content { encoding: Encoding(id), plain_len: 4_000, ..Content::default() };
            let entry = stored(crate::common::noise(len, u64::from(id)), content);
            let (found, count) = counted(|| up(&layer, &address(None), entry));
            assert!(found.is_err() && count.bytes <= MAX_PLAIN + SLACK, "{id} {len}");
        }
    }
}

#[cfg(feature = "zstd")]
fn dictionaries() -> memstache_codec::Dictionaries {
    let dictionaries = memstache_codec::Dictionaries::new();
    let dictionary = memstache_codec::Dictionary::from_bytes(&include_bytes!("../golden/dictionary")[..]).unwrap();
    dictionaries.add(&crate::common::space(None), dictionary).unwrap();
    dictionaries
}
