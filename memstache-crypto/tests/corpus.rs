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

/// What the fuzzer would do, for a moment on every toolchain: the committed bodies with numbers, texts and parts exchanged.
#[cfg(feature = "emulator")]
mod bodies {
    use proptest::{prelude::*, sample::Index};

    use super::{Path, fs, fuzzing};

    const VALUES: [&str; 16] = [
        "-1",
        "0",
        "1e308",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "99999999999999999999",
        "null",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""P99999999999999999999Y""#,
        r#""P-1D""#,
        r#""\u0000\ud83d\ude00""#,
        r#""AAAA""#,
    ];

    fn seeds() -> Vec<Vec<u8>> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/emulator_json");
        let files = fs::read_dir(corpus).expect("the corpus is committed");
        let mut seeds: Vec<_> =
            files.map(|file| fs::read(file.expect("a file").path()).expect("a readable file")).collect();
        seeds.sort();
        seeds
    }

    /// Where a value of JSON begins and ends, roughly: behind a colon, up to a comma or a bracket.
    fn value(body: &[u8], at: Index) -> Option<std::ops::Range<usize>> {
        let colons: Vec<_> = body.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at + 1).collect();
        let start = *colons.get(at.index(colons.len().max(1)))?;
        let len = body[start..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(body.len() - start);
        Some(start..start + len)
    }

    proptest! {
        #[test]
        fn any_of_them_is_answered_or_refused(
            seed: Index,
            other: Index,
            route: u8,
            changes in prop::collection::vec((any::<Index>(), any::<Index>(), 0..4_u8), 1..5),
        ) {
            let seeds = seeds();
            let (mut body, other) = (seed.get(&seeds).clone(), other.get(&seeds));
            for (at, which, how) in changes {
                let place = at.index(body.len().max(1)).min(body.len());
                match how {
                    0 => if let Some(range) = value(&body, at) {
                        body.splice(range, VALUES[which.index(VALUES.len())].bytes());
                    },
                    1 => if let (Some(range), Some(from)) = (value(&body, at), value(other, which)) {
                        body.splice(range, other[from].iter().copied());
                    },
                    2 => if let Some(byte) = body.get_mut(place) {
                        *byte ^= 1 << which.index(8);
                    },
                    _ => body.truncate(place),
                }
            }
            if let Some(first) = body.first_mut() {
                *first = route;
            }
            fuzzing::emulator_json(&body);
        }
    }
}
