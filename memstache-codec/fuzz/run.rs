//! What the fuzz targets run, also run by a normal test over their corpora.
//!
//! Each function returns whether the bytes were accepted; whatever is accepted must survive being written again.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{LazyLock, OnceLock},
};

use bytes::Bytes;
use memstache_codec::{Blob, Compress, Dictionaries, Dictionary, NamedFormat};
use memstache_core::{
    Address, Content, Encoding, Format, Get, KeyspaceName, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response,
    Sequence, Set, Space, Step, Tick, Transform, Version,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: u64,
    name: String,
    note: Option<String>,
    score: f64,
    small: i8,
    letters: Vec<char>,
    kind: Kind,
    parts: Vec<(u16, bool)>,
    more: BTreeMap<String, Option<i64>>,
    bytes: Blob,
}

#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    Nothing,
    One(u32),
    Pair(String, i128),
    Named { left: f32, right: Box<Self> },
}

#[derive(Debug, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Vec<Self>),
    Chain(Box<Self>),
}

/// Reads bytes as one of several types; the first byte says which.
pub(crate) fn format(name: &str, data: &[u8]) -> bool {
    let format: NamedFormat = name.parse().expect("a format of this build");
    let Some((kind, bytes)) = data.split_first() else { return false };
    let bytes = Bytes::copy_from_slice(bytes);
    match kind % 8 {
        0 => read::<Record>(&format, &bytes),
        1 => read::<Tree>(&format, &bytes),
        2 => read::<Vec<Option<String>>>(&format, &bytes),
        3 => read::<BTreeMap<u32, Vec<u64>>>(&format, &bytes),
        4 => read::<Blob>(&format, &bytes),
        5 => read::<Vec<()>>(&format, &bytes),
        6 => read::<(u8, i16, u32, i64, u128, f32, bool, char)>(&format, &bytes),
        _ => read::<String>(&format, &bytes),
    }
}

fn read<T: Serialize + DeserializeOwned + Debug>(format: &NamedFormat, bytes: &Bytes) -> bool {
    let copied = format.decode::<T>(bytes);
    let Ok(value) = format.decode_shared::<T>(bytes) else {
        assert!(copied.is_err(), "shared bytes are other bytes");
        return false;
    };
    // Some values are written that nest too deep or are too long to be read again, but none that was read before.
    let Ok(written) = format.encode(&value) else { return false };
    let again = format.decode_shared::<T>(&written).expect("what was written is read");
    // Compared as they print: a number may be none.
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
    true
}

const MAX_PLAIN: usize = 256 << 10;

/// Decompresses bytes; the first three are the length that the header declares.
pub(crate) fn compressor(encoding: Encoding, data: &[u8]) -> bool {
    let Some((len, packed)) = data.split_first_chunk::<3>() else { return false };
    let plain_len = u64::from(u32::from_le_bytes([len[0], len[1], len[2], 0]));
    let content = Content { encoding, plain_len, ..Content::default() };
    let Some(plain) = up(Bytes::copy_from_slice(packed), content) else { return false };
    assert_eq!(plain.len() as u64, plain_len, "another length than the header says");
    let written = down(encoding, plain.clone());
    assert_eq!(up(written.value, written.content).as_ref(), Some(&plain), "what was written is read");
    true
}

/// Takes bytes for a dictionary, and writes and reads with it.
pub(crate) fn dictionary(data: &[u8]) -> bool {
    let Ok(dictionary) = Dictionary::from_bytes(data.to_vec()) else { return false };
    let dictionaries = Dictionaries::new();
    dictionaries.add(&space(), dictionary).expect("the first");
    let layer = Compress::builder().zstd(1).threshold(0).min_saving(0.0).dictionaries(&dictionaries).build();
    let layer = layer.expect("good settings");
    for plain in [&b"a"[..], b"what dictionaries are for: small values, alike", data] {
        let entry = through(&layer, Bytes::copy_from_slice(plain));
        let content = Content { plain_len: plain.len() as u64, ..entry.content };
        assert_eq!(opened(&layer, entry.value, content).as_deref(), Some(plain), "what was written is read");
    }
    true
}

fn space() -> Space {
    Space::new(None, &KeyspaceName::new("k").expect("a name"))
}

fn address() -> Address {
    static ADDRESS: LazyLock<Address> = LazyLock::new(|| Address::plain(&space(), "key").expect("a name"));
    ADDRESS.clone()
}

/// A layer that writes by a compressor, and reads by all.
fn layer(encoding: Encoding) -> &'static Compress {
    static LAYERS: [OnceLock<Compress>; 3] = [const { OnceLock::new() }; 3];
    let (at, name) = match encoding {
        Encoding::ZSTD => (0, "zstd"),
        Encoding::LZ4 => (1, "lz4"),
        _ => (2, "gzip"),
    };
    LAYERS[at].get_or_init(|| {
        let builder = Compress::builder().algorithm(name).threshold(0).min_saving(0.0).max_plain(MAX_PLAIN);
        builder.offload_above(usize::MAX).dictionaries(&dictionaries()).build().expect("good settings")
    })
}

/// The committed dictionary, for frames that name it.
fn dictionaries() -> Dictionaries {
    let dictionaries = Dictionaries::new();
    let dictionary = Dictionary::from_bytes(&include_bytes!("../tests/golden/dictionary")[..]).expect("a dictionary");
    dictionaries.add_readable(&space(), dictionary).expect("the first");
    dictionaries
}

fn up(packed: Bytes, content: Content) -> Option<Bytes> {
    opened(layer(content.encoding), packed, content)
}

fn opened(layer: &Compress, packed: Bytes, content: Content) -> Option<Bytes> {
    let mut entry = NewEntry::new(packed, Lifetime::UNLIMITED);
    entry.content = content;
    let entry = entry.into_entry(Tick::from_millis(1), Version(1), Sequence(0));
    let Step::Now(Ok((_, asked))) = layer.request(Request::Get(Get::one(address()))) else { panic!("not at once") };
    let found = Response::Found(OneOrMany::One(Ok(Lookup::Hit(entry))));
    match layer.response(asked, found) {
        Step::Now(Ok(Response::Found(found))) => match found.into_one() {
            Some(Ok(Lookup::Hit(entry))) => Some(entry.value),
            _ => None,
        },
        other => panic!("not at once: {other:?}"),
    }
}

fn down(encoding: Encoding, plain: Bytes) -> NewEntry {
    through(layer(encoding), plain)
}

fn through(layer: &Compress, plain: Bytes) -> NewEntry {
    let mut entry = NewEntry::new(plain, Lifetime::UNLIMITED);
    entry.options.compress = Some(true);
    match layer.request(Request::Set(Set::one(address(), entry))) {
        Step::Now(Ok((Request::Set(set), _))) => set.items.into_one().expect("one").entry,
        other => panic!("not at once: {other:?}"),
    }
}
