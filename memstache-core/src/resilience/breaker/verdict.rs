use crate::error::{Error, ErrorKind};

/// What a call says about the health of what was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It answered; a miss, a refused condition and a value that cannot be opened are answers.
    Success,
    /// It did not answer, or not in time.
    Failure,
    /// Nothing was learnt: the caller left, or the request was wrong or refused before it got there.
    Ignored,
}

impl Verdict {
    /// Judges an error by its kind.
    ///
    /// Failures are [`Timeout`](ErrorKind::Timeout), [`Unknown`](ErrorKind::Unknown),
    /// [`Unavailable`](ErrorKind::Unavailable), [`Io`](ErrorKind::Io), [`Load`](ErrorKind::Load) and
    /// [`LoadPanicked`](ErrorKind::LoadPanicked). A loader that failed with an [`Error`] of memstache's own is judged by that
    /// one: that a key is `NotFound` is an answer of its source, and `Overloaded` or `Invalid` says nothing. For errors of your
    /// own that are no failures, see [`CircuitBreaker::with_judge`](super::CircuitBreaker::with_judge).
    ///
    /// ```
    /// use memstache_core::{Error, ErrorKind, resilience::Verdict};
    ///
    /// assert_eq!(Verdict::of(&Error::new(ErrorKind::Unavailable, "gone")), Verdict::Failure);
    /// assert_eq!(Verdict::of(&Error::new(ErrorKind::NotFound, "no such key")), Verdict::Success);
    /// assert_eq!(Verdict::of(&Error::new(ErrorKind::Overloaded, "a limit")), Verdict::Ignored);
    /// let by_loader = Error::new(ErrorKind::Load, "failed").with_source(Error::new(ErrorKind::NotFound, "no such key"));
    /// assert_eq!(Verdict::of(&by_loader), Verdict::Success);
    /// ```
    pub fn of(error: &Error) -> Self {
        if let (ErrorKind::Load, Some(own)) = (error.kind(), error.find_source::<Error>()) {
            return Self::of(own);
        }
        match error.kind() {
            ErrorKind::Timeout
            | ErrorKind::Unknown
            | ErrorKind::Unavailable
            | ErrorKind::Io
            | ErrorKind::Load
            | ErrorKind::LoadPanicked => Self::Failure,
            ErrorKind::NotFound | ErrorKind::Rejected | ErrorKind::Conflict => Self::Success,
            ErrorKind::Invalid
            | ErrorKind::TooLarge
            | ErrorKind::Unsupported
            | ErrorKind::Overloaded
            | ErrorKind::Protocol => Self::Ignored,
        }
    }
}
