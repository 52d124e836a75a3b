//! The suite finds stores that break its rules.

use std::{future::Future, panic::AssertUnwindSafe};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::ready};

use super::*;
use crate::{
    clock::BoxFuture,
    record::{MemoryRecords, RecordEvent, RecordStream},
};

/// How a store is wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    IgnoresWhatIsExpected,
    RepeatsSequences,
    ListsByText,
    ListsUnordered,
    SwallowsGaps,
    SwallowsRemovals,
    TellsEverybodyEverything,
    RemovesNothing,
}

#[derive(Debug)]
struct WrongRecords(MemoryRecords, Wrong);

impl RecordStore for WrongRecords {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>>> {
        self.0.get(key)
    }

    fn put<'a>(&'a self, key: &'a RecordKey, value: Bytes, expected: Expected) -> BoxFuture<'a, Result<u64>> {
        let expected = if matches!(self.1, Wrong::IgnoresWhatIsExpected) { Expected::Any } else { expected };
        let put = self.0.put(key, value, expected);
        match self.1 {
            Wrong::RepeatsSequences => Box::pin(put.map(|put| put.map(|sequence| sequence.min(3)))),
            _ => put,
        }
    }

    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, Result<bool>> {
        match self.1 {
            Wrong::RemovesNothing => Box::pin(ready(Ok(true))),
            _ => self.0.remove(key, expected),
        }
    }

    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<Vec<(RecordKey, Record)>>> {
        let prefix = prefix.key().map_or("", |key| key.as_str());
        Box::pin(async move {
            let mut all = self.0.list(&RecordPrefix::ALL).await?;
            match self.1 {
                Wrong::ListsByText => all.retain(|(key, _)| key.as_str().starts_with(prefix)),
                Wrong::ListsUnordered => all.reverse(),
                _ => {}
            }
            Ok(all)
        })
    }

    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, Result<RecordStream>> {
        let wrong = self.1;
        let prefix = if matches!(wrong, Wrong::TellsEverybodyEverything) { &RecordPrefix::ALL } else { prefix };
        Box::pin(async move {
            let told = self.0.watch(prefix).await?.filter(move |event| {
                ready(!matches!(
                    (wrong, event),
                    (Wrong::SwallowsGaps, RecordEvent::Gap) | (Wrong::SwallowsRemovals, RecordEvent::Removed { .. })
                ))
            });
            Ok(RecordStream::new(told))
        })
    }
}

async fn passes<F: Future<Output = ()>>(rule: impl Fn(Store) -> F, wrong: Wrong) -> bool {
    let store = Arc::new(WrongRecords(MemoryRecords::new(), wrong));
    AssertUnwindSafe(rule(store)).catch_unwind().await.is_ok()
}

/// The paused clock makes the suite's patience cost no time.
#[tokio::test(start_paused = true)]
async fn wrong_stores_are_caught() {
    assert!(!passes(refuses_what_is_not_expected, Wrong::IgnoresWhatIsExpected).await);
    assert!(!passes(lets_one_of_many_writers_win, Wrong::IgnoresWhatIsExpected).await);
    assert!(!passes(never_repeats_a_sequence, Wrong::RepeatsSequences).await);
    assert!(!passes(lists_whole_segments_in_order, Wrong::ListsByText).await);
    assert!(!passes(lists_whole_segments_in_order, Wrong::ListsUnordered).await);
    assert!(!passes(watch::tells_a_slow_watcher_of_the_gap, Wrong::SwallowsGaps).await);
    assert!(!passes(watch::tells_in_order, Wrong::SwallowsRemovals).await);
    assert!(!passes(watch::tells_of_the_prefix_only, Wrong::TellsEverybodyEverything).await);
    assert!(!passes(reads_what_was_written, Wrong::RemovesNothing).await);
}
