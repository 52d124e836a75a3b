//! Names of secrets and keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// A name within a vault: 1 to 127 of `0-9 a-z A-Z -`; case is kept but makes no difference.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Name(String);

impl Name {
    pub(super) const MAX: usize = 127;

    pub(super) fn new(text: &str) -> Result<Self, Failure> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || text.len() > Self::MAX {
            return Err(Failure::field("the name", "1 to 127 characters long", format_args!("{} bytes", text.len())));
        }
        match text.bytes().position(|byte| !allowed(byte)) {
            Some(at) => Err(Failure::field(
                "the name",
                "made of 0-9, a-z, A-Z and -",
                format_args!("another character at byte {at}"),
            )),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// What names are compared and sorted by.
    pub(super) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).map_err(|_| "not a name of a secret or key")
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(Name::new("Ab-9").unwrap().folded(), "ab-9");
        assert!(Name::new(&"a".repeat(127)).is_ok());
        for wrong in ["", "a_b", "a.b", "ä", "a b", "%41", &"a".repeat(128)] {
            assert_eq!(Name::new(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_too() {
        assert!(serde_json::from_str::<Name>("\"a_b\"").is_err());
        assert_eq!(serde_json::from_str::<Name>("\"a-b\"").unwrap().to_string(), "a-b");
    }
}
