//! Everything that is wrong with a configuration, told at once.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// All that is wrong with a configuration.
///
/// `Display` has a line for each problem: the setting's path, its limits, what was given unless it is a secret, and from
/// which file or variable that came.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) const fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Returns what is wrong, in the order in which the settings are read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => write!(f, "the configuration is wrong: {one}"),
            many => {
                write!(f, "the configuration is wrong in {} places", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.problems.iter().map(ToString::to_string)).finish()
    }
}

impl std::error::Error for ConfigError {}

/// Of kind [`Invalid`](ErrorKind::Invalid), with all problems in its message.
impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where: `backend.max_bytes`; a source's name if it could not be read.
    pub path: String,
    /// What is wrong, with what is allowed, and with what was given unless that is a secret.
    pub message: String,
    /// The file, the environment variable or the place in the code from which the value came.
    pub source: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.message)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}
