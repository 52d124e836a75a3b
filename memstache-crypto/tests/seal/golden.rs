//! Envelopes that were sealed in version 1 and are never sealed again: a change that cannot open them breaks caches that
//! are in use.
//!
//! A file that is missing can be made with `MEMSTACHE_GOLDEN=new`; one that is there is never written.

use std::{env, fs, io::Write as _, path::PathBuf, time::Duration};

use memstache_core::{Content, Encoding, FormatId, Lifetime, NewEntry, Schema};
use memstache_crypto::SealBuilder;

use crate::kit::{address, backends, builder, down, hit, keys, seeded, up};

/// What was sealed, and how.
struct Golden {
    file: &'static str,
    build: fn(SealBuilder) -> SealBuilder,
    entry: fn() -> NewEntry,
}

fn usual() -> NewEntry {
    let lifetime = Lifetime::new(Duration::from_secs(3_600)).unwrap().with_stale_for(Duration::from_secs(60)).unwrap();
    let mut entry = NewEntry::new("what was sealed in version 1 is opened for ever", lifetime);
    entry.content = Content {
        format: FormatId::POSTCARD,
        encoding: Encoding::ZSTD,
        schema: Some(Schema::new("golden", 1)),
        plain_len: 321,
        ..entry.content
    };
    entry
}

const ALL: [Golden; 10] = [
    Golden { file: "aes-256-gcm", build: |builder| builder, entry: usual },
    Golden { file: "aes-256-gcm-padded", build: |builder| builder.padded(), entry: usual },
    Golden { file: "chacha20-poly1305", build: |builder| builder.chacha20_poly1305(), entry: usual },
    Golden { file: "chacha20-poly1305-padded", build: |builder| builder.chacha20_poly1305().padded(), entry: usual },
    Golden { file: "committing-aes-256-gcm", build: |builder| builder.committing(), entry: usual },
    Golden { file: "committing-aes-256-gcm-padded", build: |builder| builder.committing().padded(), entry: usual },
    Golden {
        file: "committing-chacha20-poly1305",
        build: |builder| builder.committing().chacha20_poly1305(),
        entry: usual,
    },
    Golden {
        file: "committing-chacha20-poly1305-padded",
        build: |builder| builder.committing().chacha20_poly1305().padded(),
        entry: usual,
    },
    Golden { file: "empty", build: |builder| builder.generation(7), entry: || NewEntry::new("", Lifetime::UNLIMITED) },
    Golden { file: "negative", build: |builder| builder, entry: || NewEntry::negative(Lifetime::UNLIMITED) },
];

fn path(golden: &Golden) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/1")).join(format!("{}.envelope", golden.file))
}

fn home() -> memstache_core::Address {
    address("golden-tenant", "golden-keyspace", b"golden/name\x00\xff")
}

fn sealed(golden: &Golden, backend: memstache_crypto::Backend) -> NewEntry {
    let seal = (golden.build)(seeded(1)).backend(backend).build().unwrap();
    down(&seal, &home(), (golden.entry)()).unwrap()
}

fn read(golden: &Golden) -> Vec<u8> {
    if env::var_os("MEMSTACHE_GOLDEN").is_some_and(|word| word == "new") && !path(golden).exists() {
        let mut file = fs::File::create_new(path(golden)).unwrap();
        file.write_all(&sealed(golden, memstache_crypto::Backend::ring()).value).unwrap();
    }
    fs::read(path(golden)).unwrap()
}

#[test]
fn golden_envelopes_are_opened_by_every_backend() {
    for golden in &ALL {
        for backend in backends() {
            let seal = builder(keys(1)).0.backend(backend).build().unwrap();
            let given = (golden.entry)();
            let mut stored = NewEntry::new(read(golden), Lifetime::UNLIMITED);
            stored.content.sealed = true;
            let found = up(&seal, &home(), stored);
            if given.content.negative {
                assert!(matches!(found, Ok(memstache_core::Lookup::Negative(_))), "{}", golden.file);
                continue;
            }
            let opened = hit(found);
            assert_eq!((opened.value, opened.meta.content), (given.value, given.content), "{}", golden.file);
        }
    }
}

#[test]
fn what_is_sealed_today_is_what_was_sealed_in_version_one() {
    for golden in &ALL {
        for backend in backends() {
            assert_eq!(sealed(golden, backend).value, read(golden), "{} {backend:?}", golden.file);
        }
    }
    let files = fs::read_dir(path(&ALL[0]).parent().unwrap()).unwrap().count();
    assert_eq!(files, ALL.len(), "a file that no test reads");
}
