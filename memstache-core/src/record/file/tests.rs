use std::{fs, path::Path};

use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::*;
use crate::{
    clock::SystemClock,
    testing::{ManualClock, records},
};

/// A directory that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("memstache-{}-{:x}", std::process::id(), fastrand::u64(..)));
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn key(text: &str) -> RecordKey {
    RecordKey::new(text).unwrap()
}

async fn open(scratch: &Scratch) -> FileRecords {
    FileRecords::open(&scratch.0).await.unwrap()
}

async fn open_with(path: &Path, clock: &ManualClock) -> FileRecords {
    FileRecords::builder(path).with_clock(Arc::new(clock.clone())).open().await.unwrap()
}

/// Waits until `count` watchers sleep before their next look, then makes them look.
async fn look(clock: &ManualClock, count: usize) {
    while clock.sleepers() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.advance(Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_rules() {
    let scratches = std::sync::Mutex::new(Vec::new());
    records::conformance(async || {
        let scratch = Scratch::new();
        let records = open(&scratch).await;
        scratches.lock().unwrap().push(scratch);
        Arc::new(records) as Arc<dyn RecordStore>
    })
    .await;
}

#[tokio::test]
async fn a_restart_keeps_records_and_sequences() {
    let scratch = Scratch::new();
    let (kept, gone) = (key("a/kept"), key("a/gone"));
    let records = open(&scratch).await;
    let first = records.put(&kept, "tea".into(), Expected::Absent).await.unwrap();
    let second = records.put(&gone, "tea".into(), Expected::Absent).await.unwrap();
    records.remove(&gone, Expected::Sequence(second)).await.unwrap();
    drop(records);

    let records = open(&scratch).await;
    let record = Record { value: "tea".into(), sequence: first };
    assert_eq!(records.list(&RecordPrefix::ALL).await.unwrap(), [(kept, record)]);
    assert!(records.put(&gone, "tea".into(), Expected::Absent).await.unwrap() > second + 1, "removals count too");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_over_one_directory_exclude_each_other() {
    let scratch = Scratch::new();
    let stores = [Arc::new(open(&scratch).await), Arc::new(open(&scratch).await)];
    for round in 0..4 {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..16 {
            let store = stores[writer % 2].clone();
            let key = key(&format!("race/{round}"));
            writers.spawn(async move { store.put(&key, "v".into(), Expected::Absent).await });
        }
        let wins: Vec<u64> = writers.join_all().await.into_iter().flatten().collect();
        assert_eq!(wins.len(), 1, "round {round}");
    }
}

#[tokio::test]
async fn changes_of_another_store_are_seen_at_the_interval() {
    let scratch = Scratch::new();
    let clock = ManualClock::new();
    let (here, there) = (open_with(&scratch.0, &clock).await, open(&scratch).await);
    there.put(&key("old"), "0".into(), Expected::Any).await.unwrap();
    let mut changes = here.watch(&RecordPrefix::ALL).await.unwrap();
    assert!(changes.next().now_or_never().is_none(), "what was there before is no news");

    there.put(&key("b"), "1".into(), Expected::Any).await.unwrap();
    there.put(&key("a"), "2".into(), Expected::Any).await.unwrap();
    there.put(&key("b"), "3".into(), Expected::Any).await.unwrap();
    there.remove(&key("old"), Expected::Any).await.unwrap();
    assert!(changes.next().now_or_never().is_none(), "the interval is not over");
    let seen = tokio::spawn(async move { changes.take(3).collect::<Vec<_>>().await });
    look(&clock, 1).await;
    let put = |text, value: &'static str, sequence| RecordEvent::Put {
        key: key(text),
        record: Record { value: value.into(), sequence },
    };
    let removed = RecordEvent::Removed { key: key("old"), sequence: 5 };
    assert_eq!(seen.await.unwrap(), [put("a", "2", 3), put("b", "3", 4), removed]);
}

#[tokio::test]
async fn own_changes_are_told_at_once_and_after_those_of_others() {
    let scratch = Scratch::new();
    let clock = ManualClock::new();
    let (here, there) = (open_with(&scratch.0, &clock).await, open(&scratch).await);
    let mut changes = here.watch(&RecordPrefix::ALL).await.unwrap();
    there.put(&key("theirs"), "1".into(), Expected::Any).await.unwrap();
    here.put(&key("ours"), "2".into(), Expected::Any).await.unwrap();
    for wanted in ["theirs", "ours"] {
        let Some(Some(RecordEvent::Put { key, .. })) = changes.next().now_or_never() else { panic!("no {wanted}") };
        assert_eq!(key.as_str(), wanted);
    }
}

#[tokio::test]
async fn watchers_leave_nothing_behind() {
    let scratch = Scratch::new();
    let clock = ManualClock::new();
    let records = open_with(&scratch.0, &clock).await;
    let mut changes = records.watch(&RecordPrefix::ALL).await.unwrap();
    assert!(changes.next().now_or_never().is_none());
    assert_eq!(clock.sleepers(), 1);
    drop(changes);
    assert_eq!(clock.sleepers(), 0);
    records.put(&key("a"), "v".into(), Expected::Any).await.unwrap();
    assert!(records.0.told.lock().await.is_nothing(), "nobody is told, so nothing is remembered");
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_is_one_gap() {
    let scratch = Scratch::new();
    let clock = ManualClock::new();
    let records = open_with(&scratch.0, &clock).await;
    let mut changes = records.watch(&RecordPrefix::ALL).await.unwrap();
    let sequence = fs::read(scratch.file("sequence")).unwrap();
    fs::write(scratch.file("sequence"), b"MSSQ").unwrap();
    let told = tokio::spawn(async move { (changes.next().await, changes) });
    look(&clock, 1).await;
    let (event, mut changes) = told.await.unwrap();
    assert_eq!(event, Some(RecordEvent::Gap));

    let told = tokio::spawn(async move { changes.next().await });
    look(&clock, 1).await;
    look(&clock, 1).await;
    fs::write(scratch.file("sequence"), sequence).unwrap();
    records.put(&key("a"), "v".into(), Expected::Any).await.unwrap();
    assert!(matches!(told.await.unwrap(), Some(RecordEvent::Put { .. })), "not a second gap");
}

#[tokio::test]
async fn what_a_crash_left_is_ignored_and_removed() {
    let scratch = Scratch::new();
    let records = open(&scratch).await;
    records.put(&key("a"), "v".into(), Expected::Any).await.unwrap();
    fs::write(scratch.file("temporary"), b"half a rec").unwrap();
    assert_eq!(records.list(&RecordPrefix::ALL).await.unwrap().len(), 1);
    records.put(&key("b"), "v".into(), Expected::Any).await.unwrap();
    assert!(!scratch.file("temporary").exists());
    fs::write(scratch.file("temporary"), b"half a rec").unwrap();
    open(&scratch).await;
    assert!(!scratch.file("temporary").exists());
}

#[tokio::test]
async fn damage_is_named_and_only_overwritten_when_asked_for() {
    let scratch = Scratch::new();
    let records = open(&scratch).await;
    for text in ["a/1", "a/2", "b"] {
        records.put(&key(text), "secret".into(), Expected::Any).await.unwrap();
    }
    fs::write(scratch.file("a+2.rec"), b"MSRC").unwrap();
    let damaged = key("a/2");
    let text = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Rejected);
        error.to_string()
    };
    let what = "the record file is damaged: its header is cut short";
    assert_eq!(text(records.get(&damaged).await.unwrap_err()), what);
    let error = records.list(&RecordPrefix::ALL).await.unwrap_err();
    assert_eq!(text(error), format!("record file 2 of 3 in order of name: {what}"));
    assert_eq!(records.list(&key("b").into()).await.unwrap().len(), 1, "others are not concerned");
    for expected in [Expected::Absent, Expected::Sequence(2)] {
        assert_eq!(text(records.put(&damaged, "v".into(), expected).await.unwrap_err()), what);
        assert_eq!(text(records.remove(&damaged, expected).await.unwrap_err()), what);
    }
    assert_eq!(records.put(&damaged, "v".into(), Expected::Any).await.unwrap(), 4);
    fs::write(scratch.file("a+2.rec"), b"").unwrap();
    assert!(records.remove(&damaged, Expected::Any).await.unwrap());
    assert_eq!(records.get(&damaged).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_under_another_records_name_is_found_out() {
    let scratch = Scratch::new();
    let records = open(&scratch).await;
    records.put(&key("a"), "v".into(), Expected::Any).await.unwrap();
    fs::copy(scratch.file("a.rec"), scratch.file("b.rec")).unwrap();
    let error = records.get(&key("b")).await.unwrap_err();
    assert_eq!(error.to_string(), "the record file is damaged: it is another record's");
}

#[tokio::test]
async fn a_lost_sequence_is_an_error() {
    let scratch = Scratch::new();
    let records = open(&scratch).await;
    records.put(&key("a"), "v".into(), Expected::Any).await.unwrap();
    fs::remove_file(scratch.file("sequence")).unwrap();
    assert_eq!(records.put(&key("a"), "v".into(), Expected::Any).await.unwrap_err().kind(), ErrorKind::Rejected);
    let error = FileRecords::open(&scratch.0).await.unwrap_err();
    assert_eq!(error.to_string(), "there are record files, but their sequence file is missing");
}

#[tokio::test]
async fn an_older_sequence_file_never_repeats_a_records_sequence() {
    let scratch = Scratch::new();
    let records = open(&scratch).await;
    let old = fs::read(scratch.file("sequence")).unwrap();
    for _ in 0..3 {
        records.put(&key("a"), "v".into(), Expected::Any).await.unwrap();
    }
    fs::write(scratch.file("sequence"), old).unwrap();
    assert_eq!(records.put(&key("a"), "v".into(), Expected::Sequence(3)).await.unwrap(), 4);
}

#[tokio::test]
async fn a_stuck_process_does_not_hang_this_one() {
    let scratch = Scratch::new();
    let records =
        FileRecords::builder(&scratch.0).with_lock_wait(Duration::from_millis(20)).unwrap().open().await.unwrap();
    let stuck = fs::File::open(scratch.file("lock")).unwrap();
    stuck.lock().unwrap();
    let error = records.put(&key("a"), "v".into(), Expected::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    assert_eq!(error.to_string(), "the record directory was locked by another process for 20ms");
    assert_eq!(records.get(&key("a")).await.unwrap(), None, "reads need no lock");
    drop(stuck);
    assert!(records.put(&key("a"), "v".into(), Expected::Any).await.is_ok());
}

#[tokio::test]
async fn a_dropped_call_writes_all_or_nothing_and_tells() {
    let scratch = Scratch::new();
    let records = open_with(&scratch.0, &ManualClock::new()).await;
    let mut changes = records.watch(&RecordPrefix::ALL).await.unwrap();
    let key = key("a");
    let mut put = records.put(&key, "v".into(), Expected::Any);
    let _ = (&mut put).now_or_never();
    drop(put);
    // The work on the files had begun: it goes on, and the next call waits for its turn.
    let second = records.put(&key, "w".into(), Expected::Any).await.unwrap();
    for wanted in 1..=second {
        let Some(RecordEvent::Put { record, .. }) = changes.next().await else { panic!("no event {wanted}") };
        assert_eq!(record.sequence, wanted);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_and_directory_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let scratch = Scratch::new();
    let records = open(&scratch).await;
    records.put(&key("a/b"), "v".into(), Expected::Any).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.0), 0o700);
    for file in ["a+b.rec", "lock", "sequence"] {
        assert_eq!(mode(&scratch.file(file)), 0o600, "{file}");
    }
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o750)).unwrap();
    let error = FileRecords::open(&scratch.0).await.unwrap_err().to_string();
    assert_eq!(error, "record directory must be closed to group and others (mode 0700), but mode 0750 was given");
}

#[tokio::test]
async fn limits_are_named() {
    let scratch = Scratch::new();
    let records = FileRecords::builder(&scratch.0).with_max_value(4).unwrap().open().await.unwrap();
    let error = records.put(&key("a"), "12345".into(), Expected::Any).await.unwrap_err();
    assert_eq!(error.to_string(), "record value must be at most 4 bytes long, but 5 bytes was given");
    fs::write(scratch.file("a.rec"), vec![0; 1_000]).unwrap();
    assert_eq!(records.get(&key("a")).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let builder = || FileRecords::builder("x").with_clock(Arc::new(SystemClock::new()));
    assert!(builder().with_poll_every(Duration::ZERO).is_err());
    assert!(builder().with_lock_wait(Duration::ZERO).is_err());
    assert!(builder().with_max_value(usize::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_files_are_errors(
        content in prop_oneof![any::<Vec<u8>>(), any::<Vec<u8>>().prop_map(|tail| [b"MSRC\x01", &tail[..]].concat())],
        cut in 0usize..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scratch = Scratch::new();
            let records = open(&scratch).await;
            records.put(&key("a"), "tea".into(), Expected::Any).await.unwrap();
            let good = fs::read(scratch.file("a.rec")).unwrap();
            for bytes in [&content[..], &good[..cut.min(good.len() - 1)]] {
                fs::write(scratch.file("a.rec"), bytes).unwrap();
                assert!(records.get(&key("a")).await.is_err());
                assert!(records.list(&RecordPrefix::ALL).await.is_err());
                assert!(records.watch(&RecordPrefix::ALL).await.is_err());
                assert!(records.put(&key("a"), "tea".into(), Expected::Sequence(1)).await.is_err());
            }
        });
    }
}
