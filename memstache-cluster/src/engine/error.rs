//! What the engine itself has against a call.

use std::fmt;

use memstache_core::{Error, ErrorKind};

/// Why an engine refused a call; the [source](Error::find_source) of the error that says so.
///
/// ```
/// use memstache_cluster::{Engine, EngineError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
/// let engine = Engine::builder().build()?;
/// let error = engine.get("products", "7").await.unwrap_err();
/// assert_eq!(error.find_source::<EngineError>(), Some(&EngineError::NotStarted));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine was not started yet, or its start failed.
    NotStarted,
    /// The engine was stopped, or is stopping.
    Stopped,
    /// There is no keyspace of this name.
    KeyspaceNotFound,
    /// There is a keyspace of this name already.
    KeyspaceExists,
    /// As many keyspaces as there may be.
    TooManyKeyspaces,
    /// Fewer members were found in time than the quorum asks for.
    ClusterQuorum,
}

impl EngineError {
    const fn text(self) -> &'static str {
        match self {
            Self::NotStarted => "the engine was not started",
            Self::Stopped => "the engine was stopped",
            Self::KeyspaceNotFound => "there is no keyspace of this name",
            Self::KeyspaceExists => "there is a keyspace of this name already",
            Self::TooManyKeyspaces => "there are as many keyspaces as there may be",
            Self::ClusterQuorum => "fewer members were found than the quorum asks for",
        }
    }

    const fn kind(self) -> ErrorKind {
        match self {
            Self::NotStarted | Self::Stopped | Self::ClusterQuorum => ErrorKind::Unavailable,
            Self::KeyspaceNotFound | Self::TooManyKeyspaces => ErrorKind::Invalid,
            Self::KeyspaceExists => ErrorKind::Conflict,
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for EngineError {}

/// An error that nothing was done by; repeating the call would not help.
impl From<EngineError> for Error {
    fn from(refused: EngineError) -> Self {
        Self::new(refused.kind(), refused.text()).with_retryable(false).without_effect().with_source(refused)
    }
}
