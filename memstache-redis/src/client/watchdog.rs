//! Notices a server that hangs while commands are written to it.
//!
//! The driver does not: each write resets the clock by which it would.

use std::{collections::HashMap, time::Duration};

use memstache_core::Tick;
use parking_lot::Mutex;

/// Timeouts in a row after which a connection is taken for dead,
const TIMEOUTS: u32 = 3;
/// if there was no answer for this long: a burst of commands that all end at once says no more than its first.
const SPAN: Duration = Duration::from_millis(400);

/// Servers that are remembered; more come only where servers keep changing their names.
const MOST: usize = 4096;

/// Counts the timeouts in a row of each server, from the first on.
#[derive(Debug, Default)]
pub(crate) struct Watchdog(Mutex<HashMap<String, (u32, Tick)>>);

impl Watchdog {
    /// Takes note of an answer.
    pub(crate) fn answered(&self, server: &str) {
        let mut counts = self.0.lock();
        if !counts.is_empty() {
            counts.remove(server);
        }
    }

    /// Takes note of a timeout; `true` when it is time to drop the connection.
    pub(crate) fn timed_out(&self, server: &str, now: Tick) -> bool {
        let mut counts = self.0.lock();
        if counts.len() >= MOST && !counts.contains_key(server) {
            counts.clear();
        }
        let (count, first) = counts.entry(server.to_owned()).or_insert((0, now));
        *count = count.saturating_add(1);
        let due = *count >= TIMEOUTS && now.since(*first) >= SPAN;
        if due {
            counts.remove(server);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    #[test]
    fn three_in_a_row_of_one_server() {
        let dog = Watchdog::default();
        assert_eq!([0, 250, 500, 750].map(|millis| dog.timed_out("a", at(millis))), [false, false, true, false]);
        dog.answered("a");
        assert!(!dog.timed_out("a", at(1_000)) && !dog.timed_out("b", at(1_000)) && !dog.timed_out("a", at(1_250)));
        assert!(!dog.timed_out("b", at(1_500)));
        assert!(dog.timed_out("a", at(1_500)), "an answer of another server says nothing");
    }

    #[test]
    fn memory_is_bounded() {
        let dog = Watchdog::default();
        (0..10_000).for_each(|name| assert!(!dog.timed_out(&name.to_string(), at(0))));
        assert!(dog.0.lock().len() <= MOST);
    }

    #[test]
    fn a_burst_is_one() {
        let dog = Watchdog::default();
        assert!((0..1_000).all(|_| !dog.timed_out("a", at(5))));
        assert!(dog.timed_out("a", at(405)), "still nothing");
    }
}
