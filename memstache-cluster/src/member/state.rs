//! What a node says about itself.

use std::fmt;

/// Whether a node owns keys; it says so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MemberState {
    /// It is there, and owns nothing yet.
    #[default]
    Joining,
    /// It owns its share.
    Active,
    /// It is about to leave: it owns nothing any more, and still answers.
    Draining,
}

impl MemberState {
    /// Returns the state's name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
