//! Values that would be too much: each by itself, and all of a call together.

use memstache_codec::{Blob, Compress, Raw};
use memstache_core::{
    Cache, Content, Encoding, ErrorKind, Get, Lookup, MemoryStore, OneOrMany, Request, Response, Result, Stack, Step,
    Transform, Version,
};

use crate::{
    common::{address, down, eager, stored, up},
    kit::{builders, entry, pairs},
};

#[tokio::test]
async fn a_bomb_is_a_counted_error() {
    for (name, encoding, builder) in builders() {
        let compress = eager(builder.max_plain(1 << 20).offload_above(usize::MAX));
        // Longer than may be read, by its own account.
        let content = Content { encoding, plain_len: (1 << 20) + 1, ..Content::default() };
        let error = up(&compress, &address(None), stored("x", content)).unwrap_err();
        assert_eq!((error.kind(), error.version()), (ErrorKind::Rejected, Some(Version(9))), "{name}");
        // Longer than it says.
        let packed = down(&compress, &address(None), entry(vec![0; 1 << 20]));
        for lie in [0, 1, 1_000, (1 << 20) - 1] {
            let content = Content { plain_len: lie, ..packed.content };
            assert!(up(&compress, &address(None), stored(packed.value.clone(), content)).is_err(), "{name} {lie}");
        }
        // Longer than its bytes can be.
        let content = Content { plain_len: 1 << 20, ..packed.content };
        assert!(up(&compress, &address(None), stored(packed.value.slice(..20), content)).is_err(), "{name}");
        let stats = compress.stats();
        assert!(stats.rejected_bombs >= 2 && stats.rejected_bombs + stats.rejected_broken == 6, "{name}: {stats:?}");
        // What may not be read is not written either.
        let long = down(&compress, &address(None), entry(vec![0; (1 << 20) + 1]));
        assert_eq!(long.content.encoding, Encoding::NONE);
    }
}

/// Values of so many bytes each, read by one call.
async fn read(compress: &Compress, lens: &[usize]) -> Vec<Result<Lookup>> {
    let content = |len| Content { encoding: Encoding(131), plain_len: len as u64, ..Content::default() };
    let found = lens.iter().map(|len| Ok(Lookup::Hit(stored(vec![b'x'; len / 2], content(*len)))));
    let found = Response::Found(OneOrMany::Many(found.collect()));
    let Step::Now(Ok((_, asked))) = compress.request(Request::Get(Get::one(address(None)))) else { panic!() };
    let found = match compress.response(asked, found) {
        Step::Now(found) => found,
        Step::Wait(wait) => wait.await,
        other => panic!("answered: {other:?}"),
    };
    let Response::Found(found) = found.unwrap() else { panic!("another answer") };
    found.into_iter().collect()
}

#[tokio::test]
async fn a_call_decompresses_no_more_than_one_may() {
    // Here, elsewhere, and half here and half elsewhere.
    for offload_above in [usize::MAX, 0, 1_200] {
        let builder = pairs().max_plain(1_000).max_plain_per_call(2_500).offload_above(offload_above);
        let compress = builder.build().unwrap();
        let found = read(&compress, &[1_000, 600, 1_002, 1_000, 900, 2]).await;
        let kinds: Vec<_> = found.iter().map(|item| item.as_ref().err().map(|error| error.kind())).collect();
        let (bomb, over) = (Some(ErrorKind::Rejected), Some(ErrorKind::TooLarge));
        assert_eq!(kinds, [None, None, bomb, over, None, over], "{offload_above}: what fits is read");
        let error = found[3].as_ref().unwrap_err();
        assert_eq!((error.version(), error.is_retryable()), (None, false), "sound, so not to be loaded anew");
        assert!(error.to_string().contains("max_plain_per_call, 2500 bytes"), "{error}");
        let stats = compress.stats();
        assert_eq!((stats.decompressed, stats.rejected_bombs, stats.rejected_by_call), (3, 1, 2), "{offload_above}");

        // Every call has its own.
        assert!(read(&compress, &[1_000, 1_000]).await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn a_call_may_take_four_of_the_longest_unless_it_is_told_otherwise() {
    let compress = pairs().max_plain(1_000).build().unwrap();
    assert_eq!(read(&compress, &[1_000; 9]).await.iter().filter(|item| item.is_ok()).count(), 4);
    let compress = pairs().max_plain(1_000).max_plain_per_call(1_000).build().unwrap();
    assert_eq!(read(&compress, &[1_000; 9]).await.iter().filter(|item| item.is_ok()).count(), 1);

    let error = pairs().max_plain(1_000).max_plain_per_call(999).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "max_plain_per_call must be at least max_plain, 1000, but 999 was given");
}

#[tokio::test]
async fn a_typed_handle_gets_an_error_in_place_of_what_is_over() {
    let compress = pairs().max_plain(10_000).max_plain_per_call(25_000).build().unwrap();
    let stack = Stack::over(MemoryStore::builder().build().unwrap()).compress(compress.clone()).build();
    let pages = Cache::builder(stack).keyspace("pages").format(Raw).build().unwrap();
    let page = Blob::from("x".repeat(10_000));
    for key in ["1", "2", "3"] {
        pages.set(key, &page).await.unwrap();
    }
    let found = pages.get_many::<Blob>(["1", "2", "3"]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().as_ref(), Some(&page));
    assert_eq!(found[1].as_ref().unwrap().as_ref(), Some(&page));
    assert_eq!(found[2].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(pages.get::<Blob>("3").await.unwrap(), Some(page), "a smaller call gets it");
    assert_eq!(compress.stats().rejected_by_call, 1);
}
