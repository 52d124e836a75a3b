//! Why a data source was not asked, in a form that crosses the wire.

use std::fmt;

/// Why a load was refused or given up; the [source](memstache_core::Error::find_source) of the error that says so.
///
/// It keeps its identity when a peer says it.
///
/// ```
/// use memstache_cluster::DataSourceError;
/// use memstache_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Overloaded, "the data source is at its rate limit")
///     .with_source(DataSourceError::RateLimited);
/// assert_eq!(error.find_source::<DataSourceError>(), Some(&DataSourceError::RateLimited));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataSourceError {
    /// The keyspace's rate limiter did not let it through.
    RateLimited,
    /// The keyspace's circuit breaker is open.
    CircuitOpen,
    /// The data source did not answer in time.
    DeadlineExceeded,
}

impl fmt::Display for DataSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RateLimited => "the data source is rate limited",
            Self::CircuitOpen => "the circuit breaker of the data source is open",
            Self::DeadlineExceeded => "the data source did not answer before the deadline",
        })
    }
}

impl std::error::Error for DataSourceError {}
