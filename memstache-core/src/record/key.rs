//! Names of records that cannot be wrong, and of families of them.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// Longest key of a record, in bytes.
pub const MAX_RECORD_KEY: usize = 200;

/// The name of a record: 1 to 200 bytes, segments of `[A-Za-z0-9._-]` joined by `/`.
///
/// No segment is empty, `.` or `..`. Cheap to clone (one reference count). `Debug` shows its length only. A store of
/// files needs a file system that tells upper from lower case if keys differ by nothing else.
///
/// ```
/// use memstache_core::RecordKey;
///
/// let key: RecordKey = "tenants/acme/keys".parse()?;
/// assert_eq!(key.as_str(), "tenants/acme/keys");
/// assert!("tenants/../keys".parse::<RecordKey>().is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(Arc<str>);

impl RecordKey {
    /// Parses a key; anything else is [`Invalid`](crate::ErrorKind::Invalid).
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if text.is_empty() || text.len() > MAX_RECORD_KEY {
            let limit = format_args!("1 to {MAX_RECORD_KEY} bytes long");
            return Err(Error::invalid("record key", limit, format_args!("{} bytes", text.len())));
        }
        let mut at = 0;
        for segment in text.split('/') {
            check_segment(segment, at)?;
            at += segment.len() + 1;
        }
        Ok(Self(text.into()))
    }

    /// Returns the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_segment(segment: &str, at: usize) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let given = match segment.bytes().position(|byte| !good(byte)) {
        Some(bad) => format!("another character at byte {}", at + bad),
        None if segment.is_empty() => format!("an empty segment at byte {at}"),
        None if matches!(segment, "." | "..") => format!("a segment of nothing but dots at byte {at}"),
        None => return Ok(()),
    };
    Err(Error::invalid("record key", "made of segments of A-Z a-z 0-9 . _ - joined by /", given))
}

impl FromStr for RecordKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<&str> for RecordKey {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<String> for RecordKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl AsRef<str> for RecordKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({} bytes)", self.0.len())
    }
}

/// A family of records: all of them, or one key with everything below it.
///
/// Whole segments count, so what is asked of one tenant never touches another whose name begins alike.
///
/// ```
/// use memstache_core::{RecordKey, RecordPrefix};
///
/// let prefix = RecordPrefix::from(RecordKey::new("tenants/acme")?);
/// assert!(prefix.covers(&RecordKey::new("tenants/acme/keys")?));
/// assert!(!prefix.covers(&RecordKey::new("tenants/acme2/keys")?));
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecordPrefix(Option<RecordKey>);

impl RecordPrefix {
    /// All records.
    pub const ALL: Self = Self(None);

    /// Returns whether a record belongs to the family.
    pub fn covers(&self, key: &RecordKey) -> bool {
        let Some(prefix) = &self.0 else { return true };
        let below = key.as_str().strip_prefix(prefix.as_str());
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// Returns the key that it begins with; `None` for all records.
    pub fn key(&self) -> Option<&RecordKey> {
        self.0.as_ref()
    }
}

impl From<RecordKey> for RecordPrefix {
    fn from(key: RecordKey) -> Self {
        Self(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_named_and_the_text_is_not() {
        for (text, message) in [
            ("", "1 to 200 bytes long, but 0 bytes was given"),
            (&"x".repeat(201), "1 to 200 bytes long, but 201 bytes was given"),
            ("a/b c", "made of segments of A-Z a-z 0-9 . _ - joined by /, but another character at byte 3 was given"),
            ("a//b", "made of segments of A-Z a-z 0-9 . _ - joined by /, but an empty segment at byte 2 was given"),
            ("/a", "made of segments of A-Z a-z 0-9 . _ - joined by /, but an empty segment at byte 0 was given"),
            ("a/", "made of segments of A-Z a-z 0-9 . _ - joined by /, but an empty segment at byte 2 was given"),
            (
                "a/../b",
                "made of segments of A-Z a-z 0-9 . _ - joined by /, but a segment of nothing but dots at byte 2 was \
                 given",
            ),
        ] {
            assert_eq!(RecordKey::new(text).unwrap_err().to_string(), format!("record key must be {message}"));
        }
        assert!(RecordKey::new("a/.b/c..d/-_").is_ok());
        assert!(RecordKey::new("x".repeat(200)).is_ok());
    }

    #[test]
    fn prefixes_end_between_segments() {
        let key = |text| RecordKey::new(text).unwrap();
        let prefix = RecordPrefix::from(key("a/b"));
        assert!(prefix.covers(&key("a/b")) && prefix.covers(&key("a/b/c")));
        assert!(!prefix.covers(&key("a/bc")) && !prefix.covers(&key("a")) && !prefix.covers(&key("x/a/b")));
        assert!(RecordPrefix::ALL.covers(&key("x")));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "[a./\\\\ü]{0,8}") {
            if let Ok(key) = RecordKey::new(&text) {
                prop_assert_eq!(key.as_str(), &text);
                prop_assert!(text.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            }
        }
    }
}
