//! Every format, every compressor, every size from nothing to 16 MiB.

use bytes::Bytes;
use memstache_codec::{Blob, Compress, Formats, NamedFormat};
use memstache_core::{Encoding, Format, Lifetime, NewEntry};
use proptest::prelude::*;

use crate::common::{address, down, noise, stored, text, up, value};

const MAX: usize = 16 << 20;
/// JSON writes bytes as numbers, four bytes each: what is slow without optimisation is tried up to here.
const MAX_SLOW: usize = 1 << 20;

fn formats() -> Vec<NamedFormat> {
    let formats = Formats::new();
    formats.names().map(|name| formats.named(name).unwrap()).collect()
}

/// Layers that compress whatever helps, however little, and one that never does.
fn layers() -> Vec<(&'static str, Compress)> {
    let eager = |name: &'static str| {
        let builder = Compress::builder().algorithm(name).threshold(0).min_saving(0.0).max_plain(5 * MAX);
        (name, builder.build().unwrap())
    };
    vec![
        ("none", Compress::builder().build().unwrap()),
        #[cfg(feature = "lz4")]
        eager("lz4"),
        #[cfg(feature = "zstd")]
        eager("zstd:-7"),
        #[cfg(feature = "zstd")]
        eager("zstd:3"),
        #[cfg(feature = "gzip")]
        eager("gzip:1"),
    ]
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

fn round_trip(len: usize, seed: u64) {
    let plain = Blob::from(content(len, seed));
    let layers = layers();
    for format in formats().into_iter().filter(|format| format.name() != "json" || len <= MAX_SLOW) {
        let bytes = format.encode(&plain).unwrap();
        for (name, layer) in &layers {
            let mut entry = NewEntry::new(bytes.clone(), Lifetime::UNLIMITED);
            entry.options.compress = Some(true);
            let packed = down(layer, &address(None), entry);
            assert!(packed.value.len() <= bytes.len() && packed.content.plain_len == bytes.len() as u64);
            let found = value(up(layer, &address(None), stored(packed.value, packed.content))).unwrap();
            assert!(found == bytes, "{format:?} {name} {len} {seed}");
        }
        assert!(format.decode_shared::<Blob>(&bytes).unwrap() == plain, "{format:?} {len} {seed}");
    }
}

#[test]
fn at_every_border() {
    let borders =
        [0, 1, 63, 64, 127, 128, 255, 256, 511, 512, 1_024, 65_534, 65_535, 65_536, 131_072, 131_073, 1 << 20];
    for len in borders {
        round_trip(len, 7);
    }
}

#[test]
fn at_sixteen_mebibytes() {
    round_trip(MAX, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Sizes of every order of magnitude alike.
    #[test]
    fn at_any_size((len, seed) in (0u32..=24).prop_flat_map(|bits| ((0..1usize << bits), any::<u64>()))) {
        round_trip(len, seed);
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
