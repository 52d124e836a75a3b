//! The compressing layer, by itself and in a stack.

use memstache_codec::{Blob, Compress, Raw};
use memstache_core::{
    Cache, Content, Encoding, ErrorKind, Get, Lookup, MemoryStore, OneOrMany, Request, Stack, Step, Transform, Version,
};

use crate::{
    common::{address, down, eager, noise, stored, text, up, value},
    kit::{Pairs, builders, entry, pairs},
};

#[test]
fn every_compressor_round_trips_and_says_what_it_did() {
    for (name, encoding, builder) in builders() {
        let compress = eager(builder);
        for plain in [text(1_000), text(4_096), text(60_000), vec![0; 50_000]] {
            let packed = down(&compress, &address(None), entry(plain.clone()));
            assert_eq!((packed.content.encoding, packed.content.plain_len), (encoding, plain.len() as u64), "{name}");
            assert!(packed.value.len() < plain.len(), "{name}");
            let found = up(&compress, &address(None), stored(packed.value, packed.content)).unwrap();
            let Lookup::Hit(entry) = found else { panic!("no hit") };
            assert_eq!((entry.meta.content.encoding, &entry.value[..]), (Encoding::NONE, &plain[..]), "{name}");
        }
        let stats = compress.stats();
        assert_eq!((stats.compressed, stats.decompressed, stats.offloaded), (4, 4, 0));
    }
}

#[test]
fn a_layer_that_writes_nothing_reads_everything() {
    let reader = Compress::builder().build().unwrap();
    for (name, _, builder) in builders() {
        let packed = down(&eager(builder), &address(None), entry(text(2_000)));
        let found = up(&reader, &address(None), stored(packed.value, packed.content));
        assert_eq!(value(found).unwrap(), text(2_000), "{name}");
    }
    assert_eq!(down(&reader, &address(None), entry(text(2_000))).content.encoding, Encoding::NONE);
}

#[test]
fn an_encoding_that_is_not_here_is_unsupported_with_its_version() {
    let reader = Compress::builder().build().unwrap();
    let content = |encoding| Content { encoding, plain_len: 10, ..Content::default() };
    let error = up(&reader, &address(None), stored("x", content(Encoding(200)))).unwrap_err();
    assert_eq!((error.kind(), error.version()), (ErrorKind::Unsupported, Some(Version(9))));
    let lacking = [
        (Encoding::ZSTD, "zstd", cfg!(feature = "zstd")),
        (Encoding::LZ4, "lz4", cfg!(feature = "lz4")),
        (Encoding::GZIP, "gzip", cfg!(feature = "gzip")),
    ];
    for (encoding, feature, _) in lacking.into_iter().filter(|(_, _, here)| !here) {
        let error = up(&reader, &address(None), stored("x", content(encoding))).unwrap_err();
        assert_eq!((error.kind(), error.version()), (ErrorKind::Unsupported, Some(Version(9))));
        assert!(error.to_string().contains(&format!("feature `{feature}`")), "{error}");
        let error = Compress::builder().algorithm(feature).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("feature `{feature}`")), "{error}");
    }
    let known = lacking.iter().filter(|(_, _, here)| !here).count() as u64;
    assert_eq!(reader.stats().rejected_unsupported, 1 + known);
}

#[test]
fn ones_own_compressor_is_chosen_by_name() {
    let compress = pairs().threshold(2).build().unwrap();
    let packed = down(&compress, &address(None), entry("aabb"));
    assert_eq!((packed.content.encoding.0, &packed.value[..]), (131, b"ab".as_slice()));
    assert_eq!(value(up(&compress, &address(None), stored("ab", packed.content))).unwrap(), "aabb");
    let plain = down(&compress, &address(None), entry("?????"));
    assert_eq!((plain.content.encoding, &plain.value[..]), (Encoding::NONE, b"?????".as_slice()));
    assert_eq!(compress.stats().skipped_failed, 1);
}

#[test]
fn wrong_settings_are_named_all_at_once() {
    let error = pairs().register(Pairs).min_saving(1.5).max_plain(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for word in ["min_saving", "max_plain", "encoding id", "compressor name"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = pairs().algorithm("brotli").build().unwrap_err().to_string();
    assert_eq!(error, "compression algorithm must be one of zstd, lz4, gzip, pairs, but `brotli` was given");
    let error = Compress::builder().algorithm("zstd:fast").build().unwrap_err().to_string();
    assert_eq!(error, "compression level must be a number, but `fast` was given");
    for name in ["zstd:99", "zstd:x", "gzip:0", "lz4:3"] {
        assert!(Compress::builder().algorithm(name).build().is_err(), "{name}");
    }
}

#[test]
fn threshold_predicate_and_margin_decide_unless_the_entry_does() {
    let compress = pairs().threshold(100).only_if(|address, _| address.name() != b"8").build().unwrap();
    let eight = memstache_core::Address::plain(&crate::common::space(None), "8").unwrap();
    let encoding = |address: &_, value: Vec<u8>, asked: Option<bool>| {
        let mut entry = entry(value);
        entry.options.compress = asked;
        down(&compress, address, entry).content.encoding
    };
    let (pairs, none) = (Encoding(131), Encoding::NONE);
    assert_eq!(encoding(&address(None), text(99), None), none);
    assert_eq!(encoding(&address(None), text(100), None), pairs);
    assert_eq!(encoding(&address(None), text(99), Some(true)), pairs);
    assert_eq!(encoding(&address(None), text(100), Some(false)), none);
    assert_eq!(encoding(&eight, text(100), None), none);
    assert_eq!(encoding(&eight, text(100), Some(true)), pairs);
    assert_eq!(encoding(&address(None), noise(4_000, 1), None), none, "dense");
    assert_eq!(encoding(&address(None), noise(4_000, 1), Some(true)), pairs, "whenever it helps");
    let stats = compress.stats();
    assert_eq!((stats.skipped_small, stats.skipped_asked, stats.skipped_dense), (1, 2, 1));
}

#[test]
fn what_does_not_shrink_by_the_margin_stays_as_it_is() {
    for (saving, kept) in [(0.5, true), (0.51, false), (0.0, true), (1.0, false)] {
        let compress = pairs().threshold(1).min_saving(saving).build().unwrap();
        let packed = down(&compress, &address(None), entry(vec![7; 1_000]));
        assert_eq!(packed.content.encoding != Encoding::NONE, kept, "{saving}");
        assert_eq!(compress.stats().skipped_no_gain, u64::from(!kept));
    }
}

#[test]
fn what_another_layer_has_compressed_or_sealed_is_left_alone() {
    let compress = pairs().threshold(1).build().unwrap();
    for content in [
        Content { encoding: Encoding::LZ4, ..Content::default() },
        Content { sealed: true, ..Content::default() },
        Content { negative: true, ..Content::default() },
    ] {
        let mut entry = entry("aabb");
        entry.content = content;
        assert_eq!(down(&compress, &address(None), entry).value, "aabb");
    }
    let sealed = Content { sealed: true, encoding: Encoding(131), plain_len: 4, ..Content::default() };
    assert_eq!(value(up(&compress, &address(None), stored("ab", sealed))).unwrap(), "ab");
}

#[test]
fn items_of_a_batch_fail_one_by_one() {
    let compress = pairs().build().unwrap();
    let content = |plain_len| Content { encoding: Encoding(131), plain_len, ..Content::default() };
    let found = vec![
        Ok(Lookup::Hit(stored("ab", content(4)))),
        Ok(Lookup::Hit(stored("ab", content(5)))),
        Ok(Lookup::Miss),
        Ok(Lookup::Stale(stored("cd", content(4)), None)),
    ];
    let Step::Now(Ok((_, asked))) = compress.request(Request::Get(Get::one(address(None)))) else { panic!() };
    let step = compress.response(asked, memstache_core::Response::Found(OneOrMany::Many(found)));
    let Step::Now(Ok(memstache_core::Response::Found(found))) = step else { panic!() };
    let found: Vec<_> = found.into_iter().collect();
    assert!(matches!(&found[0], Ok(Lookup::Hit(entry)) if entry.value == "aabb"));
    assert!(matches!(&found[1], Err(error) if error.version() == Some(Version(9))));
    assert!(matches!(&found[2], Ok(Lookup::Miss)));
    assert!(matches!(&found[3], Ok(Lookup::Stale(entry, None)) if entry.value == "ccdd"));
    assert_eq!(compress.stats().rejected_broken, 1);
}

#[tokio::test]
async fn through_a_whole_stack() {
    for (name, _, builder) in builders() {
        let compress = builder.build().unwrap();
        let store = MemoryStore::builder().max_bytes(64 << 20).build().unwrap();
        let cache = |compress: &Compress| {
            let stack = Stack::over(store.clone()).compress(compress.clone()).build();
            Cache::builder(stack).keyspace("pages").format(Raw).build().unwrap()
        };
        let pages = cache(&compress);
        for len in [0, 1, 511, 512, 5_000, 65_536, 65_537, 1 << 20] {
            let page = Blob::from(text(len));
            pages.set(format!("page {len}"), &page).await.unwrap();
            assert_eq!(pages.get::<Blob>(format!("page {len}")).await.unwrap().unwrap(), page, "{name}");
        }
        let stats = compress.stats();
        assert_eq!((stats.compressed, stats.decompressed, stats.offloaded), (5, 5, 4), "{name}");
        let bare = Cache::builder(Stack::over(store.clone()).build()).keyspace("pages").format(Raw).build().unwrap();
        assert_eq!(bare.get::<Blob>("page 5000").await.unwrap(), None, "a stack that cannot read it has a miss");
        assert_eq!(bare.stats().rejected_unopened, 1);
        assert!(store.stats().bytes < 700_000, "{name}: {}", store.stats().bytes);
    }
}
