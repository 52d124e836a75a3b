//! Names that cannot be wrong: tenants, keyspaces, tags.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// Longest tenant or keyspace name, in bytes.
pub const MAX_LABEL: usize = 64;

/// Longest tag, in bytes.
pub const MAX_TAG: usize = 128;

pub(crate) fn label(field: &'static str, text: &str) -> Result<Arc<str>> {
    if text.is_empty() || text.len() > MAX_LABEL {
        return Err(Error::invalid(
            field,
            format_args!("1 to {MAX_LABEL} bytes long"),
            format_args!("{} bytes", text.len()),
        ));
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match text.bytes().position(|byte| !good(byte)) {
        None => Ok(text.into()),
        Some(at) => {
            Err(Error::invalid(field, "made of A-Z a-z 0-9 . _ -", format_args!("another character at byte {at}")))
        }
    }
}

macro_rules! name_type {
    ($name:ident, $field:literal, $parse:expr, $doc:literal, $example:literal) => {
        #[doc = $doc]
        #[doc = ""]
        #[doc = "Cheap to clone (one reference count). `Debug` shows its length only."]
        #[doc = ""]
        #[doc = "```"]
        #[doc = concat!("use memstache_core::", stringify!($name), ";")]
        #[doc = ""]
        #[doc = concat!("let name: ", stringify!($name), " = \"", $example, "\".parse()?;")]
        #[doc = concat!("assert_eq!(name.as_str(), \"", $example, "\");")]
        #[doc = concat!("assert!(\"\".parse::<", stringify!($name), ">().is_err());")]
        #[doc = "# Ok::<(), memstache_core::Error>(())"]
        #[doc = "```"]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Parses a ", $field, " name.")]
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                $parse($field, text.as_ref()).map(Self)
            }

            /// Returns the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({} bytes)", stringify!($name), self.0.len())
            }
        }
    };
}

name_type!(TenantId, "tenant", label, "Who an entry belongs to: 1 to 64 bytes of `[A-Za-z0-9._-]`.", "acme");
name_type!(KeyspaceName, "keyspace", label, "A family of keys: 1 to 64 bytes of `[A-Za-z0-9._-]`.", "products");
name_type!(Tag, "tag", tag, "A label by which entries are invalidated together: 1 to 128 bytes of UTF-8.", "shop:7");

fn tag(field: &'static str, text: &str) -> Result<Arc<str>> {
    if text.is_empty() || text.len() > MAX_TAG {
        return Err(Error::invalid(
            field,
            format_args!("1 to {MAX_TAG} bytes long"),
            format_args!("{} bytes", text.len()),
        ));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named_and_the_text_is_not() {
        let long = "secret".repeat(20);
        let error = TenantId::new(&long).unwrap_err().to_string();
        assert_eq!(error, "tenant must be 1 to 64 bytes long, but 120 bytes was given");
        let error = KeyspaceName::new("a:b").unwrap_err().to_string();
        assert_eq!(error, "keyspace must be made of A-Z a-z 0-9 . _ -, but another character at byte 1 was given");
        assert!(Tag::new("x".repeat(129)).is_err());
        assert!(Tag::new("ü:1").is_ok());
        assert_eq!(format!("{:?}", TenantId::new("acme").unwrap()), "TenantId(4 bytes)");
    }
}
