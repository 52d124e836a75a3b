//! The one error of the workspace: a kind, a detail, a source.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::version::Version;

/// A boxed error, as tower's erasing layers return it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A result with memstache's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for code that decides what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument or a setting is out of its limits; the message names field, limit and what was given.
    Invalid,
    /// A value is larger than the store can hold.
    TooLarge,
    /// The operation, or what was stored, needs something that this build or layer does not have.
    Unsupported,
    /// A stored value could not be opened: tampered, unknown key or format, another schema.
    Rejected,
    /// The key has no value, and its source says so.
    NotFound,
    /// The deadline of the call passed. A read can be repeated.
    Timeout,
    /// A write was cut off; it may or may not have happened.
    Unknown,
    /// The backend cannot be reached.
    Unavailable,
    /// The call was refused to protect something: a limit, a quota, a full queue.
    Overloaded,
    /// A write whose condition did not hold.
    Conflict,
    /// The loader returned an error; it is the [source](StdError::source).
    Load,
    /// The loader panicked or its task was torn down.
    LoadPanicked,
    /// A layer or store answered with something that does not belong to the question.
    Protocol,
    /// A file, socket or other part of the operating system failed.
    Io,
}

impl ErrorKind {
    /// Every kind that there is today.
    pub(crate) const ALL: &[Self] = &[
        Self::Invalid,
        Self::TooLarge,
        Self::Unsupported,
        Self::Rejected,
        Self::NotFound,
        Self::Timeout,
        Self::Unknown,
        Self::Unavailable,
        Self::Overloaded,
        Self::Conflict,
        Self::Load,
        Self::LoadPanicked,
        Self::Protocol,
        Self::Io,
    ];

    /// Returns the kind's name in lower case, as metrics and logs show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Conflict => "conflict",
            Self::Load => "load",
            Self::LoadPanicked => "load_panicked",
            Self::Protocol => "protocol",
            Self::Io => "io",
        }
    }

    const fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Overloaded | Self::Unknown)
    }
}

/// An error of the cache.
///
/// Cheap to clone (one reference count), because one failed load answers many callers. Its message carries neither key
/// names nor values; the source, if there is one, is the application's own.
#[derive(Clone)]
pub struct Error(Arc<Repr>);

#[derive(Clone)]
struct Repr {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    retryable: bool,
    retry_after: Option<Duration>,
    version: Option<Version>,
    effect: bool,
    above_store: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error with a detail that names no key and no value.
    pub fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Repr {
            kind,
            detail: detail.into(),
            retryable: kind.is_transient(),
            retry_after: None,
            version: None,
            effect: true,
            above_store: false,
            source: None,
        }))
    }

    /// Creates an [`ErrorKind::Invalid`] error: which field, what its limit is, what was given (a length or a kind).
    pub fn invalid(field: &str, limit: impl fmt::Display, given: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, format!("{field} must be {limit}, but {given} was given"))
    }

    /// Creates an [`ErrorKind::Rejected`] error for a stored value that cannot be opened.
    ///
    /// The version lets the caller ask again with `unless`, so that the reload happens under a lease.
    pub fn rejected(version: Version) -> Self {
        Self::new(ErrorKind::Rejected, "the stored value cannot be opened").with_version(version)
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    /// Adds the error that caused this one, in the allocation that it keeps.
    #[cfg(feature = "resilience")]
    pub(crate) fn with_shared_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(source);
        self
    }

    /// Adds the version of the stored value that the error is about.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        Arc::make_mut(&mut self.0).version = Some(version);
        self
    }

    /// Adds when the caller may try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        Arc::make_mut(&mut self.0).retry_after = Some(after);
        self
    }

    /// Says whether repeating the same idempotent call may help.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        Arc::make_mut(&mut self.0).retryable = retryable;
        self
    }

    /// Says that the call did nothing: nothing was written, and no lease was granted, so that none need be released.
    ///
    /// For what refuses calls before they are made, and for stores that know it.
    #[must_use]
    pub fn without_effect(mut self) -> Self {
        Arc::make_mut(&mut self.0).effect = false;
        self
    }

    /// Says that a layer above the store failed the call by itself: the store was not asked, and may be well.
    ///
    /// For layers that lack what they need, such as a key. What such a write was to store is kept nowhere, also not by a
    /// near cache that keeps what a store out of reach did not take: the store would be asked next, and know nothing of it.
    ///
    /// ```
    /// use memstache_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Unavailable, "there is no key to seal with").above_store();
    /// assert_eq!(error.kind(), ErrorKind::Unavailable);
    /// ```
    #[must_use]
    pub fn above_store(mut self) -> Self {
        Arc::make_mut(&mut self.0).above_store = true;
        self
    }

    /// Returns whether the call may have done something in spite of its error. Default: true.
    pub fn may_have_effect(&self) -> bool {
        self.0.effect
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether what was called is out of reach: it did not answer, or not in time.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        use ErrorKind::{Io, Timeout, Unavailable, Unknown};
        matches!(self.kind(), Unavailable | Timeout | Unknown | Io)
    }

    /// Returns whether the store was asked to write something, and is out of reach.
    pub(crate) fn is_store_out_of_reach(&self) -> bool {
        !self.0.above_store && self.is_out_of_reach()
    }

    /// Returns whether repeating the same idempotent call may help.
    ///
    /// Default: true for `Timeout`, `Unavailable`, `Overloaded` and `Unknown`.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Returns when the caller may try again, if the refusing part knows.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the version of the stored value that cannot be opened, for `Rejected` and `Unsupported`.
    pub fn version(&self) -> Option<Version> {
        self.0.version
    }

    /// Looks for an error of the application's own type in the chain of sources.
    ///
    /// ```
    /// use memstache_core::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Load, "the loader failed").with_source(std::fmt::Error);
    /// assert!(error.find_source::<std::fmt::Error>().is_some());
    /// ```
    pub fn find_source<E: StdError + 'static>(&self) -> Option<&E> {
        let mut next = self.source();
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("detail", &self.0.detail).field("retryable", &self.0.retryable);
        if let Some(after) = self.0.retry_after {
            out.field("retry_after", &after);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// Finds memstache's own error again in what tower's erasing layers return, however deep it was wrapped.
///
/// What tower's load shedding and timeout say of themselves becomes [`ErrorKind::Overloaded`] and
/// [`ErrorKind::Timeout`]; anything else [`ErrorKind::Unavailable`], with the original as its source.
impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return *own,
            Err(error) => error,
        };
        let mut next: Option<&(dyn StdError + 'static)> = Some(&*error);
        while let Some(source) = next {
            if let Some(own) = source.downcast_ref::<Self>() {
                return own.clone();
            }
            if source.is::<tower::load_shed::error::Overloaded>() {
                return Self::new(ErrorKind::Overloaded, "the stack is at its limit");
            }
            if source.is::<tower::timeout::error::Elapsed>() {
                return Self::new(ErrorKind::Timeout, "an attempt did not end in time");
            }
            next = source.source();
        }
        Self::new(ErrorKind::Unavailable, "a layer of the stack failed").with_source(error)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("input or output failed: {}", error.kind())).with_source(error)
    }
}

/// One error for all that is wrong.
pub(crate) fn all_of(wrong: &[Error]) -> Result<()> {
    match wrong {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => {
            let lines: Vec<String> = many.iter().map(ToString::to_string).collect();
            Err(Error::new(ErrorKind::Invalid, lines.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(Error);
    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn own_error_survives_boxing_and_wrapping() {
        let own = Error::new(ErrorKind::Conflict, "x");
        assert_eq!(Error::from(Box::new(own.clone()) as BoxError).kind(), ErrorKind::Conflict);
        assert_eq!(Error::from(Box::new(Wrapped(own)) as BoxError).kind(), ErrorKind::Conflict);
    }

    #[test]
    fn foreign_error_is_unavailable_and_kept_as_source() {
        let error = Error::from(Box::new(fmt::Error) as BoxError);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.find_source::<fmt::Error>().is_some());
        assert!(error.is_retryable());
    }

    #[test]
    fn towers_own_errors_have_kinds() {
        let shed: BoxError = Box::new(tower::load_shed::error::Overloaded::new());
        assert_eq!(Error::from(shed).kind(), ErrorKind::Overloaded);
        let late: BoxError = Box::new(tower::timeout::error::Elapsed::new());
        assert_eq!(Error::from(late).kind(), ErrorKind::Timeout);
    }

    #[test]
    fn one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
