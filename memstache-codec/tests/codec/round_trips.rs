//! Every format, every compressor, every size from nothing to 16 MiB.

use bytes::Bytes;
use memstache_codec::{Blob, Compress, Formats, NamedFormat};
use memstache_core::{Encoding, Format, Lifetime, NewEntry};
use proptest::prelude::*;

use crate::common::{address, down, noise, stored, text, up, value};

const MAX: usize = 16 << 20;

fn formats() -> Vec<NamedFormat> {
    let formats = Formats::new();
    formats.names().map(|name| formats.named(name).unwrap()).collect()
}

/// Trained from texts like those that are tried.
#[cfg(feature = "zstd")]
fn dictionaries() -> memstache_codec::Dictionaries {
    let dictionaries = memstache_codec::Dictionaries::new();
    let samples = (0..200).map(|n| serde_json::to_vec(&crate::common::user(n)).unwrap());
    let dictionary = memstache_codec::Dictionary::train(1, samples, 4_096).unwrap();
    dictionaries.add(&crate::common::space(None), dictionary).unwrap();
    dictionaries
}

/// Layers that compress whatever helps, however little, and one that never does.
fn layers() -> Vec<(&'static str, Compress)> {
    let builder = |name| Compress::builder().algorithm(name).threshold(0).min_saving(0.0).max_plain(5 * MAX);
    let known = [
        ("lz4", cfg!(feature = "lz4")),
        ("zstd:-7", cfg!(feature = "zstd")),
        ("zstd:3", cfg!(feature = "zstd")),
        ("gzip:1", cfg!(feature = "gzip")),
    ];
    let here = known.into_iter().filter(|(_, here)| *here).map(|(name, _)| (name, builder(name).build().unwrap()));
    let none = ("none", Compress::builder().build().unwrap());
    #[cfg(feature = "zstd")]
    let here = here.chain([("dictionary", builder("zstd:3").dictionaries(&dictionaries()).build().unwrap())]);
    here.chain([none]).collect()
}

/// Text, noise and zeros in turns, so that something is left to do.
fn content(len: usize, seed: u64) -> Vec<u8> {
    let pieces = [text(len / 2), noise(len / 4, seed), vec![0; len]];
    let mut all = pieces.concat();
    let turn = seed as usize % all.len().max(1);
    all.rotate_left(turn);
    all.truncate(len);
    all
}

fn round_trip(layers: &[(&str, Compress)], len: usize, seed: u64) {
    let plain = Blob::from(content(len, seed));
    for format in formats() {
        round_trip_in(layers, &format, &plain);
    }
}

fn round_trip_in(layers: &[(&str, Compress)], format: &NamedFormat, plain: &Blob) {
    let len = plain.len();
    let bytes = format.encode(plain).unwrap();
    for (name, layer) in layers {
        let mut entry = NewEntry::new(bytes.clone(), Lifetime::UNLIMITED);
        entry.options.compress = Some(true);
        let packed = down(layer, &address(None), entry);
        assert!(packed.value.len() <= bytes.len() && packed.content.plain_len == bytes.len() as u64);
        assert!(len < 1 << 10 || (packed.content.encoding == Encoding::NONE) == (*name == "none"), "{name} {len}");
        let found = value(up(layer, &address(None), stored(packed.value, packed.content))).unwrap();
        assert!(found == bytes, "{format:?} {name} {len}");
    }
    assert!(format.decode_shared::<Blob>(&bytes).unwrap() == *plain, "{format:?} {len}");
}

#[test]
fn at_every_border() {
    let layers = layers();
    let borders =
        [0, 1, 63, 64, 127, 128, 129, 255, 256, 511, 512, 513, 1_024, 65_534, 65_535, 65_536, 65_537, 131_072, 131_073];
    for len in borders.into_iter().chain([1 << 20]) {
        round_trip(&layers, len, 7);
    }
}

#[test]
fn at_sixteen_mebibytes() {
    let layers = layers();
    round_trip(&layers, MAX, 3);
}

/// What is stored has sixteen mebibytes, with what the format adds.
#[test]
fn at_sixteen_mebibytes_with_the_formats_own_bytes() {
    let (layers, plain) = (layers(), Blob::from(content(MAX, 5)));
    for format in formats().into_iter().filter(|format| format.name() != "json") {
        let added = format.encode(&plain).unwrap().len() - MAX;
        let plain = Blob(plain.slice(added..));
        assert!(added < 10 && format.encode(&plain).unwrap().len() == MAX, "{format:?}");
        round_trip_in(&layers, &format, &plain);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Sizes of every order of magnitude alike, up to a mebibyte: above, see the next.
    #[test]
    fn at_any_size((len, seed) in (0u32..=20).prop_flat_map(|bits| ((0..1usize << bits), any::<u64>()))) {
        round_trip(&layers(), len, seed);
    }
}

proptest! {
    // Each takes every format through every compressor: few, for their size.
    #![proptest_config(ProptestConfig::with_cases(2))]

    #[test]
    fn at_any_large_size(len in 1usize << 20..=MAX, seed: u64) {
        round_trip(&layers(), len, seed);
    }
}

#[test]
fn bytes_that_hold_nothing_compressible_are_handed_on_as_they_are() {
    for (_, layer) in layers() {
        let bytes = Bytes::from(noise(10_000, 1));
        let mut entry = NewEntry::new(bytes.clone(), Lifetime::UNLIMITED);
        entry.options.compress = Some(true);
        let kept = down(&layer, &address(None), entry);
        assert_eq!((kept.content.encoding, kept.value.as_ptr()), (Encoding::NONE, bytes.as_ptr()));
    }
}
