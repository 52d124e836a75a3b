//! URLs of deployments.

use memstache_core::{Error, Result};
use url::Url;

/// Where servers are, and how they are spoken to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) tls: bool,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u8,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    /// The name under which Sentinels know the primary.
    Sentinel(String),
    Cluster,
}

const FORM: &str = "of the form redis[s][-sentinel|-cluster]://[[user:]password@]host[:port][/database][?node=host:port][&service=name]";

impl Place {
    /// Reads a URL. Errors say what is wrong and never what stood there: it may be a password.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).map_err(|error| Error::invalid("url", FORM, format_args!("none ({error})")))?;
        let (sentinel, cluster, tls, port) = match url.scheme() {
            "redis" => (false, false, false, 6379),
            "rediss" => (false, false, true, 6379),
            "redis-sentinel" => (true, false, false, 26_379),
            "rediss-sentinel" => (true, false, true, 26_379),
            "redis-cluster" => (false, true, false, 6379),
            "rediss-cluster" => (false, true, true, 6379),
            _ => return Err(Error::invalid("url", FORM, "another scheme")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| Error::invalid("url", FORM, "no host"))?;
        let mut hosts = vec![(bare(host), url.port().unwrap_or(port))];
        let mut service = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "node" if sentinel || cluster => hosts.push(node(&value, port)?),
                "service" | "sentinelServiceName" if sentinel => service = Some(value.into_owned()),
                _ => {
                    let given =
                        format_args!("one more, or one that does not belong to this scheme: {} bytes", key.len());
                    return Err(Error::invalid(
                        "url parameter",
                        "node (Sentinel, Cluster) or service (Sentinel)",
                        given,
                    ));
                }
            }
        }
        let kind = match (sentinel, cluster) {
            (true, _) => Kind::Sentinel(
                service
                    .filter(|name| !name.is_empty())
                    .ok_or_else(|| Error::invalid("url parameter service", "given with redis-sentinel://", "none"))?,
            ),
            (_, true) => Kind::Cluster,
            _ => Kind::Single,
        };
        let path = url.path().trim_matches('/');
        let database = if path.is_empty() { 0 } else { number(path)? };
        let username = (!url.username().is_empty()).then(|| decoded(url.username())).transpose()?;
        let password = url.password().map(decoded).transpose()?;
        Ok(Self { kind, hosts, tls, username, password, database })
    }
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn node(text: &str, port: u16) -> Result<(String, u16)> {
    let wrong = || Error::invalid("url parameter node", "host or host:port", "something else");
    let url = Url::parse(&format!("redis://{text}")).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.path().is_empty() && url.query().is_none();
    let host = url.host_str().filter(|host| plain && !host.is_empty()).ok_or_else(wrong)?;
    Ok((bare(host), url.port().unwrap_or(port)))
}

fn number(text: &str) -> Result<u8> {
    text.parse().map_err(|_| Error::invalid("database", "0 to 255", "something else"))
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String> {
    let wrong = || Error::invalid("url", "percent-encoded UTF-8", "something else in user or password");
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            out.push(*first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        out.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &tail[2..];
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form() {
        let place = Place::parse("redis://localhost").unwrap();
        assert_eq!(
            (place.kind, place.hosts, place.tls, place.database),
            (Kind::Single, vec![("localhost".into(), 6379)], false, 0)
        );

        let place = Place::parse("rediss://ada:p%40ss%3a@example.com:7000/3").unwrap();
        assert_eq!((place.username.as_deref(), place.password.as_deref()), (Some("ada"), Some("p@ss:")));
        assert_eq!((place.tls, place.database, place.hosts), (true, 3, vec![("example.com".into(), 7000)]));

        let place = Place::parse("redis-sentinel://:pw@s1/1?node=s2:1234&service=main").unwrap();
        assert_eq!(place.kind, Kind::Sentinel("main".into()));
        assert_eq!(place.hosts, [("s1".into(), 26_379), ("s2".into(), 1234)]);
        assert_eq!((place.username, place.password.as_deref()), (None, Some("pw")));

        let place = Place::parse("redis-cluster://[::1]:7000?node=10.0.0.2").unwrap();
        assert_eq!(place.kind, Kind::Cluster);
        assert_eq!(place.hosts, [("::1".into(), 7000), ("10.0.0.2".into(), 6379)]);
    }

    #[test]
    fn mistakes_are_named_and_passwords_are_not() {
        for (url, part) in [
            ("secret", "url must be"),
            ("http://secret", "another scheme"),
            ("redis://", "url must be"),
            ("redis-sentinel://secret", "url parameter service must be given"),
            ("redis://secret?node=x", "url parameter must be node"),
            ("redis-cluster://x?node=u@secret", "url parameter node must be host or host:port"),
            ("redis://x/secret", "database must be 0 to 255"),
            ("redis://x/256", "database must be 0 to 255"),
            ("redis://u:%ffsecret@x", "percent-encoded UTF-8"),
        ] {
            let error = Place::parse(url).err().unwrap_or_else(|| panic!("{url} is good")).to_string();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(redis|rediss)?(-cluster|-sentinel)?(://)?[a-z0-9:/@%?&=\\[\\]]{0,40}") {
            let _ = Place::parse(&text);
        }
    }
}
