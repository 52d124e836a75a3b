//! The rules, read by read.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use super::{History, Read, Stamp, Write, WriteOutcome};

/// A read that should not have been answered as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Whose key was asked for.
    pub tenant: String,
    /// Which key was asked for.
    pub key: String,
    /// When the read began.
    pub began: Duration,
    /// The text that it was answered with.
    pub seen: String,
    /// What is wrong with it.
    pub breach: Breach,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// It is no stamp, or not as it was written.
    Garbled,
    /// It belongs to another tenant.
    OtherTenant,
    /// It belongs to another key.
    OtherKey,
    /// Nobody began to write it.
    NeverWritten,
    /// Its write was reported as failed.
    Failed,
    /// A later version was acknowledged so long before the read began, over its bound.
    Old {
        /// The latest such version.
        newest: u64,
        /// From the acknowledgement to the read.
        since: Duration,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, key, began, seen, breach } = self;
        write!(f, "at {} ms {tenant}/{key} was answered with {seen:?}: ", began.as_millis())?;
        match breach {
            Breach::Garbled => f.write_str("it is garbled"),
            Breach::OtherTenant => f.write_str("it belongs to another tenant"),
            Breach::OtherKey => f.write_str("it belongs to another key"),
            Breach::NeverWritten => f.write_str("it was never written"),
            Breach::Failed => f.write_str("its write was reported as failed"),
            Breach::Old { newest, since } => {
                write!(f, "version {newest} was acknowledged {} ms before", since.as_millis())
            }
        }
    }
}

pub(super) fn violations(history: &History) -> Vec<Violation> {
    let known: HashMap<_, _> = history
        .writes
        .iter()
        .map(|((tenant, key), writes)| ((tenant.as_str(), key.as_str()), Known::new(writes)))
        .collect();
    history.reads.iter().filter_map(|read| violation(read, &known)).collect()
}

fn violation(read: &Read, known: &HashMap<(&str, &str), Known<'_>>) -> Option<Violation> {
    let breach = breach(read, known)?;
    let Read { tenant, key, began, seen, .. } = read.clone();
    Some(Violation { tenant, key, began, seen, breach })
}

fn breach(read: &Read, known: &HashMap<(&str, &str), Known<'_>>) -> Option<Breach> {
    let Some(stamp) = Stamp::parse(&read.seen) else { return Some(Breach::Garbled) };
    if stamp.tenant != read.tenant {
        return Some(Breach::OtherTenant);
    }
    if stamp.key != read.key {
        return Some(Breach::OtherKey);
    }
    let Some(known) = known.get(&(read.tenant.as_str(), read.key.as_str())) else { return Some(Breach::NeverWritten) };
    match known.writes.get(&stamp.version) {
        Some(write) if write.writer == stamp.writer && !write.removal => {
            let failed = (write.outcome == WriteOutcome::Failed).then_some(Breach::Failed);
            failed.or_else(|| known.old(&stamp, read))
        }
        _ => Some(Breach::NeverWritten),
    }
}

/// A key's writes, and when each version became the newest that was acknowledged.
struct Known<'a> {
    writes: &'a BTreeMap<u64, Write>,
    /// Times and versions both rise.
    acknowledged: Vec<(Duration, u64)>,
}

impl<'a> Known<'a> {
    fn new(writes: &'a BTreeMap<u64, Write>) -> Self {
        let done = writes.iter().filter(|(_, write)| write.outcome == WriteOutcome::Acknowledged);
        let mut ends: Vec<_> = done.map(|(version, write)| (write.ended, *version)).collect();
        ends.sort_unstable();
        let mut acknowledged: Vec<(Duration, u64)> = Vec::with_capacity(ends.len());
        for (ended, version) in ends {
            if acknowledged.last().is_none_or(|(_, newest)| version > *newest) {
                acknowledged.push((ended, version));
            }
        }
        Self { writes, acknowledged }
    }

    /// Whether a later version was acknowledged before the read began, minus its bound.
    fn old(&self, stamp: &Stamp, read: &Read) -> Option<Breach> {
        let before = read.began.checked_sub(read.bound)?;
        // Strictly before: what ends in the very moment may be later.
        let count = self.acknowledged.partition_point(|(ended, _)| *ended < before);
        let newest = self.acknowledged[..count].last()?.1;
        if newest <= stamp.version {
            return None;
        }
        // Since when the answer is old: the first version after it.
        let first = self.acknowledged.iter().find(|(_, version)| *version > stamp.version)?;
        Some(Breach::Old { newest, since: read.began - first.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::history::WriteOutcome::{Acknowledged, Failed, Unknown};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn stamp(version: u64) -> Stamp {
        Stamp::new("a", "tea", version, 3)
    }

    /// Version 1 acknowledged at 10 ms, 2 at 20 ms and so on.
    fn history(outcomes: &[WriteOutcome]) -> History {
        let mut history = History::new();
        for (version, outcome) in (1..).zip(outcomes) {
            history.stored(&stamp(version), ms(10 * version), *outcome);
        }
        history
    }

    fn breach_of(mut history: History, began: u64, bound: u64, seen: &str) -> Option<Breach> {
        history.read("a", "tea", ms(began), ms(bound), Some(seen));
        history.violations().pop().map(|violation| violation.breach)
    }

    fn old(outcomes: &[WriteOutcome], began: u64, bound: u64, seen: u64) -> Option<Breach> {
        breach_of(history(outcomes), began, bound, &stamp(seen).to_string())
    }

    #[test]
    fn what_is_new_enough_is_fine() {
        assert_eq!(old(&[Acknowledged; 3], 40, 0, 3), None);
        assert_eq!(old(&[Acknowledged; 3], 15, 0, 3), None, "not yet acknowledged, and read all the same");
        assert_eq!(old(&[Acknowledged; 3], 30, 0, 2), None, "acknowledged in that moment");
        assert_eq!(breach_of(history(&[Acknowledged]), 5, 0, &stamp(1).to_string()), None);
    }

    #[test]
    fn an_old_value_is_found() {
        assert_eq!(old(&[Acknowledged; 3], 31, 0, 2), Some(Breach::Old { newest: 3, since: ms(1) }));
        assert_eq!(old(&[Acknowledged; 3], 40, 0, 1), Some(Breach::Old { newest: 3, since: ms(20) }));
    }

    #[test]
    fn the_bound_is_kept_and_no_more() {
        assert_eq!(old(&[Acknowledged; 2], 70, 50, 1), None);
        assert_eq!(old(&[Acknowledged; 2], 71, 50, 1), Some(Breach::Old { newest: 2, since: ms(51) }));
        assert_eq!(old(&[Acknowledged; 2], 71, 500, 1), None, "a bound before the beginning of time");
    }

    #[test]
    fn a_write_that_is_unknown_proves_nothing_and_may_be_seen() {
        assert_eq!(old(&[Acknowledged, Unknown], 90, 0, 1), None);
        assert_eq!(old(&[Acknowledged, Unknown], 90, 0, 2), None);
        let late = old(&[Acknowledged, Unknown, Acknowledged], 90, 0, 2);
        assert_eq!(late, Some(Breach::Old { newest: 3, since: ms(60) }), "it came after what followed it");
    }

    #[test]
    fn a_write_that_failed_is_not_to_be_seen() {
        assert_eq!(old(&[Acknowledged, Failed], 90, 0, 2), Some(Breach::Failed));
        assert_eq!(old(&[Acknowledged, Failed], 90, 0, 1), None, "it took nothing's place");
    }

    #[test]
    fn a_removal_makes_old_what_was_before() {
        let mut history = history(&[Acknowledged]);
        history.removed(&stamp(2), ms(20), Acknowledged);
        assert_eq!(breach_of(history.clone(), 19, 0, &stamp(1).to_string()), None);
        let seen = stamp(1).to_string();
        assert_eq!(breach_of(history.clone(), 25, 0, &seen), Some(Breach::Old { newest: 2, since: ms(5) }));
        assert_eq!(breach_of(history, 25, 0, &stamp(2).to_string()), Some(Breach::NeverWritten), "nothing to be seen");
    }

    #[test]
    fn an_acknowledgement_that_overtakes_counts_once() {
        let mut history = History::new();
        history.stored(&stamp(2), ms(10), Acknowledged);
        history.stored(&stamp(1), ms(30), Acknowledged);
        assert_eq!(breach_of(history.clone(), 40, 0, &stamp(2).to_string()), None);
        let seen = stamp(1).to_string();
        assert_eq!(breach_of(history, 40, 0, &seen), Some(Breach::Old { newest: 2, since: ms(30) }));
    }

    #[test]
    fn what_belongs_elsewhere_is_found() {
        let history = || history(&[Acknowledged]);
        let other = |tenant: &str, key: &str, version, writer| Stamp::new(tenant, key, version, writer).to_string();
        assert_eq!(breach_of(history(), 90, 0, "tea"), Some(Breach::Garbled));
        assert_eq!(breach_of(history(), 90, 0, ""), Some(Breach::Garbled));
        assert_eq!(breach_of(history(), 90, 0, &other("b", "tea", 1, 3)), Some(Breach::OtherTenant));
        assert_eq!(breach_of(history(), 90, 0, &other("a", "coffee", 1, 3)), Some(Breach::OtherKey));
        assert_eq!(breach_of(history(), 90, 0, &other("a", "tea", 2, 3)), Some(Breach::NeverWritten));
        assert_eq!(breach_of(history(), 90, 0, &other("a", "tea", 1, 4)), Some(Breach::NeverWritten), "another writer");
        assert_eq!(breach_of(History::new(), 90, 0, &stamp(1).to_string()), Some(Breach::NeverWritten));
    }

    #[test]
    fn histories_of_tasks_are_judged_together() {
        let mut reader = History::new();
        reader.read("a", "tea", ms(50), Duration::ZERO, Some(&stamp(1).to_string()));
        reader.read("a", "tea", ms(50), Duration::ZERO, None);
        let mut all = history(&[Acknowledged, Acknowledged]);
        all.merge(reader);
        assert_eq!((all.writes(), all.reads(), all.violations().len()), (2, 1, 1));
        let told = all.violations()[0].to_string();
        assert!(told.starts_with("at 50 ms a/tea was answered with \"a tea 1 3 "), "{told}");
        assert!(told.ends_with("version 2 was acknowledged 30 ms before"), "{told}");
    }
}
