//! The background task: started when needed, gone when not.

use super::*;

async fn breathe() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_task_lets_the_dead_leave_and_then_rests() {
    let bed = bed();
    bed.set("a", living("v", 3, 0)).await;
    bed.lease("b").await;
    for _ in 0..5 {
        breathe().await;
        assert_eq!(bed.clock.sleepers(), 1, "one task, whatever is asked");
        bed.clock.advance(secs(1));
    }
    breathe().await;
    let stats = bed.store.stats();
    assert_eq!((stats.entries, stats.expirations, stats.leases_standing, stats.leases_aged_out), (0, 1, 0, 1));
    assert_eq!(bed.clock.sleepers(), 0, "nothing to wait for");
    bed.set("a", living("v", 3, 0)).await;
    breathe().await;
    assert_eq!(bed.clock.sleepers(), 1, "started again");
}

#[tokio::test]
async fn the_task_ends_with_the_last_handle() {
    let Bed { store, clock } = bed();
    let other = store.clone();
    store.set(Set::one(key("a"), living("v", 3000, 0))).await.unwrap();
    breathe().await;
    drop(store);
    breathe().await;
    assert_eq!(clock.sleepers(), 1);
    drop(other);
    breathe().await;
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn another_runtime_starts_the_task_again() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bed = bed();
    for _ in 0..2 {
        runtime().block_on(async {
            bed.set("a", living("v", 3000, 0)).await;
            breathe().await;
            assert_eq!(bed.clock.sleepers(), 1);
        });
        assert_eq!(bed.clock.sleepers(), 0, "gone with its runtime");
    }
}

#[tokio::test(start_paused = true)]
async fn the_system_clock_drives_it_too() {
    let store = MemoryStore::builder().max_bytes(1 << 20).build().unwrap();
    store.set(Set::one(key("a"), living("v", 3, 0))).await.unwrap();
    tokio::time::sleep(secs(6)).await;
    assert_eq!((store.stats().entries, store.stats().bytes), (0, 0));
}
