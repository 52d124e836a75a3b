//! Errors: kind, text and what a caller decides by; never a source, but what a data source was not asked for.

use std::error::Error as _;

use memstache_core::{Error, ErrorKind, Result, Version};

use super::super::{
    cause::DataSourceError,
    names::text,
    reader::{Reader, malformed},
    writer::{Writer, cut},
};

/// Longest text that crosses.
const MAX_TEXT: usize = 255;

/// What the flag byte says.
mod flags {
    pub(super) const RETRYABLE: u8 = 1;
    pub(super) const RETRY_AFTER: u8 = 1 << 1;
    pub(super) const VERSION: u8 = 1 << 2;
    pub(super) const NO_EFFECT: u8 = 1 << 3;
    pub(super) const CAUSE: u8 = 1 << 4;
    pub(super) const KNOWN: u8 = (1 << 5) - 1;
}

/// The numbers of the kinds; they never change.
const KINDS: [(ErrorKind, u8); 14] = [
    (ErrorKind::Invalid, 1),
    (ErrorKind::TooLarge, 2),
    (ErrorKind::Unsupported, 3),
    (ErrorKind::Rejected, 4),
    (ErrorKind::NotFound, 5),
    (ErrorKind::Timeout, 6),
    (ErrorKind::Unknown, 7),
    (ErrorKind::Unavailable, 8),
    (ErrorKind::Overloaded, 9),
    (ErrorKind::Conflict, 10),
    (ErrorKind::Load, 11),
    (ErrorKind::LoadPanicked, 12),
    (ErrorKind::Protocol, 13),
    (ErrorKind::Io, 14),
];

const CAUSES: [(DataSourceError, u8); 3] =
    [(DataSourceError::RateLimited, 1), (DataSourceError::CircuitOpen, 2), (DataSourceError::DeadlineExceeded, 3)];

// Error:
//   1  kind
//   1  flags
//   v  when to try again, ms               only under RETRY_AFTER
//   v  version                             only under VERSION
//   1  cause                               only under CAUSE
//   1  length, n text
pub(super) fn put(w: &mut Writer<'_, '_>, error: &Error) {
    // A kind that is newer than this build is told as what it is at least: something that did not go well.
    let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind()).map_or(8, |(_, code)| *code);
    let cause = error.find_source::<DataSourceError>();
    let cause = CAUSES.iter().find(|(known, _)| Some(known) == cause).map(|(_, code)| *code);
    let flags = [
        (flags::RETRYABLE, error.is_retryable()),
        (flags::RETRY_AFTER, error.retry_after().is_some()),
        (flags::VERSION, error.version().is_some()),
        (flags::NO_EFFECT, !error.may_have_effect()),
        (flags::CAUSE, cause.is_some()),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set).fold(0, |all, (flag, _)| all | flag);
    w.out.put(&[kind, flags]);
    if let Some(after) = error.retry_after() {
        w.span(after);
    }
    if let Some(version) = error.version() {
        w.out.number(version.0);
    }
    if let Some(cause) = cause {
        w.out.byte(cause);
    }
    let text = error.to_string();
    w.short(cut(&text, MAX_TEXT));
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Error> {
    let [kind, flags] = r.array()?;
    let has = |flag| flags & flag != 0;
    let known = KINDS.iter().find(|(_, code)| *code == kind).filter(|_| flags & !flags::KNOWN == 0);
    let (kind, _) = known.ok_or_else(|| malformed("an error"))?;
    let after = if has(flags::RETRY_AFTER) { Some(r.span()?) } else { None };
    let version = if has(flags::VERSION) { Some(Version(r.number()?)) } else { None };
    let cause = if has(flags::CAUSE) { Some(cause(r.byte()?)?) } else { None };
    let len = usize::from(r.byte()?);
    let mut error = Error::new(*kind, text(r.slice(len)?)?.to_owned()).with_retryable(has(flags::RETRYABLE));
    if let Some(after) = after {
        error = error.with_retry_after(after);
    }
    if let Some(version) = version {
        error = error.with_version(version);
    }
    if has(flags::NO_EFFECT) {
        error = error.without_effect();
    }
    if let Some(cause) = cause {
        error = error.with_source(cause);
    }
    debug_assert!(error.source().is_some() == cause.is_some(), "nothing else has a source");
    Ok(error)
}

fn cause(code: u8) -> Result<DataSourceError> {
    let known = CAUSES.iter().find(|(_, known)| *known == code);
    known.map(|(cause, _)| *cause).ok_or_else(|| malformed("an error's cause"))
}
