//! Everything that is wrong with a configuration, told at once.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// All that is wrong with a configuration: a hundred problems, and how many more.
///
/// `Display` has a line for each problem: the setting's path, its limits, what was given unless it is a secret, and from
/// which file or variable that came.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError(Problems);

/// Most problems that are told one by one.
const MOST_TOLD: usize = 100;

/// Problems: the first of them, and how many there were beside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Problems {
    told: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.told.push(problem);
        }
    }

    /// Returns whether further ones are only counted.
    pub(super) const fn is_full(&self) -> bool {
        self.told.len() >= MOST_TOLD
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Returns whether something was told of a setting.
    pub(super) fn has(&self, path: &str) -> bool {
        self.told.iter().any(|problem| problem.path == path)
    }

    /// Returns those that are told.
    pub(super) fn into_told(self) -> Vec<Problem> {
        self.told
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { told: vec![problem], more: 0 }
    }
}

impl ConfigError {
    pub(super) fn new(problems: impl Into<Problems>) -> Self {
        Self(problems.into())
    }

    /// Returns what is wrong, in the order in which the settings are read: the first hundred.
    pub fn problems(&self) -> &[Problem] {
        &self.0.told
    }

    /// Returns how many more there are than [`problems`](Self::problems) tells.
    pub const fn more(&self) -> usize {
        self.0.more
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.more();
        match self.problems() {
            [one] => write!(f, "the configuration is wrong: {one}"),
            many => {
                write!(f, "the configuration is wrong in {} places", many.len() + more)?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))?;
                if more == 0 { Ok(()) } else { write!(f, "\n  and {more} more") }
            }
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.problems().iter().map(ToString::to_string)).finish()
    }
}

impl std::error::Error for ConfigError {}

/// Of kind [`Invalid`](ErrorKind::Invalid), with all problems in its message.
impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

/// One thing that is wrong with a configuration, or [without effect](super::Configured::warnings).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where: `backend.max_bytes`; a source's name if it could not be read. Long names are cut off.
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
