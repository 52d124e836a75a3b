//! Why a request is refused, and what its client is told: no more than a status.

use std::fmt;

use http::StatusCode;
use memstache_core::{Error, Result};

/// Why a request has no tenant. For logs and counters: its client gets a status, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// No source that counts says whose request it is. Default: 401 if there is a trusted source, else 400.
    Missing,
    /// A source holds what is no tenant's name, or holds it twice. Default: 400.
    Invalid,
    /// Two sources name different tenants. Default: 403.
    Conflict,
    /// There is no such tenant, or it may not use the service. Default: 403.
    Unknown,
}

impl Refusal {
    /// Every reason that there is today.
    pub(super) const ALL: [Self; 4] = [Self::Missing, Self::Invalid, Self::Conflict, Self::Unknown];

    /// Returns the reason's name in lower case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request does not say whose it is",
            Self::Invalid => "the request's tenant has a bad name",
            Self::Conflict => "the request names two tenants",
            Self::Unknown => "the request's tenant is not served here",
        })
    }
}

impl std::error::Error for Refusal {}

/// The status of a refusal: a client error (4xx), by type.
///
/// ```
/// use http::StatusCode;
/// use memstache_tenancy::RefusalStatus;
///
/// assert_eq!(RefusalStatus::new(StatusCode::NOT_FOUND)?, RefusalStatus::NOT_FOUND);
/// assert!(RefusalStatus::new(StatusCode::OK).is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefusalStatus(StatusCode);

impl RefusalStatus {
    /// 400.
    pub const BAD_REQUEST: Self = Self(StatusCode::BAD_REQUEST);
    /// 401; goes out with a challenge, see [`ResolverBuilder::challenge`](super::ResolverBuilder::challenge).
    pub const UNAUTHORIZED: Self = Self(StatusCode::UNAUTHORIZED);
    /// 403.
    pub const FORBIDDEN: Self = Self(StatusCode::FORBIDDEN);
    /// 404: who asks does not learn that there is something.
    pub const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND);
    /// 421: for hosts that are not served here.
    pub const MISDIRECTED_REQUEST: Self = Self(StatusCode::MISDIRECTED_REQUEST);

    /// Takes any status of 400 to 499 but 405, 407 and 426, which promise headers that nothing here can fill.
    ///
    /// # Errors
    /// [`Invalid`](memstache_core::ErrorKind::Invalid) for others.
    pub fn new(status: StatusCode) -> Result<Self> {
        if status.is_client_error() && !matches!(status.as_u16(), 405 | 407 | 426) {
            return Ok(Self(status));
        }
        Err(Error::invalid("status of a refusal", "400 to 499, but none of 405, 407 and 426", status.as_u16()))
    }

    /// Returns the status.
    pub const fn status(self) -> StatusCode {
        self.0
    }
}

impl TryFrom<StatusCode> for RefusalStatus {
    type Error = Error;

    fn try_from(status: StatusCode) -> Result<Self> {
        Self::new(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_client_errors() {
        for status in (100..1_000).filter_map(|status| StatusCode::from_u16(status).ok()) {
            let wanted = (400..500).contains(&status.as_u16()) && ![405, 407, 426].contains(&status.as_u16());
            assert_eq!(RefusalStatus::new(status).is_ok(), wanted, "{status}");
        }
        let error = RefusalStatus::try_from(StatusCode::BAD_GATEWAY).unwrap_err().to_string();
        assert_eq!(error, "status of a refusal must be 400 to 499, but none of 405, 407 and 426, but 502 was given");
    }

    #[test]
    fn reasons_have_names() {
        let names: Vec<_> = Refusal::ALL.into_iter().map(Refusal::as_str).collect();
        assert_eq!(names, ["missing", "invalid", "conflict", "unknown"]);
        assert_eq!(Refusal::Conflict.to_string(), "the request names two tenants");
    }
}
