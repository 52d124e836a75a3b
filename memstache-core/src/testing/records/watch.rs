//! What watchers are told.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use super::{Store, key, put};
use crate::record::{Expected, Record, RecordEvent, RecordKey, RecordPrefix, RecordStream};

/// How long the suite waits for an event before it takes it for lost.
const PATIENCE: Duration = Duration::from_secs(10);

async fn watch(store: &Store, prefix: RecordPrefix) -> RecordStream {
    store.watch(&prefix).await.expect("watch")
}

async fn event(stream: &mut RecordStream) -> RecordEvent {
    let event = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an event in time");
    event.expect("the store is alive")
}

pub(super) async fn tells_in_order(store: Store) {
    let (one, other) = (key("a/1"), key("a/2"));
    put(&store, &one, "before", Expected::Any).await;
    let (mut early, mut late) = (watch(&store, RecordPrefix::ALL).await, watch(&store, RecordPrefix::ALL).await);
    let first = put(&store, &one, "1", Expected::Any).await;
    let second = put(&store, &other, "2", Expected::Any).await;
    assert!(store.remove(&one, Expected::Any).await.expect("remove"));
    let third = put(&store, &one, "3", Expected::Absent).await;
    for stream in [&mut early, &mut late] {
        let put = |key: &RecordKey, value: &'static str, sequence| RecordEvent::Put {
            key: key.clone(),
            record: Record { value: value.into(), sequence },
        };
        assert_eq!(event(stream).await, put(&one, "1", first), "the first change after the watch began");
        assert_eq!(event(stream).await, put(&other, "2", second));
        let RecordEvent::Removed { key, sequence } = event(stream).await else { panic!("a removal is told as one") };
        assert_eq!(key, one);
        assert!(sequence > second && sequence < third, "a removal has its place in the sequence");
        assert_eq!(event(stream).await, put(&one, "3", third));
        assert!(stream.next().now_or_never().is_none(), "nothing else happened");
    }
}

pub(super) async fn tells_of_the_prefix_only(store: Store) {
    let mut stream = watch(&store, key("t/a").into()).await;
    for text in ["t/ab", "t", "t/a/1", "x/t/a", "t/a"] {
        put(&store, &key(text), "v", Expected::Any).await;
    }
    for wanted in ["t/a/1", "t/a"] {
        let RecordEvent::Put { key, .. } = event(&mut stream).await else { panic!("a put is told as one") };
        assert_eq!(key.as_str(), wanted);
    }
    assert!(stream.next().now_or_never().is_none());
}

/// The memory that an idle watcher takes is bounded, so it must miss something, and be told so.
pub(super) async fn tells_a_slow_watcher_of_the_gap(store: Store) {
    let key = key("flood");
    for flood in [100, 1_000, 10_000] {
        let mut stream = watch(&store, RecordPrefix::ALL).await;
        for _ in 0..flood {
            put(&store, &key, "v", Expected::Any).await;
        }
        for at in 0..flood {
            match event(&mut stream).await {
                RecordEvent::Put { .. } => {}
                RecordEvent::Gap => return,
                RecordEvent::Removed { .. } => panic!("nothing was removed, at event {at}"),
            }
        }
    }
    panic!("a watcher that reads nothing holds 10,000 events");
}

pub(super) async fn ends_with_the_store(store: Store) {
    let mut stream = watch(&store, RecordPrefix::ALL).await;
    put(&store, &key("a"), "v", Expected::Any).await;
    drop(store);
    assert!(matches!(event(&mut stream).await, RecordEvent::Put { .. }), "what happened before is still told");
    let end = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an end in time");
    assert_eq!(end, None, "the stream ends with its store");
}
