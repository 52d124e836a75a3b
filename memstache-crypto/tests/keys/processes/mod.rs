//! Several processes over one directory of records, their clocks five minutes apart.

mod child;
mod killed;
mod parent;
mod retired;

use std::{collections::BTreeMap, fs, path::PathBuf, thread};

use memstache_crypto::{FileProvider, KeyProvider};
use parking_lot::Mutex;

use self::parent::Child;

/// A directory that is gone when the test is.
struct Directory(PathBuf);

impl Directory {
    async fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("memstache-keys-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let directory = Self(path);
        FileProvider::new(directory.0.join("master")).rotate().await.unwrap();
        directory
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SKEW: u64 = 5 * 60 * 1000;
const STEP: u64 = 5 * 60 * 1000;
const ROUNDS: usize = 10;
/// Entries that each process writes in a round.
const EACH: usize = 500;

/// What was stored, by number.
type Entries = Mutex<BTreeMap<usize, String>>;

/// Writes a round's entries, manages keys, and reads everything that there is, of both processes.
fn round(child: &mut Child, first: usize, manage: Option<&str>, entries: &Entries) {
    write(child, first, EACH, entries);
    if let Some(manage) = manage {
        child.ask(manage);
    }
    read_all(child, entries);
}

/// Writes entries in commands of a hundred, and keeps what a store would.
fn write(child: &mut Child, first: usize, count: usize, entries: &Entries) {
    for at in (first..first + count).step_by(100) {
        let written = child.ask(&format!("write {at} 100"));
        keep(entries, at, &written);
    }
}

fn keep(entries: &Entries, first: usize, written: &str) {
    entries.lock().extend((first..).zip(written.split(',').map(str::to_owned)));
}

/// The commands that read everything that there is, with the answers that they must have.
fn reads(entries: &Entries) -> Vec<(String, String)> {
    let there: Vec<_> = entries.lock().iter().map(|(at, entry)| format!("{at}={entry}")).collect();
    there.chunks(500).map(|some| (format!("read {}", some.join(",")), format!("{} 0", some.len()))).collect()
}

fn read_all(child: &mut Child, entries: &Entries) {
    for (read, all) in reads(entries) {
        assert_eq!(child.ask(&read), all, "opened, and failed");
    }
}

#[tokio::test]
async fn ten_thousand_entries_are_written_and_read_while_every_kind_of_key_rotates() {
    let directory = Directory::new("rotation").await;
    let (mut ahead, mut behind) = (Child::spawn(&directory.0, SKEW), Child::spawn(&directory.0, 0));
    let entries = Entries::default();
    let manage = |round: usize| match round {
        1 => (Some("rotate-derived"), None),
        2 => (None, Some("rotate-branch")),
        5 => (Some("rotate-master"), Some("rewrap")),
        6 => (Some("rotate-branch"), Some("rotate-derived")),
        8 => (Some("rewrap"), Some("rotate-master")),
        _ => (None, None),
    };
    for number in 0..ROUNDS {
        if number == 4 {
            // A restart, with the same clock.
            behind = Child::spawn(&directory.0, STEP * 4);
        }
        let (of_ahead, of_behind) = manage(number);
        let first = number * 2 * EACH;
        thread::scope(|threads| {
            let (entries, directory) = (&entries, &directory.0);
            threads.spawn(|| round(&mut ahead, first, of_ahead, entries));
            threads.spawn(|| {
                if number == 7 {
                    // Another restart, in the midst of all that a round does.
                    killed::at_work(&mut behind, first + EACH, entries);
                    behind = Child::spawn(directory, STEP * 7);
                }
                round(&mut behind, first + EACH, of_behind, entries);
            });
        });
        for child in [&mut ahead, &mut behind] {
            child.ask(&format!("advance {STEP}"));
            child.ask("refresh");
        }
    }
    let entries = entries.into_inner();
    assert_eq!(entries.len(), 10_000);
    let status = ahead.ask("status");
    assert_eq!(status, "3 keys, 3 branches, master 3", "everything was rotated");
    assert_eq!(behind.ask("status"), status);

    let revoked = behind.ask("revoke-active");
    ahead.ask("refresh");
    let key = |entry: &str| entry[8..40].to_owned();
    let (dead, alive): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, entry)| key(entry) == revoked);
    assert!(!dead.is_empty() && !alive.is_empty());
    for child in [&mut ahead, &mut behind, &mut Child::spawn(&directory.0, STEP * 10)] {
        for (entries, opens) in [(&dead, false), (&alive, true)] {
            for some in entries.chunks(500) {
                let ask: Vec<_> = some.iter().map(|(at, entry)| format!("{at}={entry}")).collect();
                let expected = if opens { format!("{} 0", some.len()) } else { format!("0 {}", some.len()) };
                assert_eq!(child.ask(&format!("read {}", ask.join(","))), expected);
            }
        }
        child.ask("write 20000 100");
    }
}

#[tokio::test]
async fn processes_that_make_a_tenants_first_key_at_once_end_up_with_one() {
    let directory = Directory::new("first").await;
    // The branch key, too, is made by all at once.
    let mut children: Vec<_> = (0..3).map(|at| Child::spawn(&directory.0, at * SKEW / 2)).collect();
    for tenant in 0..20 {
        children.iter_mut().for_each(|child| child.send(&format!("first tenant-{tenant}")));
        let ids: Vec<_> = children.iter_mut().map(Child::answer).collect();
        assert_eq!(ids[0].len(), 32);
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

#[tokio::test]
async fn a_process_that_shreds_is_told_by_the_others_that_they_have_let_go() {
    let directory = Directory::new("shred").await;
    let mut children: Vec<_> = (0..3).map(|_| Child::spawn_in_real_time(&directory.0)).collect();
    let written = children[0].ask("write 0 1");
    let read = format!("read 0={written}");
    for child in &mut children {
        assert_eq!(child.ask(&read), "1 0");
    }
    let names: Vec<_> = children.iter_mut().map(|child| child.ask("node")).collect();
    // The third hears of nothing: it refreshes when it is told to.
    children[1].ask("run");
    let receipt = children[0].ask("shred 3000");
    let expected = format!("1 {},{} {}", names[0], names[1], names[2]);
    assert_eq!(receipt, expected, "keys, who has confirmed, who has not");
    assert_eq!(children[1].ask(&read), "0 1", "without waiting for anything");
    assert_eq!(children[2].ask(&read), "1 0", "what the receipt warns of");
    children[2].ask("refresh");
    assert_eq!(children[2].ask(&read), "0 1");

    // One that is killed cannot say that it holds nothing any more.
    children[1].ask("first umbrella");
    drop(children.pop());
    let receipt = children[0].ask("shred 1000");
    assert_eq!(receipt, format!("0 {},{} {}", names[0], names[1], names[2]));
}
