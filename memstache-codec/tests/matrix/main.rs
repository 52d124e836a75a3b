//! What one build wrote, every other reads, or says which feature it lacks.
//!
//! The committed files are of version 1 and are never written again: a change that cannot read them breaks caches that
//! are in use. With `MEMSTACHE_MATRIX` naming a folder, `cargo xtask matrix` lets builds with other features write and
//! read there too: `MEMSTACHE_MATRIX_WRITE` is the name of the writer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../codec/common.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
mod kit;

use std::{env, fs, path::Path};

use self::kit::{COMPRESSIONS, FORMATS, Sample};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/1");

#[test]
fn golden_values_are_read_or_their_feature_is_named() {
    let files = kit::read_all(Path::new(GOLDEN));
    assert_eq!(files, FORMATS.len() * COMPRESSIONS.len());
}

#[test]
fn formats_write_what_they_wrote_in_version_one() {
    for format in FORMATS.iter().filter(|format| format.is_here()) {
        let sample = Sample { format, compression: &COMPRESSIONS[0] };
        let golden = fs::read(Path::new(GOLDEN).join(sample.file())).unwrap();
        assert_eq!(sample.write(), golden, "{}", sample.file());
    }
}

#[test]
fn what_is_written_is_read() {
    match (env::var_os("MEMSTACHE_MATRIX"), env::var_os("MEMSTACHE_MATRIX_WRITE")) {
        (Some(folder), Some(writer)) => write_all(&Path::new(&folder).join(writer)),
        (Some(folder), None) => {
            let writers: Vec<_> = fs::read_dir(folder).unwrap().map(|writer| writer.unwrap().path()).collect();
            assert!(!writers.is_empty());
            writers.iter().for_each(|writer| assert!(kit::read_all(writer) > 0, "{}", writer.display()));
        }
        (None, _) => {
            let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix");
            write_all(&own);
            assert_eq!(kit::read_all(&own), kit::samples().filter(Sample::is_here).count());
        }
    }
}

fn write_all(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir_all(folder).unwrap();
    for sample in kit::samples().filter(Sample::is_here) {
        fs::write(folder.join(sample.file()), sample.write()).unwrap();
    }
}
