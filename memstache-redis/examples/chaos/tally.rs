//! Counts of answers and errors.

use std::{collections::BTreeMap, time::Duration};

use memstache_core::Error;
use serde::Serialize;

/// What came of one kind of operation. Times are milliseconds after the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    /// By kind.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    /// When the first failed call ended.
    pub(crate) first_error: Option<u64>,
    /// When the last failed call ended.
    pub(crate) last_error: Option<u64>,
    /// The longest call, in milliseconds.
    pub(crate) slowest: u64,
}

impl Tally {
    pub(crate) fn count<T>(&mut self, result: &Result<T, Error>, began: Duration, ended: Duration) {
        self.slowest = self.slowest.max(millis(ended - began));
        let Err(error) = result else {
            self.answered += 1;
            return;
        };
        self.errors += 1;
        *self.kinds.entry(error.kind().as_str()).or_default() += 1;
        self.saw(Some(millis(ended)), Some(millis(ended)));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.errors += other.errors;
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.slowest = self.slowest.max(other.slowest);
        self.saw(other.first_error, other.last_error);
    }

    fn saw(&mut self, first: Option<u64>, last: Option<u64>) {
        self.first_error = self.first_error.into_iter().chain(first).min();
        self.last_error = self.last_error.max(last);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use memstache_core::ErrorKind;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn errors_are_counted_by_kind_with_the_first_and_the_last() {
        let failed = |kind| Err::<(), _>(Error::new(kind, "x"));
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.count(&Ok(()), ms(0), ms(5));
        one.count(&failed(ErrorKind::Timeout), ms(10), ms(260));
        two.count(&failed(ErrorKind::Unavailable), ms(100), ms(101));
        two.count(&failed(ErrorKind::Timeout), ms(300), ms(310));
        one.merge(&two);
        assert_eq!((one.answered, one.errors, one.slowest), (1, 3, 250));
        assert_eq!(one.kinds, BTreeMap::from([("timeout", 2), ("unavailable", 1)]));
        assert_eq!((one.first_error, one.last_error), (Some(101), Some(310)));
        one.merge(&Tally::default());
        assert_eq!((one.first_error, one.last_error), (Some(101), Some(310)));
    }
}
