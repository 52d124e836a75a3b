//! Plain HTTP to this machine only, for the emulator.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    Error, Result,
    error::ErrorKind,
    http::{AsyncRawResponse, HttpClient, Request, Url, new_http_client},
};

/// Sends what the SDK takes for HTTPS as plain HTTP, to loopback addresses alone.
///
/// The SDK refuses to send a token over HTTP before any transport is asked; so it is given `https://`, and this takes the
/// `s` away again.
#[derive(Debug)]
pub(super) struct Loopback(Arc<dyn HttpClient>);

impl Loopback {
    pub(super) fn new() -> Self {
        Self(new_http_client(None))
    }
}

#[async_trait]
impl HttpClient for Loopback {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let mut request = request.clone();
        let authority = rewrite(request.url_mut()).ok_or_else(refused)?;
        // The emulator puts it into ids and challenges.
        request.insert_header("host", authority);
        self.0.execute_request(&request).await
    }
}

/// Turns the address into plain HTTP to 127.0.0.1 or the loopback address that it names; the authority it had.
fn rewrite(url: &mut Url) -> Option<String> {
    let authority = url.authority().to_owned();
    // The default port goes with the scheme: it must be kept when that changes.
    let port = url.port_or_known_default();
    if !is_loopback(url) {
        return None;
    }
    if url.domain().is_some() {
        url.set_host(Some("127.0.0.1")).ok()?;
    }
    url.set_scheme("http").ok()?;
    url.set_port(port).ok()?;
    Some(authority)
}

/// Whether an address is this machine: a loopback address, `localhost`, or a name below it (RFC 6761, section 6.3).
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn refused() -> Error {
    Error::with_message(ErrorKind::Other, "the emulator's transport goes to loopback addresses only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(url: &str) -> Option<(String, String)> {
        let mut url: Url = url.parse().unwrap();
        let authority = rewrite(&mut url)?;
        Some((url.to_string(), authority))
    }

    #[test]
    fn loopback_is_rewritten_and_nothing_else() {
        let to = |url: &str, authority: &str| Some((url.to_owned(), authority.to_owned()));
        assert_eq!(
            rewritten("https://localhost:5000/keys/k//wrapkey?a=b"),
            to("http://127.0.0.1:5000/keys/k//wrapkey?a=b", "localhost:5000")
        );
        assert_eq!(rewritten("https://dev.vault.localhost:7/"), to("http://127.0.0.1:7/", "dev.vault.localhost:7"));
        assert_eq!(rewritten("https://[::1]:5000/"), to("http://[::1]:5000/", "[::1]:5000"));
        assert_eq!(rewritten("https://127.0.0.2/"), to("http://127.0.0.2:443/", "127.0.0.2"));
        for other in [
            "https://my.vault.azure.net/",
            "https://localhost.example.org/",
            "https://10.0.0.1:5000/",
            "https://notlocalhost/",
        ] {
            assert_eq!(rewritten(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_request_to_elsewhere_is_never_sent() {
        let request = Request::new("https://example.org/".parse().unwrap(), azure_core::http::Method::Get);
        let error = Loopback::new().execute_request(&request).await.unwrap_err();
        assert_eq!(error.to_string(), "the emulator's transport goes to loopback addresses only");
    }
}
