//! Counting reads without getting in their way.

use std::{
    f64::consts::LN_2,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use memstache_core::{Address, Clock, Tick};
use parking_lot::Mutex;

use super::sketch::{Count, Sketch};

/// Keys that are told apart.
pub(crate) const MOST_HOT_KEYS: usize = 1024;
/// After this time a read counts half.
pub(crate) const HALF_LIFE: Duration = Duration::from_secs(3);

/// Reads a second that are written down; of more, one in a power of two.
const NOTED_PER_SECOND: f64 = 8192.0;
/// How often it is judged how many are written down.
const WINDOW: Duration = Duration::from_millis(250);
/// The fewest that are written down, of very many: one in so many.
const MOST_SKIPPED: u32 = 1 << 12;

/// The reads of one keyspace that this node serves as an owner.
///
/// Most of them cost a draw of a random number: of many reads a part is written down, and counts for the others. Nobody waits for
/// another: a read that finds the sketch taken is not written down.
pub(crate) struct Reads {
    noted: Mutex<Noted>,
    /// One in so many is written down, less one: the bits of a draw that must be zero.
    skipped: AtomicU32,
    clock: Arc<dyn Clock>,
}

struct Noted {
    sketch: Sketch<Address>,
    window: Tick,
    /// Reads within the window, those included for which the written ones stand.
    reads: f64,
}

/// A key that is read often.
#[derive(Clone, Debug)]
pub(crate) struct HotRead {
    pub(crate) address: Address,
    /// Reads of late: each counts half after each half-life. Not above what there were.
    pub(crate) hits: f64,
    /// Reads a second.
    pub(crate) per_second: f64,
}

impl Reads {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let noted = Noted { sketch: Sketch::new(MOST_HOT_KEYS, HALF_LIFE), window: clock.now(), reads: 0.0 };
        Self { noted: Mutex::new(noted), skipped: AtomicU32::new(0), clock }
    }

    /// Counts reads of keys.
    #[inline]
    pub(crate) fn count<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) {
        let skipped = self.skipped.load(Relaxed);
        for address in addresses {
            if skipped == 0 || fastrand::u32(..) & skipped == 0 {
                self.note(address, skipped + 1);
            }
        }
    }

    /// Counts a read of a key; returns how often a second it is read, if this read is written down.
    pub(super) fn judge(&self, address: &Address) -> Option<f64> {
        let skipped = self.skipped.load(Relaxed);
        if skipped != 0 && fastrand::u32(..) & skipped != 0 {
            return None;
        }
        self.note(address, skipped + 1).map(per_second)
    }

    /// Counts reads that copies have answered.
    pub(crate) fn count_of_copies(&self, address: &Address, reads: u32) {
        self.note(address, reads);
    }

    /// Writes down a read that stands for so many.
    #[cold]
    fn note(&self, address: &Address, reads: u32) -> Option<Count> {
        let now = self.clock.now();
        let mut noted = self.noted.try_lock()?;
        let reads = f64::from(reads);
        noted.reads += reads;
        let passed = now.since(noted.window);
        if passed >= WINDOW {
            let per_second = noted.reads / passed.as_secs_f64();
            self.skipped.store(skipped(per_second), Relaxed);
            (noted.window, noted.reads) = (now, 0.0);
        }
        Some(noted.sketch.add(address, reads, now))
    }

    /// Returns the keys that are read most, the first first; at most 1,024.
    pub(crate) fn top(&self, most: usize) -> Vec<HotRead> {
        let now = self.clock.now();
        let mut noted = self.noted.lock();
        let top = noted.sketch.top(most, now);
        let hot =
            |(address, count): (Address, Count)| HotRead { address, hits: count.least, per_second: per_second(count) };
        top.into_iter().map(hot).collect()
    }
}

/// Returns how many reads a second lead to this count, if they go on.
fn per_second(count: Count) -> f64 {
    count.least * LN_2 / HALF_LIFE.as_secs_f64()
}

/// Returns how many of so many reads a second are not written down for each one that is.
fn skipped(per_second: f64) -> u32 {
    let one_in = (per_second / NOTED_PER_SECOND).ceil().clamp(1.0, f64::from(MOST_SKIPPED));
    (one_in as u32).next_power_of_two() - 1
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("skipped", &self.skipped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::{KeyspaceName, Space, testing::ManualClock};

    use super::*;

    fn address(name: &str) -> Address {
        Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
    }

    #[test]
    fn few_reads_are_all_written_down_and_of_many_a_part_stands_for_them() {
        fastrand::seed(7);
        let clock = ManualClock::new();
        let reads = Reads::new(Arc::new(clock.clone()));
        let (hot, other) = (address("hot"), address("other"));
        for _ in 0..10 {
            reads.count([&hot]);
        }
        reads.count([&other]);
        let top = reads.top(10);
        assert_eq!((top[0].address.clone(), top[0].hits), (hot.clone(), 10.0));
        assert_eq!((top.len(), top[1].hits), (2, 1.0));
        // 800,000 reads a second, for three half-lives: well between the rates at which the part changes.
        for _ in 0..9_000 {
            reads.count(std::iter::repeat_n(&hot, 800));
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(reads.skipped.load(Relaxed), 127);
        let rate = reads.top(1)[0].per_second;
        assert!((0.64e6..0.76e6).contains(&rate), "{rate}: seven eighths of the way to 800,000");
        // All is written down again soon after it has become quiet.
        for _ in 0..2_000 {
            reads.count([&other]);
            clock.advance(Duration::from_millis(10));
        }
        assert_eq!(reads.skipped.load(Relaxed), 0);
        clock.advance(Duration::from_secs(60));
        reads.count([&other]);
        assert_eq!(reads.top(1)[0].address, other);
    }

    #[test]
    fn how_many_are_skipped_is_bounded() {
        assert_eq!([0.0, 1.0, 8192.0, 8193.0, 1e6, 1e12].map(skipped), [0, 0, 0, 1, 127, 4095]);
    }

    #[test]
    fn nobody_waits_for_the_sketch() {
        let reads = Reads::new(Arc::new(ManualClock::new()));
        let held = reads.noted.lock();
        reads.count([&address("a")]);
        drop(held);
        assert!(reads.top(1).is_empty());
    }
}
