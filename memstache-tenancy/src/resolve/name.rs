//! What a source says of a request.

use std::borrow::Cow;

use memstache_core::MAX_LABEL;

/// Longest label of a host name, in bytes (RFC 1035, section 2.3.4).
pub(super) const MAX_HOST_LABEL: usize = 63;

/// The answer of one source.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// The request does not hold what the source looks for.
    Silent,
    Named(Name<'a>),
    /// The request holds it, and it is no tenant's name.
    Bad,
}

impl<'a> Answer<'a> {
    /// Judges what a source has found.
    pub(super) fn of(found: impl Into<Cow<'a, str>>) -> Self {
        let found = found.into();
        if is_name(&found) { Self::Named(Name::Given(found)) } else { Self::Bad }
    }

    /// Judges one label of a host name, whose case means nothing (RFC 9110, section 4.2.3).
    pub(super) fn of_label(label: &'a str) -> Self {
        if label.len() > MAX_HOST_LABEL || label.contains('.') || !is_name(label) {
            return Self::Bad;
        }
        if !label.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Self::Named(Name::Given(label.into()));
        }
        let mut bytes = [0; MAX_HOST_LABEL];
        bytes[..label.len()].copy_from_slice(label.as_bytes());
        bytes.make_ascii_lowercase();
        Self::Named(Name::Folded { bytes, len: label.len() })
    }
}

/// A good name; the request's own bytes wherever that can be, so that nothing is allocated to compare two.
#[derive(Debug)]
pub(super) enum Name<'a> {
    Given(Cow<'a, str>),
    Folded { bytes: [u8; MAX_HOST_LABEL], len: usize },
}

impl Name<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Folded { bytes, len } => std::str::from_utf8(&bytes[..*len]).expect("a good name is ASCII"),
        }
    }
}

/// Whether [`TenantId::new`](memstache_core::TenantId::new) takes it; unlike that, this allocates no error.
fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use memstache_core::TenantId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_what_the_core_takes(text in prop_oneof!["[A-Za-z0-9._-]{0,70}", ".{0,70}"]) {
            prop_assert_eq!(is_name(&text), TenantId::new(&text).is_ok());
        }

        #[test]
        fn labels_are_folded(label in "[A-Za-z0-9_-]{1,63}") {
            let Answer::Named(name) = Answer::of_label(&label) else { panic!("a good label") };
            prop_assert_eq!(name.as_str(), label.to_ascii_lowercase());
        }
    }

    #[test]
    fn labels_are_shorter_than_names_and_have_no_dots() {
        let (most, more) = ("a".repeat(63), "a".repeat(64));
        assert!(matches!(Answer::of_label(&most), Answer::Named(_)));
        assert!(matches!(Answer::of_label(&more), Answer::Bad));
        assert!(matches!(Answer::of(more), Answer::Named(_)));
        assert!(matches!(Answer::of_label("a.b"), Answer::Bad));
    }
}
