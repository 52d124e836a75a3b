//! A derived key whose time ends while processes read and write.

use std::thread;

use super::{Child, Directory, Entries, SKEW, read_all, write};

const HOUR: u64 = 3_600_000;
/// How long an entry lives, in hours.
const TTL: usize = 4;

#[tokio::test]
async fn a_derived_key_retires_under_load_and_nothing_that_lives_is_missed() {
    let directory = Directory::new("retired").await;
    let (mut ahead, mut behind) = (Child::spawn(&directory.0, SKEW), Child::spawn(&directory.0, 0));
    // What each hour wrote: the latest are read.
    let mut hours = vec![Entries::default()];
    write(&mut behind, 0, 100, &hours[0]);
    behind.ask("rotate-derived");
    let mut retired = None;
    for hour in 1..=48 {
        for child in [&mut ahead, &mut behind] {
            child.ask(&format!("advance {HOUR}"));
            child.ask("refresh");
        }
        hours.push(Entries::default());
        let (now, first) = (&hours[hour], hour * 200);
        // An entry that is as old as its lifetime has just died.
        let alive = &hours[(hour + 1).saturating_sub(TTL)..=hour];
        thread::scope(|threads| {
            for (child, first) in [(&mut ahead, first), (&mut behind, first + 100)] {
                threads.spawn(move || {
                    write(child, first, 100, now);
                    alive.iter().for_each(|entries| read_all(child, entries));
                });
            }
        });
        let states = ahead.ask("states");
        if states.starts_with("Retired") && retired.is_none() {
            assert_eq!(states, "Retired Active");
            retired = Some(hour);
        }
    }
    let retired = retired.expect("two days are enough for it to retire");
    assert!(retired > TTL, "after {retired} hours, what it had sealed was still alive");
    for child in [&mut ahead, &mut behind, &mut Child::spawn(&directory.0, 48 * HOUR)] {
        assert_eq!(child.ask("states"), "Retired Active");
        read_all(child, &hours[48]);
    }
}
