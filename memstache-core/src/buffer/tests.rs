use std::thread;

use super::*;

fn pool(max_bytes: usize) -> BufferPool {
    BufferPool::builder().max_bytes(max_bytes).build().unwrap()
}

#[test]
fn a_returned_buffer_is_given_out_again_empty() {
    let pool = pool(1 << 20);
    let mut first = pool.rent(5_000);
    first.extend_from_slice(b"secret");
    let place = first.as_ptr();
    assert_eq!(pool.stats().outstanding, 1);
    drop(first);
    assert_eq!((pool.stats().idle, pool.stats().idle_bytes), (1, 8192));
    let second = pool.rent(8_192);
    assert_eq!((second.as_ptr(), second.len()), (place, 0));
    assert_eq!((pool.stats().idle, pool.stats().idle_bytes, pool.stats().reused), (0, 0, 1));
}

#[test]
fn a_large_buffer_does_not_serve_a_small_need() {
    let pool = pool(1 << 30);
    drop(pool.rent(1 << 20));
    assert!(pool.rent(100).capacity() < 8192);
    assert!(pool.rent(300_000).capacity() >= 1 << 20, "but one of nearly its size");
}

#[test]
fn idle_bytes_are_bounded() {
    let pool = pool(10_000);
    let buffers: Vec<_> = (0..10).map(|_| pool.rent(4_096)).collect();
    drop(buffers);
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.idle_bytes, stats.freed, stats.outstanding), (2, 8192, 8, 0));
    pool.shrink();
    assert_eq!((pool.stats().idle, pool.stats().idle_bytes), (0, 0));
    drop(pool.rent(64 << 20));
    assert_eq!(pool.stats().idle, 0, "larger than any class");
}

/// Rents so many buffers at once, and returns them.
fn burst(pool: &BufferPool, count: usize, room: usize) {
    drop((0..count).map(|_| pool.rent(room)).collect::<Vec<_>>());
}

#[test]
fn sizes_that_nobody_asks_for_make_room() {
    let pool = pool(1 << 20);
    burst(&pool, 16, 65_536);
    assert_eq!(pool.stats().idle_bytes, 1 << 20, "full");
    // Each comes back to a full pool: some are freed, then one of yesterday's goes.
    for _ in 0..100 {
        drop(pool.rent(4_096));
    }
    let stats = pool.stats();
    assert_eq!((stats.freed, stats.idle, stats.idle_bytes), (65, 16, (15 << 16) + 4_096));
    assert_eq!(stats.reused, 35, "from then on it is used again");

    // A larger one takes the place of many, and of no more than it needs.
    for _ in 0..100 {
        drop(pool.rent(1 << 19));
    }
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.idle_bytes), (1 + 7 + 1, (1 << 19) + (7 << 16) + 4_096));

    drop(pool.rent(2 << 20));
    assert_eq!(pool.stats().idle, stats.idle, "what never fits pushes nothing out");
}

#[test]
fn sizes_that_are_asked_for_do_not_push_each_other_out() {
    let pool = pool(100_000);
    drop(pool.rent(65_536));
    for round in 1..=200 {
        assert!(pool.rent(65_536).capacity() == 65_536);
        // Four of them fit beside the large one, the others are freed.
        burst(&pool, 10, 8_192);
        let stats = pool.stats();
        assert_eq!((stats.idle, stats.freed), (5, 6 * round));
    }
    assert_eq!(pool.stats().reused, 200 + 4 * 199);
}

#[test]
fn a_grown_buffer_comes_back_at_its_new_size() {
    let pool = pool(1 << 20);
    let mut buffer = pool.rent(0);
    buffer.resize(9_000, 1);
    drop(buffer);
    assert!(pool.rent(8_000).capacity() >= 9_000);
    assert_eq!(pool.stats().reused, 1);
}

#[test]
fn what_is_typical_is_learnt() {
    let pool = pool(16 << 20);
    let write = |len: usize| {
        let mut buffer = pool.rent_typical();
        let before = buffer.capacity();
        buffer.resize(len, 0);
        before
    };
    write(30_000);
    assert!(write(30_000) >= 30_000, "no growth the second time");
    for _ in 0..500 {
        write(100);
    }
    assert!(write(100) <= 4_096, "and it is forgotten again");
    write(8 << 20);
    pool.shrink();
    assert_eq!(write(100), 1 << 20, "one huge value is not typical");
}

#[test]
fn buffers_are_cleared_if_asked() {
    let pool = BufferPool::builder().clear_on_return(true).build().unwrap();
    let mut buffer = pool.rent(2_000);
    buffer.extend_from_slice(&[7; 1_500]);
    buffer.truncate(10);
    drop(buffer);
    let mut again = pool.rent(2_000);
    assert_eq!(pool.stats().reused, 1);
    // Nothing safe shows the spare room; growing within it does not write what is there already.
    again.resize(2_000, 0);
    assert!(again.iter().all(|byte| *byte == 0));
}

#[test]
fn threads_share_it() {
    let pool = pool(1 << 20);
    thread::scope(|scope| {
        for thread in 0..4u8 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..1_000 {
                    let mut buffer = pool.rent(round * 7);
                    assert!(buffer.is_empty());
                    buffer.resize(100, thread);
                    assert!(buffer.iter().all(|byte| *byte == thread));
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.rented, stats.outstanding), (4_000, 0));
    assert!(stats.idle_bytes <= 1 << 20);
}

#[test]
fn debug_shows_no_content_and_settings_are_checked() {
    let mut buffer = pool(1024).rent(10);
    buffer.extend_from_slice(b"secret");
    assert!(!format!("{buffer:?}").contains("secret"));
    assert!(BufferPool::builder().max_bytes(usize::MAX).build().is_err());
}
