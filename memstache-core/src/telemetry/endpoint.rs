//! Where a collector listens.

use std::str::FromStr;

use http::Uri;

use super::drops::Signal;
use crate::error::{Error, Result};

/// A collector's address.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// What comes before `/v1/…`.
    prefix: String,
}

impl Endpoint {
    /// Parses `http://host:port`, with or without a path.
    pub(super) fn parse(field: &'static str, url: &str, default_port: u16) -> Result<Self> {
        // What was given may hold a password: the error does not repeat it.
        let wrong = |given: &str| Error::invalid(field, "a URL like http://localhost:4318", given);
        let uri = Uri::from_str(url).map_err(|_| wrong("something else"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("one of https (let a collector on this machine speak TLS)")),
            _ => return Err(wrong("one without http://")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("one without a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("one with a user"));
        }
        if uri.query().is_some() {
            return Err(wrong("one with a query"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16();
        if host.is_empty() || (port.is_none() && authority.as_str().contains(':') && !authority.as_str().ends_with(']'))
        {
            return Err(wrong("one without a host or with a wrong port"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port: port.unwrap_or(default_port), prefix })
    }

    /// Where a signal is posted to.
    pub(super) fn path(&self, signal: Signal) -> String {
        let signal = match signal {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        };
        format!("{}/v1/{signal}", self.prefix)
    }

    /// What goes into the `Host` header.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let of = |url| Endpoint::parse("jaeger", url, 4318).unwrap();
        for (url, authority, path) in [
            ("http://localhost", "localhost:4318", "/v1/traces"),
            ("http://localhost:1234/", "localhost:1234", "/v1/traces"),
            ("http://10.0.0.7:80/otlp/", "10.0.0.7:80", "/otlp/v1/traces"),
            ("http://[::1]:4318", "[::1]:4318", "/v1/traces"),
            ("http://[::1]", "[::1]:4318", "/v1/traces"),
        ] {
            let endpoint = of(url);
            assert_eq!((endpoint.authority().as_str(), endpoint.path(Signal::Traces).as_str()), (authority, path));
        }
        assert_eq!(of("http://[::1]:5").host, "::1");
        assert_eq!(of("http://h").path(Signal::Metrics), "/v1/metrics");
    }

    #[test]
    fn what_is_wrong_is_told_without_what_was_given() {
        for (url, part) in [
            ("https://secret:4318", "https"),
            ("secret:4318", "without http://"),
            ("", "something else"),
            ("http://user:secret@host", "with a user"),
            ("http://host/?key=secret", "with a query"),
            ("http://host:secret", "wrong port"),
            ("http://host:99999", "wrong port"),
            ("secret", "without http://"),
        ] {
            let error = Endpoint::parse("jaeger", url, 4318).err().unwrap_or_else(|| panic!("{url}")).to_string();
            assert!(error.starts_with("jaeger must be a URL like http://localhost:4318"), "{error}");
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
