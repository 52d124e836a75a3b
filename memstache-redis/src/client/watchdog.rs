//! Notices a server that hangs while commands are written to it.
//!
//! The driver does not: each write resets the clock by which it would.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Timeouts in a row after which a connection is taken for dead.
const TIMEOUTS: u32 = 3;

/// Counts the timeouts in a row of each server.
#[derive(Debug, Default)]
pub(crate) struct Watchdog(Mutex<HashMap<String, u32>>);

impl Watchdog {
    /// Takes note of an answer.
    pub(crate) fn answered(&self, server: &str) {
        let mut counts = self.0.lock();
        if !counts.is_empty() {
            counts.remove(server);
        }
    }

    /// Takes note of a timeout; `true` when it is time to drop the connection.
    pub(crate) fn timed_out(&self, server: &str) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(server.to_owned()).or_default();
        *count += 1;
        let due = *count >= TIMEOUTS;
        if due {
            counts.remove(server);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_row_of_one_server() {
        let dog = Watchdog::default();
        assert_eq!([(); 4].map(|()| dog.timed_out("a")), [false, false, true, false]);
        dog.answered("a");
        assert_eq!([dog.timed_out("a"), dog.timed_out("b"), dog.timed_out("a")], [false, false, false]);
        assert!(!dog.timed_out("b"));
        assert!(dog.timed_out("a"), "an answer of another server says nothing");
    }
}
