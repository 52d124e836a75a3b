//! Values of exactly the limits, layers above layers, and calls that are given up.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use memstache_codec::{Blob, Compress, Raw};
use memstache_core::{
    Cache, Content, Encoding, LoadContext, MemoryStore, Outcome, Request, Set, Stack, Step, Transform,
    testing::ManualClock,
};

use crate::{
    common::{address, down, eager, stored, text, up, value},
    kit::{builders, entry, pairs},
};

#[test]
fn nothing_is_no_value_of_any_compressor() {
    for (name, encoding, builder) in builders() {
        let compress = builder.build().unwrap();
        for packed in [&b""[..], b"\0", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"] {
            for plain_len in [0, 1, 2, 512, 1 << 26, (1 << 26) + 1, u64::from(u32::MAX), u64::MAX] {
                let content = Content { encoding, plain_len, ..Content::default() };
                let read = value(up(&compress, &address(None), stored(packed, content)));
                assert!(read.is_err() || plain_len == 0 && read.unwrap().is_empty(), "{name}: {plain_len}");
            }
        }
    }
}

#[test]
fn values_of_exactly_the_limits() {
    for (name, encoding, builder) in builders() {
        let builder = builder.threshold(2_000).max_plain(3_000).max_plain_per_call(3_000).offload_above(3_000);
        let compress = builder.build().unwrap();
        for (len, packs) in [(1_999, false), (2_000, true), (3_000, true), (3_001, false)] {
            let packed = down(&compress, &address(None), entry(text(len)));
            assert_eq!(packed.content.encoding == encoding, packs, "{name} {len}");
            let read = up(&compress, &address(None), stored(packed.value, packed.content));
            assert_eq!(value(read).unwrap(), text(len), "{name} {len}");
        }
    }
    for offload_above in [0, 1, usize::MAX] {
        let most = isize::MAX.unsigned_abs();
        let builder = pairs().threshold(offload_above).min_saving(0.5).max_plain(most).offload_above(offload_above);
        let compress = builder.max_plain_per_call(usize::MAX).build().unwrap();
        let packed = down(&compress, &address(None), entry("x".repeat(1_000)).clone());
        assert_eq!(packed.content.encoding != Encoding::NONE, offload_above <= 1, "the threshold");
        let read = up(&compress, &address(None), stored(packed.value, packed.content));
        assert_eq!(value(read).unwrap(), "x".repeat(1_000));
    }
    let all = pairs().min_saving(1.0).build().unwrap();
    assert_eq!(down(&all, &address(None), entry("x".repeat(1_000))).content.encoding, Encoding::NONE);
}

#[tokio::test]
async fn one_layer_above_another() {
    let store = MemoryStore::builder().build().unwrap();
    for (upper, _, _) in builders() {
        for (lower, _, below) in builders() {
            let above = eager(Compress::builder().algorithm(upper));
            let below = eager(below.offload_above(100));
            let stack = Stack::over(store.clone()).compress(above.clone()).seal(below.clone()).build();
            let cache = Cache::builder(stack).keyspace("pages").format(Raw).build().unwrap();
            let page = Blob::from(text(3_000));
            cache.set("1", &page).await.unwrap();
            assert_eq!(cache.get::<Blob>("1").await.unwrap(), Some(page), "{upper} over {lower}");
            assert_eq!((above.stats().compressed, below.stats().compressed), (1, 0), "{upper} over {lower}");
            assert_eq!((above.stats().decompressed, below.stats().decompressed), (0, 1), "{upper} over {lower}");
        }
    }
}

#[tokio::test]
async fn calls_that_are_given_up_keep_nobody_waiting() {
    let compress = pairs().offload_above(10).build().unwrap();
    let ask = || match compress.request(Request::Set(Set::one(address(None), entry("x".repeat(1_000))))) {
        Step::Wait(wait) => wait,
        other => panic!("at once: {other:?}"),
    };
    for polls in 0..200 {
        let mut wait = pin!(ask());
        for _ in 0..polls % 3 {
            match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(_) => break,
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
    }
    let kept: Vec<_> = (0..50).map(|_| ask()).collect();
    drop(kept);
    assert!(ask().await.is_ok());
}

#[tokio::test]
async fn stale_and_negative_values() {
    for (name, _, builder) in builders() {
        let (clock, compress) = (ManualClock::new(), eager(builder));
        let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
        let builder = Cache::builder(Stack::over(store).compress(compress.clone()).build()).keyspace("pages");
        let builder = builder.format(Raw).clock(clock.clone()).ttl(Duration::from_secs(60));
        let cache = builder.stale_for(Duration::from_secs(60)).negative_ttl(Duration::from_secs(60)).build().unwrap();
        let page = Blob::from(text(3_000));
        cache.set("1", &page).tags(["a"]).compress(true).await.unwrap();
        let none = |_: LoadContext<Blob>| async { Ok::<_, std::io::Error>(None::<Blob>) };
        assert_eq!(cache.get_or_load("2", none).optional().await.unwrap(), None);
        clock.advance(Duration::from_secs(61));
        let stale = cache.get_entry::<Blob>("1").await.unwrap();
        assert_eq!((stale.value, stale.outcome), (Some(page), Outcome::Stale), "{name}");
        cache.invalidate_tag("a").await.unwrap();
        assert_eq!(cache.get_entry::<Blob>("1").await.unwrap().value, None, "{name}");
        assert_eq!((compress.stats().compressed, compress.stats().decompressed), (1, 1), "{name}");
    }
}
