//! By which names a node may be asked.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};
use memstache_core::{Error, Result};

/// Longest name of a host (RFC 1035).
const MAX_NAME: usize = 255;
const MOST: usize = 16;

/// Names that a request without a token may name as its host, beside `localhost` and addresses.
///
/// A page of a stranger can have its own name point to this machine, and read what is answered to it (DNS rebinding); the
/// name in the request is still its own.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: Vec<String>) -> Result<Self> {
        if names.len() > MOST {
            return Err(Error::invalid("the number of hosts", format_args!("at most {MOST}"), names.len()));
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let is_name = |name: &&String| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(good);
        if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
            let limit = format_args!("1 to {MAX_NAME} bytes of [A-Za-z0-9.-]");
            return Err(Error::invalid("host", limit, format_args!("{wrong:?}")));
        }
        Ok(Self(names))
    }

    /// Returns whether a request may be answered. One without any host comes from no browser.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(header::HOST).iter();
        let given = match (uri.authority(), named.next(), named.next()) {
            (_, _, Some(_)) => return false,
            (Some(authority), _, None) => authority.as_str(),
            (None, Some(host), None) => match host.to_str() {
                Ok(host) => host,
                Err(_) => return false,
            },
            (None, None, None) => return true,
        };
        self.knows(given)
    }

    fn knows(&self, host: &str) -> bool {
        if let Some(rest) = host.strip_prefix('[') {
            return rest.split_once(']').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.');
        let lower = name.to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok()
            || lower == "localhost"
            || lower.ends_with(".localhost")
            || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_s_name_is_not_ours() {
        let hosts = Hosts::new(vec!["Cache.internal".to_owned()]).unwrap();
        for good in ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "localhost:1", "a.LOCALHOST.", "cache.INTERNAL:443"] {
            assert!(hosts.knows(good), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "", "[::1", "[evil]:1", "127.0.0.1.evil.example:80"] {
            assert!(!hosts.knows(bad), "{bad}");
        }
    }

    #[test]
    fn requests_name_one_host_or_none() {
        let hosts = Hosts::new(Vec::new()).unwrap();
        let headers = |names: &[&'static str]| -> HeaderMap {
            names.iter().map(|name| (header::HOST, name.parse().unwrap())).collect()
        };
        let admits = |uri: &'static str, names| hosts.admit(&Uri::from_static(uri), &headers(names));
        assert!(admits("/", &[]) && admits("/", &["localhost"]) && admits("http://127.0.0.1/", &["evil.example"]));
        assert!(!admits("/", &["evil.example"]) && !admits("http://evil.example/", &["localhost"]));
        assert!(!admits("/", &["localhost", "localhost"]));
    }

    #[test]
    fn names_are_checked() {
        let error = Hosts::new(vec!["a b".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "host must be 1 to 255 bytes of [A-Za-z0-9.-], but \"a b\" was given");
        assert!(Hosts::new(vec!["a".to_owned(); 17]).unwrap_err().to_string().contains("at most 16, but 17"));
    }
}
