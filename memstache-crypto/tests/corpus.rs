//! Runs the committed fuzz corpora through the fuzz targets' own functions, on every toolchain.

use std::{fs, path::Path};

use memstache_crypto::fuzzing;

/// Replays a corpus of at least 50 inputs, some of which are accepted and some refused.
fn replay(target: &str, run: impl Fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut accepted, mut refused) = (0, 0);
    for file in fs::read_dir(corpus).expect("the corpus is committed") {
        let bytes = fs::read(file.expect("a file of the corpus").path()).expect("a readable file");
        *(if run(&bytes) { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted + refused >= 50, "{target}: {} inputs", accepted + refused);
    assert!(accepted >= 5 && refused >= 5, "{target}: {accepted} accepted, {refused} refused");
}

macro_rules! replays {
    ($($target:ident),* $(,)?) => {$(
        #[test]
        fn $target() {
            replay(stringify!($target), fuzzing::$target);
        }
    )*};
}

replays!(associated_data, envelope, inner_header, key_record);

#[cfg(feature = "emulator")]
replays!(emulator_json);
