//! Whose a stored key is.

use memstache_core::{Error, ErrorKind, KeyspaceName, Namer, Parts, Result, Space, TenantId};

/// Longest name of a tenant or keyspace, in bytes.
const MAX_LABEL: usize = 64;

/// Knows the keys of one tenant.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    plain: Mark,
    /// What a namer makes of it.
    hidden: Option<Mark>,
}

impl Owner {
    /// Asks the namer, if there is one, what stands for the tenant in front of its names.
    ///
    /// Errors: the namer's; `Unsupported` if what it makes does not say whose it is.
    pub(super) fn new(tenant: &TenantId, namer: Option<&dyn Namer>) -> Result<Self> {
        let plain = Mark { is_plain: true, label: tenant.as_str().as_bytes().into() };
        let Some(namer) = namer else { return Ok(Self { plain, hidden: None }) };
        let space = Space::new(Some(tenant), &KeyspaceName::new("memstache-usage")?);
        let Some(stored) = namer.stored(&Parts::new(&space, b"probe")?)? else {
            return Ok(Self { plain, hidden: None });
        };
        let hidden = Mark::of(&stored).ok_or_else(|| {
            let detail = "the namer must put what stands for the tenant and a colon in front, but there is none";
            Error::new(ErrorKind::Unsupported, detail)
        })?;
        Ok(Self { plain, hidden: Some(hidden) })
    }

    /// Returns whether an entry is the tenant's.
    ///
    /// `Unsupported` if nobody said how to tell: it may be the tenant's, and would be missing.
    pub(super) fn owns(&self, stored: &[u8]) -> Result<bool> {
        let mark = Mark::of(stored);
        if let Some(mark) = &mark
            && (*mark == self.plain || self.hidden.as_ref() == Some(mark))
        {
            return Ok(true);
        }
        if self.hidden.is_none() && mark.is_none_or(|mark| !mark.is_plain) {
            let detail = "entries have names that do not say whose they are: the sampler needs the namer";
            return Err(Error::new(ErrorKind::Unsupported, detail));
        }
        Ok(false)
    }
}

/// What stands in front of a stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    /// Whether the key has the form `tenant:keyspace:name`: so no tenant passes for another that is hidden, whatever its
    /// name.
    is_plain: bool,
    label: Box<[u8]>,
}

impl Mark {
    /// `None` for a key without a colon.
    fn of(stored: &[u8]) -> Option<Self> {
        let (label, rest) = split(stored)?;
        let is_plain = (label.is_empty() || is_label(label))
            && split(rest).is_some_and(|(keyspace, name)| is_label(keyspace) && !name.is_empty());
        Some(Self { is_plain, label: label.into() })
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b':')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn is_label(bytes: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_LABEL).contains(&bytes.len()) && bytes.iter().all(good)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    /// Puts a text in the place of what the namer makes; `-` for the tenant.
    #[derive(Debug)]
    struct Made(Option<&'static str>);

    impl Namer for Made {
        fn stored(&self, parts: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
            let tenant = parts.space().tenant().unwrap_or_default();
            match self.0 {
                Some("gone") => Err(Error::new(ErrorKind::Unavailable, "no key")),
                form => Ok(form.map(|form| form.replace('-', tenant).into_bytes().into())),
            }
        }
    }

    #[test]
    fn plain_names_begin_with_their_tenant() {
        let acme = Owner::new(&tenant("acme"), None).unwrap();
        for (stored, owned) in [
            ("acme:k:n", true),
            ("acme:k:a:b:c", true),
            ("acme2:k:n", false),
            ("acm:k:n", false),
            (":acme:n", false),
            ("other:acme:acme:", false),
        ] {
            assert_eq!(acme.owns(stored.as_bytes()).unwrap(), owned, "{stored}");
        }
        assert!(acme.owns(b"acme:k:\xff\0").unwrap());
    }

    #[test]
    fn what_may_be_anybodys_is_an_error_and_not_left_out() {
        for owner in [Owner::new(&tenant("acme"), None), Owner::new(&tenant("acme"), Some(&Made(None)))] {
            let owner = owner.unwrap();
            for stored in ["AbCdEfGh:0123456789012345678901", "nothing", "", "acme:k:", "acme::n", "a b:k:n"] {
                assert_eq!(owner.owns(stored.as_bytes()).unwrap_err().kind(), ErrorKind::Unsupported, "{stored}");
            }
        }
    }

    #[test]
    fn hidden_names_begin_with_what_the_namer_says() {
        let acme = Owner::new(&tenant("acme"), Some(&Made(Some("T-T:hash")))).unwrap();
        for (stored, owned) in [
            ("TacmeT:other", true),
            ("TotherT:hash", false),
            ("acme:k:n", true),
            ("TacmeT:k:n", false),
            ("nothing", false),
        ] {
            assert_eq!(acme.owns(stored.as_bytes()).unwrap(), owned, "{stored}");
        }
        let three = Owner::new(&tenant("acme"), Some(&Made(Some("h-:k:n")))).unwrap();
        assert!(three.owns(b"hacme:x:y").unwrap() && !three.owns(b"hother:x:y").unwrap());
    }

    #[test]
    fn a_namer_that_does_not_say_is_an_error() {
        let kind = |form| Owner::new(&tenant("acme"), Some(&Made(Some(form)))).unwrap_err().kind();
        assert_eq!(kind("nobodys"), ErrorKind::Unsupported);
        assert_eq!(kind("gone"), ErrorKind::Unavailable);
    }
}
