//! What can go wrong with a vault.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use memstache_core::{BoxError, Error, ErrorKind};

/// What a vault's failure means for the keys that it protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// It cannot be reached, or failed by itself. Keys at hand stay in use.
    Unavailable,
    /// It answers that there were too many calls. Keys at hand stay in use.
    Throttled,
    /// It refuses the caller: a matter of configuration. Keys at hand stay in use.
    Forbidden,
    /// It does not have the master key, or not this version. Keys at hand stay in use.
    NotFound,
    /// The master key was disabled on purpose. Keys at hand are dropped at once.
    Disabled,
    /// What was given cannot be unwrapped, or is out of its limits. Keys at hand stay in use.
    Invalid,
    /// The provider cannot do this at all.
    Unsupported,
}

impl ProviderErrorKind {
    /// Returns the kind's name in lower case, as metrics and logs show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Disabled => "disabled",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
        }
    }
}

/// An error of a [`KeyProvider`](crate::KeyProvider): its kind decides what becomes of the keys.
///
/// The message names neither keys nor secrets, and `Debug` does not show the source, which is the provider's own and may
/// say more, such as the address that was asked.
///
/// ```
/// use std::time::Duration;
/// use memstache_crypto::{ProviderError, ProviderErrorKind};
///
/// let error = ProviderError::new(ProviderErrorKind::Throttled, "too many calls")
///     .with_retry_after(Duration::from_secs(10));
/// assert_eq!(error.to_string(), "the key provider failed (throttled): too many calls");
/// ```
#[derive(Clone)]
pub struct ProviderError {
    kind: ProviderErrorKind,
    detail: String,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ProviderError {
    /// Creates an error with a detail that holds no secret and no name of a key.
    pub fn new(kind: ProviderErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, source: None }
    }

    /// Adds when to call again at the earliest.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ProviderErrorKind {
        self.kind
    }

    /// Returns when to call again at the earliest, if the vault said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key provider failed ({}): {}", self.kind.as_str(), self.detail)
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ProviderError");
        out.field("kind", &self.kind).field("detail", &self.detail).field("retry_after", &self.retry_after);
        out.finish_non_exhaustive()
    }
}

impl StdError for ProviderError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        let kind = match error.kind {
            ProviderErrorKind::Throttled => ErrorKind::Overloaded,
            ProviderErrorKind::NotFound => ErrorKind::NotFound,
            ProviderErrorKind::Invalid => ErrorKind::Rejected,
            ProviderErrorKind::Unsupported => ErrorKind::Unsupported,
            ProviderErrorKind::Unavailable | ProviderErrorKind::Forbidden | ProviderErrorKind::Disabled => {
                ErrorKind::Unavailable
            }
        };
        let after = error.retry_after;
        // With what the provider says: the kind alone leaves an operator at a loss.
        let out = Self::new(kind, error.to_string()).with_source(error);
        after.map_or_else(|| out.clone(), |after| out.clone().with_retry_after(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_the_source_is_kept() {
        for (kind, expected) in [
            (ProviderErrorKind::Unavailable, ErrorKind::Unavailable),
            (ProviderErrorKind::Throttled, ErrorKind::Overloaded),
            (ProviderErrorKind::Forbidden, ErrorKind::Unavailable),
            (ProviderErrorKind::NotFound, ErrorKind::NotFound),
            (ProviderErrorKind::Disabled, ErrorKind::Unavailable),
            (ProviderErrorKind::Invalid, ErrorKind::Rejected),
            (ProviderErrorKind::Unsupported, ErrorKind::Unsupported),
        ] {
            let after = Duration::from_secs(3);
            let error = ProviderError::new(kind, "detail").with_source(fmt::Error).with_retry_after(after);
            let error = Error::from(error);
            assert_eq!((error.kind(), error.retry_after()), (expected, Some(after)));
            assert_eq!(error.to_string(), format!("the key provider failed ({}): detail", kind.as_str()));
            assert!(!format!("{error:?}").contains("source: Some"), "the source may say what it likes");
            assert_eq!(error.find_source::<ProviderError>().map(ProviderError::kind), Some(kind));
            assert!(error.find_source::<fmt::Error>().is_some());
        }
        assert_eq!(Error::from(ProviderError::new(ProviderErrorKind::Invalid, "")).retry_after(), None);
    }
}
