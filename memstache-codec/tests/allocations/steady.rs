//! One allocation a direction, once contexts and buffers are there.

use bytes::Bytes;
use memstache_codec::{Blob, CompressBuilder, Formats, NamedFormat, Raw};
use memstache_core::{Format, Get, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Set, Step, Transform};

use crate::{
    common::{address, eager, stored, text, user},
    counted,
};

fn formats() -> Vec<NamedFormat> {
    let formats = Formats::new();
    formats.names().filter(|name| *name != "raw").map(|name| formats.named(name).unwrap()).collect()
}

/// A value that owns nothing, so that what is counted is the format's.
type Numbers = [[u64; 8]; 4];

fn numbers() -> Numbers {
    let mut all = Numbers::default();
    all.as_flattened_mut().iter_mut().enumerate().for_each(|(at, n)| *n = (at as u64).pow(9));
    all
}

#[test]
fn a_format_allocates_once_to_write_and_not_to_read() {
    for format in formats() {
        for _ in 0..3 {
            format.encode(&numbers()).unwrap();
        }
        let (bytes, count) = counted(|| format.encode(&numbers()).unwrap());
        assert_eq!((count.times, count.bytes), (1, bytes.len()), "{format:?}");
        let (value, count) = counted(|| format.decode::<Numbers>(&bytes).unwrap());
        assert_eq!((value, count.times), (numbers(), 0), "{format:?}");
    }
}

#[test]
fn a_large_value_is_written_with_one_allocation_too() {
    let users: Vec<_> = (0..2_000).map(user).collect();
    for format in formats() {
        // What is typical is the process's: other tests may lower it, and a buffer then grows once.
        let least = (0..20).map(|_| counted(|| format.encode(&users).unwrap()).1.times).min();
        assert_eq!(least, Some(1), "{format:?}");
    }
}

#[test]
fn raw_blobs_are_never_copied() {
    let blob = Blob::from(text(10_000));
    Raw.encode("warm").unwrap();
    let (bytes, count) = counted(|| Raw.encode(&blob).unwrap());
    // Bytes that were a vector so far count their owners from now on.
    assert!(count.bytes < 100, "{}", count.bytes);
    let (again, count) = counted(|| Raw.decode_shared::<Blob>(&bytes).unwrap());
    assert_eq!((again.as_ptr(), count.times), (blob.as_ptr(), 0));
}

fn builders() -> Vec<(&'static str, CompressBuilder)> {
    vec![
        #[cfg(feature = "lz4")]
        ("lz4", memstache_codec::Compress::builder().lz4()),
        #[cfg(feature = "zstd")]
        ("zstd", memstache_codec::Compress::builder().zstd(3)),
        #[cfg(feature = "gzip")]
        ("gzip", memstache_codec::Compress::builder().gzip(6)),
        #[cfg(feature = "zstd")]
        ("dictionary", memstache_codec::Compress::builder().zstd(3).dictionaries(&dictionaries())),
    ]
}

#[cfg(feature = "zstd")]
fn dictionaries() -> memstache_codec::Dictionaries {
    let dictionaries = memstache_codec::Dictionaries::new();
    let samples = (0..500).map(|n| serde_json::to_vec(&user(n)).unwrap());
    let dictionary = memstache_codec::Dictionary::train(1, samples, 4_096).unwrap();
    dictionaries.add(&crate::common::space(None), dictionary).unwrap();
    dictionaries
}

#[test]
fn the_layer_allocates_once_each_way() {
    for (name, builder) in builders() {
        let compress = eager(builder);
        for len in [300, 4_096, 65_536, 1 << 20] {
            let (address, plain) = (address(None), Bytes::from(text(len)));
            let write = || {
                let set = Set::one(address.clone(), NewEntry::new(plain.clone(), Lifetime::UNLIMITED));
                let (step, count) = counted(|| compress.request(Request::Set(set)));
                let Step::Now(Ok((Request::Set(set), _))) = step else { panic!("at once") };
                (set.items.into_one().unwrap().entry, count)
            };
            (0..3).for_each(|_| drop(write()));
            let (packed, count) = write();
            if packed.content.encoding.0 == 0 {
                continue; // lz4 gains nothing so small
            }
            assert_eq!((count.times, count.bytes), (1, packed.value.len()), "{name} {len}");

            let read = || {
                let Step::Now(Ok((_, asked))) = compress.request(Request::Get(Get::one(address.clone()))) else {
                    panic!("at once")
                };
                let hit = Lookup::Hit(stored(packed.value.clone(), packed.content));
                let found = Response::Found(OneOrMany::One(Ok(hit)));
                let (step, count) = counted(|| compress.response(asked, found));
                assert!(matches!(step, Step::Now(Ok(_))));
                count
            };
            (0..3).for_each(|_| _ = read());
            let count = read();
            assert_eq!((count.times, count.bytes), (1, len), "{name} {len}");
        }
    }
}
