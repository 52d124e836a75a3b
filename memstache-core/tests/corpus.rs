//! Runs the committed fuzz corpora through the fuzz targets' own functions, on every toolchain.

use std::{fs, path::Path};

use memstache_core::fuzzing;

/// Replays a corpus. A seed's name says what becomes of it; what the fuzzer adds (a hash for a name) may be either.
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut accepted, mut refused) = (0, 0);
    for file in fs::read_dir(corpus).expect("the corpus is committed") {
        let file = file.expect("a file of the corpus");
        let name = file.file_name().into_string().expect("an ASCII name");
        let is_accepted = run(&fs::read(file.path()).expect("a readable file"));
        assert!(is_accepted || !name.starts_with("accepted-"), "{target}/{name} was refused");
        assert!(!is_accepted || !name.starts_with("refused-"), "{target}/{name} was accepted");
        *(if is_accepted { &mut accepted } else { &mut refused }) += 1;
    }
    assert!(accepted >= 3 && refused >= 3, "{target}: a corpus with {accepted} accepted and {refused} refused files");
}

#[test]
fn envelope() {
    replay("envelope", fuzzing::envelope);
}

#[test]
fn records() {
    replay("records", fuzzing::record_file);
}
