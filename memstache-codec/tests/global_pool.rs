//! The pool that formats use is the one that the process has chosen. A process chooses once: hence a binary of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use memstache_codec::Formats;
use memstache_core::{BufferPool, ErrorKind, Format, Lifetime, NewEntry, Request, Set, Step, Transform};

#[path = "codec/common.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
#[path = "codec/kit.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod kit;

#[test]
fn formats_and_layers_use_the_pool_that_was_set() {
    let pool = BufferPool::builder().max_bytes(1 << 20).clear_on_return(true).build().unwrap();
    // A layer takes the pool when it is built, not before.
    let compress = kit::pairs();
    BufferPool::set_global(pool.clone()).unwrap();

    let formats = Formats::new();
    for (at, name) in formats.names().enumerate() {
        formats.named(name).unwrap().encode("tea").unwrap();
        assert_eq!(pool.stats().rented, at as u64 + 1, "{name}");
    }
    let before = pool.stats().rented;
    let set = Set::one(common::address(None), NewEntry::new(common::text(4_000), Lifetime::UNLIMITED));
    let compress = compress.build().unwrap();
    assert!(matches!(compress.request(Request::Set(set)), Step::Now(Ok(_))));
    assert_eq!((compress.stats().compressed, pool.stats().rented), (1, before + 1));
    assert_eq!(pool.stats().outstanding, 0);

    let error = BufferPool::set_global(BufferPool::builder().build().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let own = BufferPool::builder().build().unwrap();
    let apart = kit::pairs().pool(&own).build().unwrap();
    let set = Set::one(common::address(None), NewEntry::new(common::text(4_000), Lifetime::UNLIMITED));
    assert!(matches!(apart.request(Request::Set(set)), Step::Now(Ok(_))));
    assert_eq!((own.stats().rented, pool.stats().rented), (1, before + 1), "a layer may have another");
}
