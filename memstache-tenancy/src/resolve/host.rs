//! Hosts: which one a request is for, and whose it is.

use std::borrow::Cow;

use http::{header::HOST, request::Parts};
use memstache_core::{Error, Result};

use super::name::{Answer, MAX_HOST_LABEL};

/// Longest host name, in bytes without the dot at its end (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// A domain whose subdomains are tenants: lower case, no dot at its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Domain(Box<str>);

impl Domain {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = |given: Cow<'static, str>| {
            let limit = "a domain name such as example.com, without scheme, port and wildcard, of at most 189 bytes";
            Err(Error::invalid("subdomain", limit, given))
        };
        let domain = text.strip_suffix('.').unwrap_or(text);
        // One label more must fit.
        if domain.is_empty() || domain.len() > MAX_HOST - 1 - MAX_HOST_LABEL {
            return invalid(format!("one of {} bytes", domain.len()).into());
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_label = |label: &str| (1..=MAX_HOST_LABEL).contains(&label.len()) && label.bytes().all(good);
        if let Some(at) = domain.split('.').position(|label| !is_label(label)) {
            return invalid(format!("one whose label no. {} is none", at + 1).into());
        }
        // Else the first number of an IPv4 address would be a tenant.
        if domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return invalid("one that ends like an IPv4 address".into());
        }
        Ok(Self(domain.to_ascii_lowercase().into()))
    }

    /// Says whose host a request is for.
    pub(super) fn ask<'a>(&self, parts: &'a Parts) -> Answer<'a> {
        match host(parts) {
            Host::None => Answer::Silent,
            Host::Bad => Answer::Bad,
            Host::Of(host) => self.tenant(host),
        }
    }

    fn tenant<'a>(&self, host: &'a str) -> Answer<'a> {
        let Some(at) = host.len().checked_sub(self.0.len()) else { return Answer::Silent };
        let (before, tail) = host.split_at(at);
        if !tail.eq_ignore_ascii_case(&self.0) {
            return Answer::Silent;
        }
        // The domain itself is nobody's, and `shop-example.com` is none of its subdomains.
        before.strip_suffix('.').map_or(Answer::Silent, Answer::of_label)
    }
}

/// Which host a request is for.
enum Host<'a> {
    None,
    Bad,
    Of(&'a str),
}

/// Reads the host of a request: `:authority` or the target's own, else the `Host` header.
///
/// If there are both they name the same host: RFC 9113, section 8.3.1, has it so, and over HTTP/1 a difference is how a
/// request is smuggled past a proxy that looks at the other one.
fn host(parts: &Parts) -> Host<'_> {
    let mut headers = parts.headers.get_all(HOST).iter();
    let (header, second) = (headers.next(), headers.next());
    if second.is_some() {
        return Host::Bad;
    }
    let target = parts.uri.authority().map(|authority| authority.as_str());
    let header = match header.map(|value| value.to_str()) {
        // Sent for targets without a host (RFC 9112, section 3.2).
        None | Some(Ok("")) => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Host::Bad,
    };
    match (target.map(host_of), header.map(host_of)) {
        (None, None) => Host::None,
        (Some(Some(one)), Some(Some(other))) if one.eq_ignore_ascii_case(other) => Host::Of(one),
        (Some(Some(only)), None) | (None, Some(Some(only))) => Host::Of(only),
        _ => Host::Bad,
    }
}

/// Takes the port off an authority, and the dot off the end of its host; `None` if it is none of a host's (RFC 3986,
/// section 3.2).
fn host_of(authority: &str) -> Option<&str> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    // What was found is one byte long, and so is what comes before.
    let (host, port) = authority.split_at(end);
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']')?;
        return address.parse::<std::net::Ipv6Addr>().is_ok().then_some(host);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| (1..=MAX_HOST_LABEL).contains(&label.len()) && label.bytes().all(good);
    (host.len() <= MAX_HOST && host.split('.').all(is_label)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_dots_go() {
        for (authority, host) in [
            ("acme.example.com", Some("acme.example.com")),
            ("acme.example.com:8080", Some("acme.example.com")),
            ("acme.example.com.:8080", Some("acme.example.com")),
            ("acme.example.com:", Some("acme.example.com")),
            ("[::1]", Some("[::1]")),
            ("[::1]:80", Some("[::1]")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("", None),
            (".", None),
            (":80", None),
            ("acme..example.com", None),
            ("acme.example.com..", None),
            ("acme.example.com:80:80", None),
            ("acme.example.com:http", None),
            ("acme.example.com:123456", None),
            ("user@acme.example.com", None),
            ("user:80@acme.example.com", None),
            ("%61cme.example.com", None),
            ("bücher.example.com", None),
            ("a b", None),
            ("::1", None),
            ("[::1", None),
            ("[]", None),
            ("[fe80::1%25eth0]", None),
            ("[acme.example.com]", None),
            ("[::1]x", None),
        ] {
            assert_eq!(host_of(authority), host, "{authority:?}");
        }
        assert_eq!(host_of(&"a".repeat(64)), None);
        assert_eq!(host_of(&"a.".repeat(127)).map(str::len), Some(253));
        assert_eq!(host_of(&format!("{}b", "a.".repeat(127))), None);
    }

    #[test]
    fn domains_are_checked() {
        assert_eq!(Domain::parse("Example.COM.").unwrap(), Domain("example.com".into()));
        assert!(Domain::parse("localhost").is_ok() && Domain::parse("xn--bcher-kva.example").is_ok());
        for bad in ["", ".", "*.example.com", ".example.com", "a..b", "example.com:80", "http://a", "10.0.0.1", "ü.de"]
        {
            let error = Domain::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("subdomain must be a domain name such as example.com"), "{bad}: {error}");
        }
        assert!(Domain::parse(&["a"; 95].join(".")).is_ok() && Domain::parse(&["a"; 96].join(".")).is_err());
    }
}
