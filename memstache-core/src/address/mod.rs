//! Where an entry lives: tenant, keyspace and name, and the key under which stores keep it.

mod namer;
mod space;

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

#[cfg(feature = "near")]
pub(crate) use self::space::hash_of as hash_of_space;
pub use self::{
    namer::{Namer, PlainNamer},
    space::Space,
};
use crate::{
    error::{Error, Result},
    name::MAX_LABEL,
};

/// Longest name of an entry, in bytes.
pub const MAX_NAME: usize = 1024;

/// Longest stored key, in bytes: that of the longest plain one, `tenant:keyspace:name`.
pub const MAX_STORED: usize = 2 * (MAX_LABEL + 1) + MAX_NAME;

/// An entry's place, made once at the top of a stack; nobody below rewrites it.
///
/// Near caches, stores and invalidations use [`stored`](Self::stored); associated data and data sources use the parts.
/// Cheap to clone. Equality and hash are those of the parts, so an address is found by its borrowed [`Parts`].
/// `Debug` shows a hash that is stable within the process, never a name.
#[derive(Clone)]
pub struct Address {
    /// `tenant:keyspace:name`.
    parts: Arc<[u8]>,
    /// Only when the namer hides the names.
    stored: Option<Arc<[u8]>>,
    space_hash: u64,
    space_len: u8,
    tenant_len: u8,
}

impl Address {
    /// Creates an address under the plain stored key `tenant:keyspace:name`.
    ///
    /// The name is any 1 to 1,024 bytes; else the error is [`Invalid`](crate::ErrorKind::Invalid).
    pub fn plain(space: &Space, name: impl AsRef<[u8]>) -> Result<Self> {
        Ok(Parts::new(space, name.as_ref())?.address(None))
    }

    /// Creates an address under a stored key that a [`Namer`] made elsewhere: how one machine tells another.
    ///
    /// The name is any 1 to 1,024 bytes and the stored key any 1 to 1,154 ([`MAX_STORED`]); else the error is
    /// [`Invalid`](crate::ErrorKind::Invalid).
    ///
    /// ```
    /// use memstache_core::{Address, KeyspaceName, Space};
    ///
    /// let space = Space::new(None, &KeyspaceName::new("users")?);
    /// let address = Address::blind(&space, "7", b"\x8f\x02")?;
    /// assert!(address.is_blind());
    /// assert_eq!((address.name(), &**address.stored()), (&b"7"[..], &b"\x8f\x02"[..]));
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn blind(space: &Space, name: impl AsRef<[u8]>, stored: impl AsRef<[u8]>) -> Result<Self> {
        let stored = stored.as_ref();
        if stored.is_empty() || stored.len() > MAX_STORED {
            let given = format_args!("{} bytes", stored.len());
            return Err(Error::invalid("stored key", format_args!("1 to {MAX_STORED} bytes long"), given));
        }
        Ok(Parts::new(space, name.as_ref())?.address(Some(stored.into())))
    }

    /// Puts an address together again from its parts.
    #[cfg(feature = "memory")]
    pub(crate) fn from_parts(space: &Space, name: &[u8], stored: Option<Arc<[u8]>>) -> Self {
        Self {
            parts: join(space.key(), name),
            stored,
            space_hash: space.hash_part(),
            space_len: u8::try_from(space.key().len()).expect("two labels of at most 64 bytes"),
            tenant_len: space.tenant_len(),
        }
    }

    /// Returns the tenant's name; `None` for the shared space.
    pub fn tenant(&self) -> Option<&str> {
        (self.tenant_len > 0).then(|| space::text(&self.parts[..usize::from(self.tenant_len)]))
    }

    /// Returns the keyspace's name.
    pub fn keyspace(&self) -> &str {
        space::text(&self.parts[usize::from(self.tenant_len) + 1..usize::from(self.space_len) - 1])
    }

    /// Returns the entry's name, any bytes.
    pub fn name(&self) -> &[u8] {
        &self.parts[usize::from(self.space_len)..]
    }

    /// Returns the key under which stores keep the entry: unique for each (tenant, keyspace, name).
    pub fn stored(&self) -> &Arc<[u8]> {
        self.stored.as_ref().unwrap_or(&self.parts)
    }

    /// Returns whether [`stored`](Self::stored) is other than the plain parts.
    pub fn is_blind(&self) -> bool {
        self.stored.is_some()
    }

    /// Returns `tenant:keyspace:`, the identity of the space that the entry belongs to.
    pub fn space_key(&self) -> &[u8] {
        &self.parts[..usize::from(self.space_len)]
    }

    /// Returns the space that the entry belongs to.
    pub fn space(&self) -> Space {
        Space::from_key(self.space_key().into(), self.space_hash, self.tenant_len)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        // The two lengths matter: without them nothing says where a name begins.
        self.space_len == other.space_len && self.parts == other.parts
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.space_hash);
        state.write(self.name());
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keyed by the process, so that a log cannot be searched for known names.
        static KEY: OnceLock<foldhash::quality::RandomState> = OnceLock::new();
        let key = KEY.get_or_init(foldhash::quality::RandomState::default);
        write!(f, "Address(#{:016x})", key.hash_one(self))
    }
}

/// An [`Address`] not yet built: what a near cache is asked with, so that a hit allocates nothing.
///
/// It hashes like the address that it would become.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    space: &'a Space,
    name: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Checks the name's length and borrows both.
    ///
    /// The name is any 1 to 1,024 bytes; else the error is [`Invalid`](crate::ErrorKind::Invalid).
    // In place: handed back by a call, it is written word by word and copied as a whole, which waits until it is written.
    #[inline]
    pub fn new(space: &'a Space, name: &'a [u8]) -> Result<Self> {
        if name.is_empty() || name.len() > MAX_NAME { Err(wrong_length(name.len())) } else { Ok(Self { space, name }) }
    }

    /// Returns the space.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// Returns the entry's name.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Builds the address; one allocation under a plain namer.
    ///
    /// Errors: the namer's.
    pub fn to_address(&self, namer: &(impl Namer + ?Sized)) -> Result<Address> {
        Ok(self.address(namer.stored(self)?))
    }

    fn address(&self, stored: Option<Arc<[u8]>>) -> Address {
        Address {
            parts: join(self.space.key(), self.name),
            stored,
            space_hash: self.space.hash_part(),
            space_len: u8::try_from(self.space.key().len()).expect("two labels of at most 64 bytes"),
            tenant_len: self.space.tenant_len(),
        }
    }

    /// Returns whether `address` is what these parts would become.
    pub fn matches(&self, address: &Address) -> bool {
        self.space.key() == address.space_key() && self.name == address.name()
    }
}

impl Hash for Parts<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.space.hash_part());
        state.write(self.name);
    }
}

#[cold]
#[inline(never)]
fn wrong_length(len: usize) -> Error {
    Error::invalid("key", format_args!("1 to {MAX_NAME} bytes long"), format_args!("{len} bytes"))
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("name_len", &self.name.len()).finish_non_exhaustive()
    }
}

/// Joins in one allocation: short keys over the stack, long ones by an exact-size iterator.
fn join(head: &[u8], tail: &[u8]) -> Arc<[u8]> {
    const SHORT: usize = 192;
    let len = head.len() + tail.len();
    if len > SHORT {
        return head.iter().chain(tail).copied().collect();
    }
    let mut buffer = [0; SHORT];
    buffer[..head.len()].copy_from_slice(head);
    buffer[head.len()..len].copy_from_slice(tail);
    buffer[..len].into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::{KeyspaceName, TenantId};

    fn space(tenant: &str, keyspace: &str) -> Space {
        let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
        Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).unwrap())
    }

    #[test]
    fn parts_come_back_out() {
        let address = Address::plain(&space("acme", "users"), b"a:b\0\xff").unwrap();
        assert_eq!(address.tenant(), Some("acme"));
        assert_eq!(address.keyspace(), "users");
        assert_eq!(address.name(), b"a:b\0\xff");
        assert_eq!(&**address.stored(), b"acme:users:a:b\0\xff");
        let shared = Address::plain(&space("", "users"), "k").unwrap();
        assert_eq!(shared.tenant(), None);
        assert_eq!(&**shared.stored(), b":users:k");
    }

    #[test]
    fn debug_shows_no_name() {
        let text = format!("{:?}", Address::plain(&space("acme", "users"), "secret").unwrap());
        assert!(text.starts_with("Address(#") && !text.contains("secret") && !text.contains("acme"));
    }

    #[test]
    fn name_limits() {
        let space = space("", "k");
        assert!(Address::plain(&space, "").is_err());
        assert!(Address::plain(&space, [0; MAX_NAME]).is_ok());
        let error = Address::plain(&space, [0; MAX_NAME + 1]).unwrap_err();
        assert_eq!(error.to_string(), "key must be 1 to 1024 bytes long, but 1025 bytes was given");
    }

    #[test]
    fn a_stored_key_from_elsewhere_is_bounded_and_is_no_part_of_the_identity() {
        let space = space("acme", "users");
        let blind = Address::blind(&space, "k", [7; MAX_STORED]).unwrap();
        assert_eq!((blind.stored().len(), blind.is_blind()), (MAX_STORED, true));
        assert_eq!(blind, Address::plain(&space, "k").unwrap());
        let error = Address::blind(&space, "k", [7; MAX_STORED + 1]).unwrap_err();
        assert_eq!(error.to_string(), "stored key must be 1 to 1154 bytes long, but 1155 bytes was given");
        assert!(Address::blind(&space, "k", "").is_err() && Address::blind(&space, "", "s").is_err());
    }

    proptest! {
        #[test]
        fn no_two_places_share_a_stored_key(
            a in ("[a-z.]{0,3}", "[a-z:.]{1,3}", prop::collection::vec(any::<u8>(), 1..5)),
            b in ("[a-z.]{0,3}", "[a-z:.]{1,3}", prop::collection::vec(any::<u8>(), 1..5)),
        ) {
            prop_assume!(!a.1.contains(':') && !b.1.contains(':'));
            let x = Address::plain(&space(&a.0, &a.1), &a.2).unwrap();
            let y = Address::plain(&space(&b.0, &b.1), &b.2).unwrap();
            prop_assert_eq!(a == b, x.stored() == y.stored());
            prop_assert_eq!(a == b, x == y);
        }

        #[test]
        fn borrowed_parts_hash_and_match_alike(name in prop::collection::vec(any::<u8>(), 1..400)) {
            let space = space("t", "k");
            let parts = Parts::new(&space, &name).unwrap();
            let address = parts.to_address(&PlainNamer).unwrap();
            let state = foldhash::fast::FixedState::default();
            prop_assert_eq!(state.hash_one(parts), state.hash_one(&address));
            prop_assert!(parts.matches(&address));
        }
    }
}
