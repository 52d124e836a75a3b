//! Processes that are killed while they are at work.

use super::{Child, Directory, Entries, STEP, keep, read_all, reads, write};

/// Kills a process while it reads and writes: some of its answers were had, others never come.
///
/// The entries that it is asked for are written again by who comes next; those that were stored of them are kept, as a store
/// would keep them until then.
pub(super) fn at_work(child: &mut Child, first: usize, entries: &Entries) {
    let (read, _) = reads(entries).swap_remove(0);
    // Only one of these is longer than a pipe holds: with two, both ends would wait for each other.
    for command in [&format!("write {first} 100"), &read, &format!("write {} 100", first + 100)] {
        child.send(command);
    }
    let written = child.answer();
    keep(entries, first, &written);
    // It reads now, and a write waits.
    child.kill();
}

#[tokio::test]
async fn who_is_killed_while_it_changes_keys_leaves_keys_that_open_everything() {
    let directory = Directory::new("killed").await;
    let mut survivor = Child::spawn(&directory.0, 0);
    let entries = Entries::default();
    let pairs = [
        ["rotate-derived", "rotate-branch"],
        ["rotate-branch", "rotate-derived"],
        ["rotate-derived", "rewrap"],
        ["rewrap", "rotate-derived"],
    ];
    for number in 0..12 {
        let [done, cut] = pairs[number % pairs.len()];
        let mut victim = Child::spawn(&directory.0, STEP * number as u64);
        let first = number * 300;
        write(&mut victim, first, 100, &entries);
        // Both are under way before the first answer is there; then the second is cut off somewhere, or was faster.
        victim.send(done);
        victim.send(cut);
        victim.send(&format!("write {} 100", first + 100));
        victim.answer();
        victim.kill();

        write(&mut survivor, first + 200, 100, &entries);
        read_all(&mut survivor, &entries);
        survivor.ask(&format!("advance {STEP}"));
        survivor.ask("refresh");
        read_all(&mut survivor, &entries);
    }
    let mut fresh = Child::spawn(&directory.0, STEP * 12);
    read_all(&mut fresh, &entries);
    assert_eq!(fresh.ask("status"), survivor.ask("status"));
    // The first one, and those of the rotations that were answered, at the least.
    let keys: usize = fresh.ask("status").split(' ').next().unwrap().parse().unwrap();
    assert!((1 + 6..=1 + 12).contains(&keys), "{keys} derived keys");
    assert_eq!(fresh.ask("states").matches("Active").count(), 1);
}
