//! Compressors: ratio and speed at several sizes, and the layer against bare calls.

use bytes::Bytes;
use memstache_codec::{Compress, CompressBuilder, Compressor, Dictionaries, Dictionary, Gzip, Lz4, Zstd};
use memstache_core::{
    Content, Entry, Get, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Set, Step, Transform,
};
use zstd_safe::{CCtx, DCtx, compress_bound};

use crate::{
    common::{address, eager, noise, space, stored, user},
    formats::factor,
    rows::{Mark, Row, interleave, speed},
};

const SIZES: [(&str, usize); 5] =
    [("256 B", 256), ("512 B", 512), ("1 KiB", 1_024), ("4 KiB", 4_096), ("64 KiB", 65_536)];
/// How many different values take turns.
const VALUES: usize = 64;

/// JSON of users, each value of other users, of exactly so many bytes.
fn values(len: usize) -> Vec<Bytes> {
    let value = |at: usize| {
        let mut out = Vec::new();
        let mut n = (at * 1_000_003) as u64;
        while out.len() < len {
            serde_json::to_writer(&mut out, &user(n % 1_000_000)).unwrap();
            n += 7_919;
        }
        out.truncate(len);
        Bytes::from(out)
    };
    (1..=VALUES).map(value).collect()
}

fn compressors() -> Vec<(String, Box<dyn Compressor>)> {
    let zstd = |level| (format!("zstd {level}"), Box::new(Zstd::new(level).unwrap()) as Box<dyn Compressor>);
    vec![
        ("lz4".to_owned(), Box::new(Lz4::new())),
        zstd(-7),
        zstd(-1),
        zstd(1),
        zstd(3),
        zstd(9),
        zstd(19),
        ("gzip 1".to_owned(), Box::new(Gzip::new(1).unwrap())),
        ("gzip 6".to_owned(), Box::new(Gzip::default())),
    ]
}

pub(crate) fn run(rounds: usize) -> Vec<Mark> {
    println!("\n## Compressors\n");
    println!("| JSON | compressor | ratio | in MB/s | out MB/s |\n| --- | --- | ---: | ---: | ---: |");
    let mut marks = Vec::new();
    for (name, len) in SIZES {
        let values = values(len);
        for (label, compressor) in compressors() {
            table(rounds.div_ceil(4), name, &label, &*compressor, &values);
        }
        if [256, 4_096, 65_536].contains(&len) {
            marks.extend(zstd_marks(rounds, name, &values));
            marks.extend(lz4_marks(rounds, name, &values));
        }
    }
    guess(rounds);
    marks
}

fn table(rounds: usize, name: &str, label: &str, compressor: &dyn Compressor, values: &[Bytes]) {
    let len = values[0].len();
    let pack = |value: &Bytes| {
        let mut out = Vec::new();
        compressor.compress(value, &mut out).unwrap();
        out
    };
    let packed: Vec<_> = values.iter().map(pack).collect();
    let (mut out, mut plain) = (Vec::new(), vec![0; len]);
    let mut rows = [
        Row::new(|n| {
            out.clear();
            compressor.compress(&values[n % VALUES], &mut out).unwrap();
        }),
        Row::new(|n| compressor.decompress(&packed[n % VALUES], &mut plain).unwrap()),
    ];
    interleave(rounds, &mut rows);
    let [write, read] = rows;
    let ratio = (len * VALUES) as f64 / packed.iter().map(Vec::len).sum::<usize>() as f64;
    let (into, out) = (speed(len, write.median()), speed(len, read.median()));
    println!("| {name} | {label} | {ratio:.2} | {into:.0} | {out:.0} |");
}

/// The request that writes a value: made with and without the layer.
fn write(value: Bytes) -> Request {
    Request::Set(Set::one(address_of(), NewEntry::new(value, Lifetime::UNLIMITED)))
}

/// The request that reads a value, and the answer to it: made with and without the layer.
fn read(entry: Entry) -> (Request, Response) {
    (Request::Get(Get::one(address_of())), Response::Found(OneOrMany::One(Ok(Lookup::Hit(entry)))))
}

/// A value through the layer on its way down.
fn down(layer: &Compress, value: &Bytes) -> Request {
    match layer.request(write(value.clone())) {
        Step::Now(Ok((request, _))) => request,
        other => panic!("not at once: {other:?}"),
    }
}

/// An entry through the layer on its way up.
fn up(layer: &Compress, entry: Entry) -> Response {
    let (request, response) = read(entry);
    let Step::Now(Ok((_, asked))) = layer.request(request) else { panic!("not at once") };
    match layer.response(asked, response) {
        Step::Now(Ok(response)) => response,
        other => panic!("not at once: {other:?}"),
    }
}

fn address_of() -> memstache_core::Address {
    thread_local!(static ADDRESS: memstache_core::Address = address(None));
    ADDRESS.with(Clone::clone)
}

/// Entries as the layer makes them.
fn entries(layer: &Compress, values: &[Bytes]) -> Vec<Entry> {
    let entry = |value| match down(layer, value) {
        Request::Set(set) => {
            let entry = set.items.into_one().unwrap().entry;
            stored(entry.value, entry.content)
        }
        other => panic!("another request: {other:?}"),
    };
    values.iter().map(entry).collect()
}

fn zstd_marks(rounds: usize, name: &str, values: &[Bytes]) -> [Mark; 2] {
    let layer = eager(Compress::builder().zstd(3));
    let entries = entries(&layer, values);
    let len = values[0].len();
    let (mut writer, mut reader) = (CCtx::create(), DCtx::create());
    let mut rows = [
        Row::new(|n| {
            let mut out = Vec::with_capacity(compress_bound(len));
            writer.compress(&mut out, &values[n % VALUES], 3).unwrap();
            write(out.into())
        }),
        Row::new(|n| down(&layer, &values[n % VALUES])),
        Row::new(|n| {
            let mut plain = Vec::with_capacity(len);
            let mut entry = entries[n % VALUES].clone();
            reader.decompress(&mut plain, &entry.value).unwrap();
            entry.value = plain.into();
            read(entry)
        }),
        Row::new(|n| up(&layer, entries[n % VALUES].clone())),
    ];
    interleave(rounds, &mut rows);
    both("zstd 3", name, len, &rows)
}

fn lz4_marks(rounds: usize, name: &str, values: &[Bytes]) -> [Mark; 2] {
    let layer = eager(Compress::builder().lz4());
    let len = values[0].len();
    // At 256 bytes lz4 gains nothing, and the layer keeps the value; it is read as one that was written all the same.
    let packed: Vec<_> = values.iter().map(|value| lz4_flex::block::compress(value)).collect();
    let content = Content { encoding: Lz4::new().encoding(), plain_len: len as u64, ..Content::default() };
    let entries: Vec<_> = packed.iter().map(|packed| stored(packed.clone(), content)).collect();
    let mut rows = [
        Row::new(|n| write(lz4_flex::block::compress(&values[n % VALUES]).into())),
        Row::new(|n| down(&layer, &values[n % VALUES])),
        Row::new(|n| {
            let mut entry = entries[n % VALUES].clone();
            entry.value = lz4_flex::block::decompress(&entry.value, len).unwrap().into();
            read(entry)
        }),
        Row::new(|n| up(&layer, entries[n % VALUES].clone())),
    ];
    interleave(rounds, &mut rows);
    both("lz4", name, len, &rows)
}

fn both(label: &str, name: &str, len: usize, rows: &[Row<'_>; 4]) -> [Mark; 2] {
    let [bare_write, write, bare_read, read] = rows;
    [
        Mark::new(format!("{label} writes {name}"), bare_write, write, factor(len), 1),
        Mark::new(format!("{label} reads {name}"), bare_read, read, factor(len), 1),
    ]
}

/// What it costs to see that there is nothing to gain.
fn guess(rounds: usize) {
    println!("\n## Values that are dense already\n");
    println!("| what | ns |\n| --- | ---: |");
    let values: Vec<_> = (1..=VALUES as u64).map(|n| Bytes::from(noise(65_536, n))).collect();
    let builder = || -> CompressBuilder { Compress::builder().offload_above(usize::MAX) };
    let (sees, off) = (builder().zstd(3).build().unwrap(), builder().build().unwrap());
    let mut rows = [Row::new(|n| down(&off, &values[n % VALUES])), Row::new(|n| down(&sees, &values[n % VALUES]))];
    interleave(rounds, &mut rows);
    println!("| a layer that compresses nothing, 64 KiB | {:.0} |", rows[0].median());
    println!("| one that sees that it need not | {:.0} |", rows[1].median());
    assert_eq!(sees.stats().compressed, 0);
}

/// What a dictionary saves, and what it costs.
pub(crate) fn dictionary() {
    println!("\n## Dictionaries, values of about 300 bytes\n");
    let value = |n: u64| serde_json::to_vec(&user(n)).unwrap();
    for (level, size) in [(1, 16 << 10), (3, 2 << 10), (3, 16 << 10), (3, 64 << 10), (9, 16 << 10)] {
        let dictionary = Dictionary::train(1, (0..4_000).map(value), size).unwrap().with_level(level).unwrap();
        let report = dictionary.savings((500_000..504_000).map(value)).unwrap();
        let dictionaries = Dictionaries::new();
        dictionaries.add(&space(None), dictionary).unwrap();
        let layer = eager(Compress::builder().zstd(level).dictionaries(&dictionaries));
        let values: Vec<_> = (0..VALUES as u64).map(|n| Bytes::from(value(700_000 + n))).collect();
        let entries = entries(&layer, &values);
        let mut rows =
            [Row::new(|n| down(&layer, &values[n % VALUES])), Row::new(|n| up(&layer, entries[n % VALUES].clone()))];
        interleave(5, &mut rows);
        println!("- {report}; write {:.0} ns, read {:.0} ns", rows[0].median(), rows[1].median());
    }
}
