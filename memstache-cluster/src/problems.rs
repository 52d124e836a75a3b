//! All that is wrong with settings, told at once.

use std::time::Duration;

use memstache_core::{Error, ErrorKind, MAX_TTL, Result};

/// Collects what is wrong, so that one error tells all of it.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Takes note of what a check says.
    pub(crate) fn note<T>(&mut self, checked: Result<T>) -> Option<T> {
        checked.map_err(|error| self.0.push(error.to_string())).ok()
    }

    /// Takes note of a setting that is not as it should be.
    pub(crate) fn require(&mut self, good: bool, wrong: impl FnOnce() -> Error) {
        if !good {
            self.0.push(wrong().to_string());
        }
    }

    /// Checks a span of time that must not be zero.
    pub(crate) fn positive(&mut self, field: &str, span: impl Into<Option<Duration>>) {
        let Some(span) = span.into() else { return };
        self.require(!span.is_zero(), || Error::invalid(field, "above zero", "zero"));
        self.bounded(field, span);
    }

    /// Checks a span of time that may be zero.
    pub(crate) fn bounded(&mut self, field: &str, span: Duration) {
        let most = MAX_TTL.as_secs() / 86_400;
        let wrong = || Error::invalid(field, format_args!("at most {most} days"), format_args!("{span:?}"));
        self.require(span <= MAX_TTL, wrong);
    }

    /// Checks a number.
    pub(crate) fn within(&mut self, field: &str, given: usize, least: usize, most: usize) {
        let wrong = || Error::invalid(field, format_args!("{least} to {most}"), given);
        self.require((least..=most).contains(&given), wrong);
    }

    /// Returns one error for all that is wrong, if anything is.
    pub(crate) fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Invalid, self.0.join("; "))) }
    }
}
