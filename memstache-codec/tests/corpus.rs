//! Runs the committed fuzz corpora through the fuzz targets' own functions, on every toolchain.

#![cfg(all(
    feature = "bincode",
    feature = "gzip",
    feature = "json",
    feature = "lz4",
    feature = "message-pack",
    feature = "postcard",
    feature = "zstd"
))]

use std::{fs, path::Path};

use memstache_core::Encoding;

#[path = "../fuzz/run.rs"]
mod run;

/// Replays a corpus of at least 200 inputs, some of which are accepted and some refused.
fn replay(target: &str, run: impl Fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut accepted, mut refused) = (0, 0);
    for file in fs::read_dir(corpus).expect("the corpus is committed") {
        let bytes = fs::read(file.expect("a file of the corpus").path()).expect("a readable file");
        *(if run(&bytes) { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted + refused >= 200, "{target}: {} inputs", accepted + refused);
    assert!(accepted >= 3 && refused >= 3, "{target}: {accepted} accepted, {refused} refused");
}

macro_rules! replays {
    ($($test:ident: $run:expr),* $(,)?) => {$(
        #[test]
        fn $test() {
            replay(stringify!($test), $run);
        }
    )*};
}

replays! {
    bincode: |data| run::format("bincode", data),
    dictionary: run::dictionary,
    gzip: |data| run::compressor(Encoding::GZIP, data),
    json: |data| run::format("json", data),
    lz4: |data| run::compressor(Encoding::LZ4, data),
    message_pack: |data| run::format("message-pack", data),
    postcard: |data| run::format("postcard", data),
    raw: |data| run::format("raw", data),
    zstd: |data| run::compressor(Encoding::ZSTD, data),
}
