//! Names that stores cannot read.

use std::{collections::HashSet, fmt, sync::Arc};

use memstache_core::{Error, ErrorKind, KeyspaceName, Namer, Parts, Result};

use crate::key::{DataKeys, NameKey};

/// Stores entries under names that say nothing: `tenant tag : hash`.
///
/// Both are base64url (RFC 4648, §5, without padding): six bytes that stand for the tenant, and the first 16 of
/// `HMAC-SHA256(name key, lp(tenant) ‖ lp(keyspace) ‖ lp(name))`, where `lp` puts a length of four bytes first; 31 bytes in
/// all. Who sees the store sees which names are equal, over time and within one tenant, and how often each is asked for.
///
/// Names of entries only: tags, and the names of tenants and keyspaces in invalidations, are not hidden.
///
/// While the key of a tenant's names is not at hand, every call for that tenant fails with
/// [`Unavailable`](ErrorKind::Unavailable): under its plain name, an entry would be shown and never found again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::{Cache, Json, MemoryStore, Stack};
/// use memstache_crypto::{BlindNames, FixedKeys, Secret, SystemRandom};
///
/// let keys = FixedKeys::dangerous_one_for_all(Secret::random(&SystemRandom::new())?);
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
/// let users = Cache::builder(stack).keyspace("users").namer(BlindNames::new(keys)).format(Json).build()?;
///
/// users.set("ada@example.com", &7).await?;
/// let stored = users.address("ada@example.com")?.stored().clone();
/// assert_eq!((stored.len(), stored[8]), (31, b':'));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BlindNames {
    keys: Arc<dyn DataKeys>,
    plain: HashSet<Box<str>>,
}

impl BlindNames {
    /// Hides the names of every keyspace.
    pub fn new(keys: impl DataKeys) -> Self {
        Self { keys: Arc::new(keys), plain: HashSet::new() }
    }

    /// Leaves the names of a keyspace plain.
    #[must_use]
    pub fn plain(mut self, keyspace: &KeyspaceName) -> Self {
        self.plain.insert(keyspace.as_str().into());
        self
    }
}

impl Namer for BlindNames {
    fn stored(&self, parts: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
        let space = parts.space();
        if self.plain.contains(space.keyspace()) {
            return Ok(None);
        }
        let missing = || Error::new(ErrorKind::Unavailable, "the key of the names is not at hand");
        let key = self.keys.naming(space).ok_or_else(missing)?;
        Ok(Some(Arc::new(blind(&key, parts))))
    }
}

/// The characters of a tenant's tag, a colon, the characters of a hash.
const LEN: usize = 8 + 1 + 22;

fn blind(key: &NameKey, parts: &Parts<'_>) -> [u8; LEN] {
    let (tenant, keyspace) = (parts.space().tenant().unwrap_or_default(), parts.space().keyspace());
    let [a, b, c] = [tenant.as_bytes(), keyspace.as_bytes(), parts.name()].map(|part| (len(part), part));
    let hash = key.blind(&[&a.0, a.1, &b.0, b.1, &c.0, c.1]);
    let mut out = [b':'; LEN];
    base64url(key.tag(), &mut out[..8]);
    base64url(&hash, &mut out[9..]);
    out
}

fn len(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).expect("names and labels are short").to_be_bytes()
}

/// Writes bytes as base64url without padding (RFC 4648, §5).
fn base64url(bytes: &[u8], out: &mut [u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let groups = bytes.chunks(3).map(|group| {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        u32::from_be_bytes(padded)
    });
    for (chars, group) in out.chunks_mut(4).zip(groups) {
        for (at, char) in chars.iter_mut().enumerate() {
            *char = ALPHABET[(group >> (18 - 6 * at)) as usize & 63];
        }
    }
}

impl fmt::Debug for BlindNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlindNames").field("plain", &self.plain).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::{Space, TenantId};

    use super::*;
    use crate::key::{FixedKeys, Secret};

    fn space(tenant: Option<&str>, keyspace: &str) -> Space {
        let tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
        Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).unwrap())
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, §10.
        for (len, text) in [(1, "Zg"), (2, "Zm8"), (3, "Zm9v"), (4, "Zm9vYg"), (6, "Zm9vYmFy")] {
            let bytes = &"foobar"[..len];
            let mut out = vec![0; text.len()];
            base64url(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
        let mut out = [0; 4];
        base64url(&[0xFB, 0xFF, 0xBF], &mut out);
        assert_eq!(&out, b"-_-_");
    }

    #[test]
    fn names_differ_by_tenant_keyspace_name_and_key_and_are_stable() {
        let names = |seed| BlindNames::new(FixedKeys::dangerous_one_for_all(Secret::from_bytes([seed; 32])));
        let stored = |names: &BlindNames, tenant, keyspace, name: &str| {
            let space = space(tenant, keyspace);
            names.stored(&Parts::new(&space, name.as_bytes()).unwrap()).unwrap().unwrap()
        };
        let (one, two) = (names(1), names(2));
        let all = [
            stored(&one, None, "k", "n"),
            stored(&one, Some("t"), "k", "n"),
            stored(&one, Some("u"), "k", "n"),
            stored(&one, Some("t"), "l", "n"),
            stored(&one, Some("t"), "k", "m"),
            stored(&one, Some("t"), "kn", "n"),
            stored(&one, Some("t"), "k", "nn"),
            stored(&two, Some("t"), "k", "n"),
        ];
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(stored(&one, Some("t"), "k", "n"), stored(&names(1), Some("t"), "k", "n"));
        // Tenants are told apart, and those of one are seen to be of one.
        assert_eq!(all[1][..9], all[3][..9]);
        assert_ne!(all[1][..9], all[2][..9]);
        // Never changes: what is stored is found again.
        assert_eq!(std::str::from_utf8(&all[1]).unwrap(), "wgL0NgJt:fhsAK64KE96mmxLal_rf5w");
    }

    #[test]
    fn a_missing_key_fails_and_a_plain_keyspace_needs_none() {
        let keys = FixedKeys::dangerous_per_tenant([]).unwrap();
        let names = BlindNames::new(keys).plain(&KeyspaceName::new("open").unwrap());
        let stored = |keyspace| names.stored(&Parts::new(&space(None, keyspace), b"secret").unwrap());
        assert_eq!(stored("open").unwrap(), None);
        let error = stored("closed").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!format!("{error:?} {error} {names:?}").contains("secret"));
    }
}
