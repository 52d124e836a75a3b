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
    /// [`LoadPanicked`](ErrorKind::LoadPanicked).
    ///
    /// ```
    /// use memstache_core::{Error, ErrorKind, resilience::Verdict};
    ///
    /// assert_eq!(Verdict::of(&Error::new(ErrorKind::Unavailable, "gone")), Verdict::Failure);
    /// assert_eq!(Verdict::of(&Error::new(ErrorKind::NotFound, "no such key")), Verdict::Success);
    /// assert_eq!(Verdict::of(&Error::new(ErrorKind::Overloaded, "a limit")), Verdict::Ignored);
    /// ```
    pub fn of(error: &Error) -> Self {
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
