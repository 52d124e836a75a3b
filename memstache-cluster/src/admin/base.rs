//! The path that all others begin with.

use std::fmt;

use memstache_core::{Error, Result};

/// Longest base path, in bytes.
const MAX_BASE: usize = 128;

/// A base path: empty for the root, else with a `/` at its beginning and none at its end.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BasePath(String);

impl BasePath {
    /// Checks a path: segments of `[A-Za-z0-9._~-]`, none of them `.` or `..`; a `/` at either end makes no difference.
    pub(super) fn new(path: &str) -> Result<Self> {
        let wrong = |given: &dyn fmt::Display| {
            let limit = format_args!("at most {MAX_BASE} bytes of segments of [A-Za-z0-9._~-]");
            Err(Error::invalid("base_path", limit, given))
        };
        if path.len() > MAX_BASE {
            return wrong(&format_args!("{} bytes", path.len()));
        }
        let trimmed = path.trim_matches('/');
        if trimmed.is_empty() {
            return Ok(Self(String::new()));
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(good);
        match trimmed.split('/').find(|part| !segment(part)) {
            Some(part) => wrong(&format_args!("a segment {part:?}")),
            None => Ok(Self(format!("/{trimmed}"))),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a path below it; `below` begins with a `/`.
    pub(super) fn join(&self, below: &str) -> String {
        [&self.0, below].concat()
    }

    /// Returns what follows it in a path.
    pub(super) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.0)
    }
}

impl fmt::Debug for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_ends_make_no_difference() {
        for (given, is) in [("/_a/b", "/_a/b"), ("a", "/a"), ("a/b/", "/a/b"), ("/", ""), ("", "")] {
            assert_eq!(BasePath::new(given).unwrap().as_str(), is, "{given}");
        }
        assert_eq!(BasePath::new("a").unwrap().join("/peers"), "/a/peers");
    }

    #[test]
    fn what_is_no_path_is_named() {
        for wrong in ["/a//b", "/a b", "/{a}", "/a/../b", "/a/.", "/a%20b", "/ü", "/a*"] {
            let error = BasePath::new(wrong).unwrap_err().to_string();
            assert!(error.starts_with("base_path must be at most 128 bytes of segments"), "{wrong}: {error}");
        }
        assert!(BasePath::new(&"a".repeat(129)).unwrap_err().to_string().contains("129 bytes"));
    }
}
