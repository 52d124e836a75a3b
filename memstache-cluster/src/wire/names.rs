//! Names that came before: most calls are of few keyspaces.

use memstache_core::{KeyspaceName, Result, Space, TenantId};

use super::reader::malformed;

const PLACES: usize = 16;

/// The last names that a connection brought, so that reading them again allocates nothing. Bounded.
#[derive(Debug, Default)]
pub(crate) struct Names {
    spaces: [Option<Space>; PLACES],
    keyspaces: [Option<KeyspaceName>; PLACES],
}

impl Names {
    /// Returns the space with this key, `tenant:keyspace:`.
    pub(super) fn space(&mut self, key: &[u8]) -> Result<Space> {
        let place = &mut self.spaces[place(key)];
        match place {
            Some(space) if space.key() == key => Ok(space.clone()),
            _ => {
                let space = parse(key)?;
                Ok(place.insert(space).clone())
            }
        }
    }

    pub(super) fn keyspace(&mut self, name: &[u8]) -> Result<KeyspaceName> {
        let place = &mut self.keyspaces[place(name)];
        match place {
            Some(keyspace) if keyspace.as_str().as_bytes() == name => Ok(keyspace.clone()),
            _ => {
                let keyspace = KeyspaceName::new(text(name)?).map_err(|_| malformed("a keyspace's name"))?;
                Ok(place.insert(keyspace).clone())
            }
        }
    }
}

/// FNV-1a: the keys are short, and a bad spread only costs time.
fn place(key: &[u8]) -> usize {
    let hash = key.iter().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16)) as usize % PLACES
}

fn parse(key: &[u8]) -> Result<Space> {
    let wrong = || malformed("a space's key");
    let (tenant, rest) = text(key)?.split_once(':').ok_or_else(wrong)?;
    let keyspace = rest.strip_suffix(':').ok_or_else(wrong)?;
    let tenant = if tenant.is_empty() { None } else { Some(TenantId::new(tenant).map_err(|_| wrong())?) };
    let keyspace = KeyspaceName::new(keyspace).map_err(|_| wrong())?;
    Ok(Space::new(tenant.as_ref(), &keyspace))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| malformed("a text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_wrong_ones_are_refused() {
        let mut names = Names::default();
        for n in (0..100).chain(0..100) {
            let key = format!("t{n}:k{n}:");
            let space = names.space(key.as_bytes()).unwrap();
            assert_eq!((space.key(), space.tenant()), (key.as_bytes(), Some(&*format!("t{n}"))));
            assert_eq!(names.keyspace(format!("k{n}").as_bytes()).unwrap().as_str(), format!("k{n}"));
        }
        assert_eq!(names.space(b":k:").unwrap().tenant(), None);
        for wrong in [&b""[..], b":", b"::", b"t:k", b"t:k::", b"t:k:x:", b"t!:k:", b"\xff:k:"] {
            assert!(names.space(wrong).is_err(), "{wrong:?}");
        }
        assert!(names.keyspace(b"a:b").is_err() && names.keyspace(b"").is_err());
    }
}
