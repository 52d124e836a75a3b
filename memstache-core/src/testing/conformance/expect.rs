//! What a case expects of an answer, and how it says what it saw instead.

use std::panic::Location;

use crate::{
    entry::{Entry, Meta},
    error::{Error, ErrorKind, Result},
    request::{Lease, LeaseId, Lookup, Written},
};

/// Why a case ended early.
#[derive(Debug)]
pub(super) enum Failure {
    Broken(String),
    Skipped(&'static str),
}

pub(super) type Outcome<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        broken(format!("an unexpected error of kind {}: {error}", error.kind().as_str()))
    }
}

/// Says what was seen, and where in the suite.
#[track_caller]
pub(super) fn broken(text: impl AsRef<str>) -> Failure {
    let place = Location::caller();
    let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
    Failure::Broken(format!("{} ({file}:{})", text.as_ref(), place.line()))
}

/// Expects a rule to hold.
#[track_caller]
pub(super) fn check(holds: bool, rule: &str) -> Outcome {
    if holds { Ok(()) } else { Err(broken(rule)) }
}

/// Expects an error of a kind.
#[track_caller]
pub(super) fn fails<T>(result: Result<T>, kind: ErrorKind) -> Outcome {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(broken(format!("expected the error {}, found {}", kind.as_str(), error.kind().as_str()))),
        Ok(_) => Err(broken(format!("expected the error {}, found an answer", kind.as_str()))),
    }
}

/// Expects a write to be stored.
#[track_caller]
pub(super) fn stored(written: Written) -> Outcome<crate::version::Version> {
    match written {
        Written::Stored(version) => Ok(version),
        Written::Refused => Err(broken("expected the write to be stored, it was refused")),
        Written::NearOnly => Err(broken("expected the write to be stored, it was kept in a near cache only")),
    }
}

/// Expects a write to be refused.
#[track_caller]
pub(super) fn refused(written: Written) -> Outcome {
    check(written == Written::Refused, "expected the write to be refused, it was stored")
}

/// A lookup about which something is expected.
#[derive(Clone, Debug)]
pub(super) struct Seen(pub(super) Lookup);

impl Seen {
    #[track_caller]
    fn other<T>(&self, expected: &str) -> Outcome<T> {
        Err(broken(format!("expected {expected}, found {}", self.describe())))
    }

    fn describe(&self) -> String {
        let text = |entry: &Entry| String::from_utf8_lossy(&entry.value[..entry.value.len().min(32)]).into_owned();
        match &self.0 {
            Lookup::Hit(entry) => format!("the hit {:?}", text(entry)),
            Lookup::Stale(entry, Some(_)) => format!("the stale {:?} with a lease", text(entry)),
            Lookup::Stale(entry, None) => format!("the stale {:?}", text(entry)),
            Lookup::Negative(_) => "a negative record".to_owned(),
            Lookup::Miss => "a miss".to_owned(),
            Lookup::Leased(_) => "a lease".to_owned(),
            Lookup::Busy(Some(_)) => "busy, and to be joined".to_owned(),
            Lookup::Busy(None) => "busy, and not to be joined".to_owned(),
        }
    }

    #[track_caller]
    pub(super) fn hit(self, value: impl AsRef<[u8]>) -> Outcome<Entry> {
        match &self.0 {
            Lookup::Hit(entry) if entry.value == value.as_ref() => Ok(entry.clone()),
            _ => self.other(&format!("the hit {:?}", String::from_utf8_lossy(value.as_ref()))),
        }
    }

    #[track_caller]
    pub(super) fn stale(self, value: &str) -> Outcome<Option<Lease>> {
        match &self.0 {
            Lookup::Stale(entry, lease) if entry.value == value => Ok(*lease),
            _ => self.other(&format!("the stale {value:?}")),
        }
    }

    #[track_caller]
    pub(super) fn negative(self) -> Outcome<Meta> {
        if let Lookup::Negative(meta) = self.0 { Ok(meta) } else { self.other("a negative record") }
    }

    #[track_caller]
    pub(super) fn miss(self) -> Outcome {
        if matches!(self.0, Lookup::Miss) { Ok(()) } else { self.other("a miss") }
    }

    #[track_caller]
    pub(super) fn leased(self) -> Outcome<Lease> {
        if let Lookup::Leased(lease) = self.0 { Ok(lease) } else { self.other("a lease") }
    }

    /// Busy with a load that the asker may join.
    #[track_caller]
    pub(super) fn busy_with(self, id: LeaseId) -> Outcome {
        match self.0 {
            Lookup::Busy(Some(other)) if other == id => Ok(()),
            Lookup::Busy(Some(_)) => Err(broken("busy with another lease than the one that was granted")),
            _ => self.other("busy, and to be joined"),
        }
    }

    pub(super) fn is_leased(&self) -> bool {
        matches!(self.0, Lookup::Leased(_))
    }

    pub(super) fn is_busy_with(&self, id: LeaseId) -> bool {
        matches!(self.0, Lookup::Busy(Some(other)) if other == id)
    }

    pub(super) fn shows(&self, value: &str) -> bool {
        matches!(&self.0, Lookup::Hit(entry) | Lookup::Stale(entry, _) if entry.value == value)
    }
}
