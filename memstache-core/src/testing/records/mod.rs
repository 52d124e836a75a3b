//! The rules that every [`RecordStore`] keeps, as a suite.

#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{
    error::{ErrorKind, Result},
    record::{Expected, MAX_RECORD_VALUE, Record, RecordKey, RecordPrefix, RecordStore},
};

type Store = Arc<dyn RecordStore>;

/// Runs every rule, each over a new store that `fresh` makes: empty, with limits of at least 1 KiB.
///
/// Needs a runtime with a timer; with several threads the races are real ones.
///
/// ```
/// use std::sync::Arc;
/// use memstache_core::{MemoryRecords, RecordStore, testing::records};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// records::conformance(async || Arc::new(MemoryRecords::new()) as Arc<dyn RecordStore>).await;
/// # }
/// ```
///
/// # Panics
/// When a rule is broken; the message says which.
pub async fn conformance(fresh: impl AsyncFn() -> Store) {
    reads_what_was_written(fresh().await).await;
    refuses_what_is_not_expected(fresh().await).await;
    refuses_values_over_the_limit(fresh().await).await;
    never_repeats_a_sequence(fresh().await).await;
    lists_whole_segments_in_order(fresh().await).await;
    lets_one_of_many_writers_win(fresh().await).await;
    loses_no_update(fresh().await).await;
    watch::tells_in_order(fresh().await).await;
    watch::tells_of_the_prefix_only(fresh().await).await;
    watch::tells_a_slow_watcher_of_the_gap(fresh().await).await;
    watch::ends_with_the_store(fresh().await).await;
}

fn key(text: &str) -> RecordKey {
    RecordKey::new(text).expect("the suite's keys are good")
}

async fn put(store: &Store, key: &RecordKey, value: &'static str, expected: Expected) -> u64 {
    store.put(key, value.into(), expected).await.expect("a put that fits")
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

async fn reads_what_was_written(store: Store) {
    let key = key("a/1");
    assert_eq!(store.get(&key).await.expect("get"), None, "a new store is empty");
    for value in ["tea", "", "coffee"] {
        let sequence = put(&store, &key, value, Expected::Any).await;
        let record = Record { value: value.into(), sequence };
        assert_eq!(store.get(&key).await.expect("get"), Some(record), "a record is read as it was written");
    }
    assert!(store.remove(&key, Expected::Any).await.expect("remove"), "there was one");
    assert!(!store.remove(&key, Expected::Any).await.expect("remove"), "there was none any more");
    assert_eq!(store.get(&key).await.expect("get"), None, "a removed record is gone");
}

async fn refuses_what_is_not_expected(store: Store) {
    let key = key("a/1");
    let first = put(&store, &key, "1", Expected::Absent).await;
    for wrong in [Expected::Absent, Expected::Sequence(first + 1), Expected::Sequence(0)] {
        let refused = kind(store.put(&key, "x".into(), wrong).await);
        assert_eq!(refused, Some(ErrorKind::Conflict), "put, expecting {wrong:?}");
        let refused = kind(store.remove(&key, wrong).await);
        assert_eq!(refused, Some(ErrorKind::Conflict), "remove, expecting {wrong:?}");
    }
    let second = put(&store, &key, "2", Expected::Sequence(first)).await;
    assert!(store.remove(&key, Expected::Sequence(second)).await.expect("remove"));
    let refused = kind(store.put(&key, "3".into(), Expected::Sequence(second)).await);
    assert_eq!(refused, Some(ErrorKind::Conflict), "a removed record has no sequence");
    let refused = kind(store.remove(&key, Expected::Sequence(second)).await);
    assert_eq!(refused, Some(ErrorKind::Conflict), "a removed record is not removed twice");
    assert!(!store.remove(&key, Expected::Absent).await.expect("absent, as expected"));
}

async fn refuses_values_over_the_limit(store: Store) {
    let key = key("a/1");
    let huge = vec![0; MAX_RECORD_VALUE + 1];
    assert_eq!(kind(store.put(&key, huge.into(), Expected::Any).await), Some(ErrorKind::TooLarge));
    assert_eq!(store.get(&key).await.expect("get"), None, "nothing was written");
}

async fn never_repeats_a_sequence(store: Store) {
    let (one, other) = (key("a/1"), key("a/2"));
    let mut last = 0;
    for round in 0..4 {
        for key in [&one, &other] {
            let sequence = put(&store, key, "same", Expected::Absent).await;
            assert!(sequence > last, "round {round}: {sequence} after {last}");
            last = sequence;
        }
        // The one with the highest sequence goes first: a store that counts what it holds forgets it here.
        assert!(store.remove(&other, Expected::Any).await.expect("remove"));
        assert!(store.remove(&one, Expected::Any).await.expect("remove"));
    }
}

async fn lists_whole_segments_in_order(store: Store) {
    // In byte order `-` and `.` come before `/`, so what belongs together does not lie together.
    for text in ["t/ab", "t/a/2", "t/a-b/1", "t/a.b", "t/a", "u", "t/a/1"] {
        put(&store, &key(text), "v", Expected::Absent).await;
    }
    let list = async |prefix: RecordPrefix| {
        let records = store.list(&prefix).await.expect("list");
        records.into_iter().map(|(key, _)| key.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(key("t/a").into()).await, ["t/a", "t/a/1", "t/a/2"]);
    assert_eq!(list(RecordPrefix::ALL).await, ["t/a", "t/a-b/1", "t/a.b", "t/a/1", "t/a/2", "t/ab", "u"]);
    assert!(list(key("nothing").into()).await.is_empty());
}

async fn lets_one_of_many_writers_win(store: Store) {
    let key = key("race");
    for round in 0..4 {
        let expected =
            store.get(&key).await.expect("get").map_or(Expected::Absent, |it| Expected::Sequence(it.sequence));
        let mut writers = JoinSet::new();
        for writer in 0..16u8 {
            let (store, key) = (store.clone(), key.clone());
            writers.spawn(async move { (writer, store.put(&key, vec![writer].into(), expected).await) });
        }
        let (won, lost): (Vec<_>, Vec<_>) = writers.join_all().await.into_iter().partition(|(_, put)| put.is_ok());
        assert_eq!(won.len(), 1, "round {round}: exactly one writer wins");
        assert!(lost.into_iter().all(|(_, put)| kind(put) == Some(ErrorKind::Conflict)), "the others are told so");
        let stored = store.get(&key).await.expect("get").expect("the winner's");
        assert_eq!(stored.value, vec![won[0].0], "what the winner wrote is there");
    }
}

async fn loses_no_update(store: Store) {
    const WRITERS: u8 = 4;
    const EACH: u8 = 5;
    let key = key("counter");
    store.put(&key, vec![0].into(), Expected::Absent).await.expect("put");
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, key) = (store.clone(), key.clone());
        writers.spawn(async move {
            for _ in 0..EACH {
                increment(&store, &key).await;
            }
        });
    }
    writers.join_all().await;
    let counted = store.get(&key).await.expect("get").expect("the counter").value[0];
    assert_eq!(counted, WRITERS * EACH, "every increment counts");
}

async fn increment(store: &Store, key: &RecordKey) {
    loop {
        let Record { value, sequence } = store.get(key).await.expect("get").expect("the counter");
        match store.put(key, vec![value[0] + 1].into(), Expected::Sequence(sequence)).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
        }
    }
}
