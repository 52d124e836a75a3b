//! Real threads: whoever asks after an invalidation was acknowledged gets what was loaded after it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{Cache, Json};
use tokio::task::yield_now;

use crate::kit::{Brought, Kind, Kit};

/// A source whose truth is a number that only grows.
#[derive(Default)]
struct Truth {
    now: AtomicU32,
    /// What every invalidation that was acknowledged has at least left behind.
    acknowledged: AtomicU32,
    reads: AtomicUsize,
    done: AtomicBool,
}

/// How many reads a race takes.
const READS: usize = 5_000;

#[derive(Clone, Copy)]
enum Way {
    Remove,
    RemoveMany,
    Tag,
    Clear,
}

async fn write(cache: Cache<Json>, truth: Arc<Truth>, way: Way) {
    while truth.reads.load(SeqCst) < READS {
        let next = truth.now.fetch_add(1, SeqCst) + 1;
        match way {
            Way::Remove => drop(cache.remove("a").await.unwrap()),
            Way::RemoveMany => drop(cache.remove_many(["a", "b"]).await.unwrap()),
            Way::Tag => cache.invalidate_tag("t").await.unwrap(),
            Way::Clear => cache.clear().await.unwrap(),
        }
        truth.acknowledged.fetch_max(next, SeqCst);
        for _ in 0..8 {
            yield_now().await;
        }
    }
    truth.done.store(true, SeqCst);
}

fn brings(truth: &Arc<Truth>) -> Brought<u32> {
    let truth = Arc::clone(truth);
    Box::pin(async move {
        let value = truth.now.load(SeqCst);
        for _ in 0..fastrand::usize(..20) {
            yield_now().await;
        }
        Ok(value)
    })
}

/// Reads until the writer is done.
async fn read(cache: Cache<Json>, truth: Arc<Truth>, many: bool) {
    while !truth.done.load(SeqCst) {
        let least = truth.acknowledged.load(SeqCst);
        let source = Arc::clone(&truth);
        let value: u32 = if many {
            let loader = move |keys: Vec<&'static str>| {
                let source = Arc::clone(&source);
                async move {
                    let value = brings(&source).await?;
                    Ok::<_, crate::kit::Failed>(keys.into_iter().map(|key| (key, value)).collect::<Vec<_>>())
                }
            };
            let answers = cache.get_many_or_load(["a", "b"], loader).tags(["t"]).await.unwrap();
            answers.into_iter().next().unwrap().unwrap().unwrap()
        } else {
            cache.get_or_load("a", move |_| brings(&source)).tags(["t"]).await.unwrap()
        };
        assert!(value >= least, "{value} was loaded before {least} was acknowledged");
        truth.reads.fetch_add(1, SeqCst);
        yield_now().await;
    }
}

async fn race(kind: Kind, way: Way) {
    let kit = Kit::new(kind);
    let (cache, truth) = (kit.cache(), Arc::<Truth>::default());
    let readers: Vec<_> = (0..6).map(|n| tokio::spawn(read(cache.clone(), Arc::clone(&truth), n % 3 == 0))).collect();
    // Its own near copies are gone when its call returns; another stack's go a moment later.
    let writer = if kind == Kind::Near { cache.clone() } else { kit.other_cache() };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, write(writer, Arc::clone(&truth), way)).await.expect("the race hangs");
    for reader in readers {
        tokio::time::timeout(limit, reader).await.expect("a reader hangs").unwrap();
    }
    assert_eq!(cache.loads_in_flight(), 0);
    let stats = cache.stats();
    assert_eq!(stats.hits + stats.misses, stats.requests, "{stats:?}");
}

macro_rules! races {
    ($($name:ident: $kind:ident $way:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            race(Kind::$kind, Way::$way).await;
        })*
    };
}

races! {
    nobody_reads_past_a_removal_naive: Naive Remove;
    nobody_reads_past_a_removal_memory: Memory Remove;
    nobody_reads_past_a_removal_near: Near Remove;
    nobody_reads_past_a_batch_removal_naive: Naive RemoveMany;
    nobody_reads_past_a_batch_removal_memory: Memory RemoveMany;
    nobody_reads_past_a_batch_removal_near: Near RemoveMany;
    nobody_reads_past_a_tag_naive: Naive Tag;
    nobody_reads_past_a_tag_memory: Memory Tag;
    nobody_reads_past_a_tag_near: Near Tag;
    nobody_reads_past_a_clear_naive: Naive Clear;
    nobody_reads_past_a_clear_memory: Memory Clear;
    nobody_reads_past_a_clear_near: Near Clear;
}
