//! Whom keys are for, and what they do.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use hashbrown::Equivalent;
use memstache_core::{Error, KeyspaceName, Result, TenantId};

/// Longest name of a class or an environment, in bytes.
pub const MAX_KEY_LABEL: usize = 32;

/// A family of keyspaces that share derived keys: 1 to 32 bytes of `[A-Za-z0-9._-]`.
///
/// Default: `default`, the class of every keyspace that was not given another.
///
/// ```
/// use memstache_crypto::KeyClass;
///
/// let class: KeyClass = "payments".parse()?;
/// assert_eq!(class.as_str(), "payments");
/// assert!("pay ments".parse::<KeyClass>().is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyClass(KeyspaceName);

impl KeyClass {
    /// Parses a name; anything else is [`Invalid`](memstache_core::ErrorKind::Invalid).
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        label("key class", text.as_ref()).map(Self)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The class of what was not given another.
pub(super) const DEFAULT_CLASS: &str = "default";

impl Default for KeyClass {
    fn default() -> Self {
        Self::new(DEFAULT_CLASS).expect("a good name")
    }
}

impl FromStr for KeyClass {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Debug for KeyClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyClass({} bytes)", self.as_str().len())
    }
}

/// Checks a name that becomes a segment of a record's key.
pub(super) fn label(field: &str, text: &str) -> Result<KeyspaceName> {
    let wrong = |given: &dyn fmt::Display| {
        Error::invalid(field, format_args!("1 to {MAX_KEY_LABEL} bytes of A-Z a-z 0-9 . _ -, not only dots"), given)
    };
    if text.is_empty() || text.len() > MAX_KEY_LABEL {
        return Err(wrong(&format_args!("{} bytes", text.len())));
    }
    if text.bytes().all(|byte| byte == b'.') {
        return Err(wrong(&"nothing but dots"));
    }
    KeyspaceName::new(text).map_err(|_| wrong(&"another character"))
}

/// Whom derived keys belong to: a tenant (or the shared space) and a class of keyspaces.
///
/// ```
/// use memstache_core::TenantId;
/// use memstache_crypto::{KeyClass, KeyOwner};
///
/// let shared = KeyOwner::shared();
/// let acme = KeyOwner::tenant(TenantId::new("acme")?).with_class(KeyClass::new("payments")?);
/// assert_ne!(shared, acme);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    tenant: Option<TenantId>,
    class: KeyClass,
}

impl KeyOwner {
    /// Creates the owner of what belongs to no tenant, in the default class.
    pub fn shared() -> Self {
        Self { tenant: None, class: KeyClass::default() }
    }

    /// Creates a tenant as an owner, in the default class.
    pub fn tenant(tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), class: KeyClass::default() }
    }

    /// Says which class of keyspaces is meant.
    #[must_use]
    pub fn with_class(mut self, class: KeyClass) -> Self {
        self.class = class;
        self
    }

    /// Returns the tenant's name; `None` for the shared space.
    pub fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_ref().map(TenantId::as_str)
    }

    /// Returns the class.
    pub fn class(&self) -> &KeyClass {
        &self.class
    }

    pub(super) fn borrowed(&self) -> OwnerRef<'_> {
        OwnerRef { tenant: self.tenant_name(), class: self.class.as_str() }
    }
}

impl Hash for KeyOwner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

/// An owner by borrowed parts, so that a lookup allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct OwnerRef<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) class: &'a str,
}

impl<'a> OwnerRef<'a> {
    /// Whose a tenant's name key is: names are a tenant's, whatever the class.
    pub(super) fn of_names(tenant: Option<&'a str>) -> Self {
        Self { tenant, class: DEFAULT_CLASS }
    }

    pub(super) fn to_owner(self) -> KeyOwner {
        let name = |text| TenantId::new(text).expect("a space's tenant was checked");
        let class = KeyClass::new(self.class).expect("a class was checked");
        KeyOwner { tenant: self.tenant.map(name), class }
    }
}

impl Equivalent<KeyOwner> for OwnerRef<'_> {
    fn equivalent(&self, owner: &KeyOwner) -> bool {
        *self == owner.borrowed()
    }
}

/// What the keys of a line do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Wrap derived and name keys.
    Branch,
    /// Seal values.
    Data,
    /// Make blind names.
    Name,
}

impl Purpose {
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Branch => 0,
            Self::Data => 1,
            Self::Name => 2,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Branch),
            1 => Some(Self::Data),
            2 => Some(Self::Name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn acme() -> KeyOwner {
        KeyOwner::tenant(TenantId::new("acme").unwrap())
    }

    #[test]
    fn limits_are_named_and_the_text_is_not() {
        for (text, given) in [("", "0 bytes"), (&"x".repeat(33), "33 bytes"), ("..", "nothing but dots")] {
            let error = KeyClass::new(text).unwrap_err().to_string();
            let limit = "1 to 32 bytes of A-Z a-z 0-9 . _ -, not only dots";
            assert_eq!(error, format!("key class must be {limit}, but {given} was given"));
        }
        assert!(!format!("{:?}", acme()).contains("acme"));
    }

    #[test]
    fn an_owner_is_found_by_its_parts() {
        let owner = acme();
        let parts = OwnerRef { tenant: Some("acme"), class: "default" };
        let hasher = foldhash::fast::FixedState::with_seed(7);
        assert!(parts.equivalent(&owner) && hasher.hash_one(parts) == hasher.hash_one(&owner));
        assert!(!parts.equivalent(&KeyOwner::shared()));
        assert_eq!(parts.to_owner(), owner);
    }
}
