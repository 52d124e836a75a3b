//! Names of nodes and zones.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

use memstache_core::{Error, Result};

/// Longest name of a node, in bytes.
pub const MAX_NODE_NAME: usize = 128;

/// Longest name of a zone, in bytes.
pub const MAX_ZONE: usize = 64;

/// Checks a label: printable, so that it can stand in logs and tables as it is.
fn label(field: &'static str, max: usize, text: &str) -> Result<Arc<str>> {
    if text.is_empty() || text.len() > max {
        let given = format_args!("{} bytes", text.len());
        return Err(Error::invalid(field, format_args!("1 to {max} bytes long"), given));
    }
    match text.bytes().position(|byte| !byte.is_ascii_graphic()) {
        None => Ok(text.into()),
        Some(at) => {
            let given = format_args!("another character at byte {at}");
            Err(Error::invalid(field, "made of visible ASCII characters", given))
        }
    }
}

macro_rules! label_type {
    ($name:ident, $field:literal, $max:expr, $example:literal, $($doc:literal)+) => {
        $(#[doc = $doc])+
        #[doc = ""]
        #[doc = "Cheap to clone (one reference count)."]
        #[doc = ""]
        #[doc = "```"]
        #[doc = concat!("use memstache_cluster::", stringify!($name), ";")]
        #[doc = ""]
        #[doc = concat!("let name: ", stringify!($name), " = \"", $example, "\".parse()?;")]
        #[doc = concat!("assert_eq!(name.as_str(), \"", $example, "\");")]
        #[doc = concat!("assert!(\"a b\".parse::<", stringify!($name), ">().is_err());")]
        #[doc = "# Ok::<(), memstache_core::Error>(())"]
        #[doc = "```"]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Parses the name of a ", $field, ".")]
            #[doc = ""]
            #[doc = "Errors: `Invalid` if it is empty, too long or has characters that cannot be seen."]
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                label($field, $max, text.as_ref()).map(Self)
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

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

label_type!(
    NodeName, "node name", MAX_NODE_NAME, "cache-0.cache",
    "The name of a node, unique in its cluster: 1 to 128 visible ASCII characters."
    ""
    "A name outlives restarts; of two running nodes with one name, the one that started last is the member."
);
label_type!(
    Zone,
    "zone",
    MAX_ZONE,
    "eu-west-1a",
    "Where a node stands (a data centre, a rack): 1 to 64 visible ASCII characters."
);

impl From<SocketAddr> for NodeName {
    /// The address as text: the name of a node that was given none.
    fn from(address: SocketAddr) -> Self {
        // A scope is a number and a flow label is not shown: at most 58 characters.
        Self(address.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named() {
        assert_eq!(
            NodeName::new("x".repeat(129)).unwrap_err().to_string(),
            "node name must be 1 to 128 bytes long, but 129 bytes was given"
        );
        assert_eq!(
            Zone::new("a\n").unwrap_err().to_string(),
            "zone must be made of visible ASCII characters, but another character at byte 1 was given"
        );
        assert!(Zone::new("").is_err() && Zone::new("x".repeat(64)).is_ok() && Zone::new("ü").is_err());
    }

    #[test]
    fn every_address_is_a_name() {
        for address in ["1.2.3.4:5", "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535", "[::]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let name = NodeName::from(address);
            assert_eq!(NodeName::new(name.as_str()).unwrap(), name, "{address}");
        }
    }
}
