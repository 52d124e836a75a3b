//! Why a stored value was not opened: for counters and traces, never for callers.

/// Why a stored value was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// It does not begin as a sealed value does.
    Magic,
    /// It has another version of the layout.
    Version,
    /// Its suite is unknown, or not one that its key may be used with.
    Suite,
    /// It has flags that this version does not know.
    Flags,
    /// It is too short for what its header says, or longer than is read.
    Length,
    /// Its key is unknown.
    KeyUnknown,
    /// Its key's time is over.
    KeyRetired,
    /// Its key was withdrawn.
    KeyRevoked,
    /// Its key cannot be fetched.
    KeyUnavailable,
    /// It was sealed under another key with the same id.
    Commitment,
    /// It was changed, moved, or sealed under another key.
    Tag,
    /// What it says inside about itself is nothing that this version knows.
    Inner,
    /// Its deadline passed.
    Expired,
    /// It is of an earlier generation.
    Generation,
    /// It is not sealed where it must be.
    Downgrade,
}

impl Reason {
    pub(crate) const ALL: [Self; 15] = [
        Self::Magic,
        Self::Version,
        Self::Suite,
        Self::Flags,
        Self::Length,
        Self::KeyUnknown,
        Self::KeyRetired,
        Self::KeyRevoked,
        Self::KeyUnavailable,
        Self::Commitment,
        Self::Tag,
        Self::Inner,
        Self::Expired,
        Self::Generation,
        Self::Downgrade,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::Version => "version",
            Self::Suite => "suite",
            Self::Flags => "flags",
            Self::Length => "length",
            Self::KeyUnknown => "key_unknown",
            Self::KeyRetired => "key_retired",
            Self::KeyRevoked => "key_revoked",
            Self::KeyUnavailable => "key_unavailable",
            Self::Commitment => "commitment",
            Self::Tag => "tag",
            Self::Inner => "inner",
            Self::Expired => "expired",
            Self::Generation => "generation",
            Self::Downgrade => "downgrade",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_at_its_place() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "{}", reason.as_str());
        }
    }
}
