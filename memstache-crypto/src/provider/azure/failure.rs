//! What the SDK's errors mean for keys.

use std::{error::Error as StdError, time::Duration};

use azure_core::{
    Error,
    error::ErrorKind,
    http::{RawResponse, StatusCode, headers::RETRY_AFTER},
};

use crate::provider::{ProviderError, ProviderErrorKind};

/// Maps an error of the SDK.
pub(super) fn failure(error: Error) -> ProviderError {
    let (kind, detail) = meaning(&error);
    let after = response(&error).and_then(retry_after);
    let out = ProviderError::new(kind, detail).with_source(error);
    after.map_or_else(|| out.clone(), |after| out.clone().with_retry_after(after))
}

fn meaning(error: &Error) -> (ProviderErrorKind, &'static str) {
    match error.kind() {
        ErrorKind::HttpResponse { status, .. } => of_status(*status, response(error)),
        ErrorKind::Connection | ErrorKind::Io if is_untrusted(error) => {
            (ProviderErrorKind::Unavailable, "the vault's certificate is not trusted")
        }
        ErrorKind::Connection | ErrorKind::Io => (ProviderErrorKind::Unavailable, "the vault cannot be reached"),
        ErrorKind::Credential if is_of_network(error) => {
            (ProviderErrorKind::Unavailable, "the source of tokens cannot be reached")
        }
        ErrorKind::Credential => (ProviderErrorKind::Forbidden, "there is no token for the vault"),
        _ => (ProviderErrorKind::Unavailable, "the vault was not understood"),
    }
}

fn of_status(status: StatusCode, response: Option<&RawResponse>) -> (ProviderErrorKind, &'static str) {
    let inner = response.and_then(inner_code);
    match (u16::from(status), inner.as_deref()) {
        (403, Some("KeyDisabled" | "SecretDisabled")) => (ProviderErrorKind::Disabled, "the master key is disabled"),
        (401 | 403, _) => (ProviderErrorKind::Forbidden, "the vault refuses the caller"),
        (404, _) => (ProviderErrorKind::NotFound, "the vault does not have the master key, or not this version"),
        (409, _) => (ProviderErrorKind::NotFound, "the master key is deleted: recover it, or purge it"),
        (429, _) => (ProviderErrorKind::Throttled, "the vault had too many calls"),
        (408 | 500.., _) => (ProviderErrorKind::Unavailable, "the vault failed"),
        _ => (ProviderErrorKind::Invalid, "the vault does not take what it was given"),
    }
}

fn response(error: &Error) -> Option<&RawResponse> {
    match error.kind() {
        ErrorKind::HttpResponse { raw_response, .. } => raw_response.as_deref(),
        _ => None,
    }
}

/// The code within the code: `{"error":{"innererror":{"code":..}}}`.
fn inner_code(response: &RawResponse) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(response.body()).ok()?;
    let error = &body["error"];
    let inner = error.get("innererror").or_else(|| error.get("innerError"))?;
    inner["code"].as_str().map(str::to_owned)
}

/// `Retry-After` in seconds, at most an hour.
fn retry_after(response: &RawResponse) -> Option<Duration> {
    let seconds: u64 = response.headers().get_optional_str(&RETRY_AFTER)?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(3600)))
}

/// Whether the certificate of who answered is refused: the way there is fine then, and what is trusted is not.
fn is_untrusted(error: &Error) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        // An I/O error is skipped by its own `source`: what it holds is looked at here.
        let held = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let of_tls = source.downcast_ref().or_else(|| held.and_then(|held| held.downcast_ref()));
        if matches!(of_tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = held.map_or_else(|| source.source(), |held| Some(held));
    }
    false
}

fn is_of_network(error: &Error) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        let ours = source.downcast_ref::<Error>().map(Error::kind);
        if matches!(ours, Some(ErrorKind::Connection | ErrorKind::Io)) {
            return true;
        }
        next = source.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;

    use super::*;

    fn http(status: u16, body: &'static str, headers: Headers) -> ProviderError {
        let status = StatusCode::from(status);
        let raw_response = Some(Box::new(RawResponse::from_bytes(status, headers, body)));
        failure(ErrorKind::HttpResponse { status, error_code: None, raw_response }.into_error())
    }

    #[test]
    fn a_status_has_its_kind() {
        let kind = |status, body| http(status, body, Headers::new()).kind();
        let disabled = r#"{"error":{"code":"Forbidden","innererror":{"code":"KeyDisabled"}}}"#;
        let camel = r#"{"error":{"innerError":{"code":"SecretDisabled"}}}"#;
        assert_eq!([kind(403, disabled), kind(403, camel)], [ProviderErrorKind::Disabled; 2]);
        for (status, wanted) in [
            (400, ProviderErrorKind::Invalid),
            (401, ProviderErrorKind::Forbidden),
            (403, ProviderErrorKind::Forbidden),
            (404, ProviderErrorKind::NotFound),
            (408, ProviderErrorKind::Unavailable),
            (409, ProviderErrorKind::NotFound),
            (413, ProviderErrorKind::Invalid),
            (429, ProviderErrorKind::Throttled),
            (500, ProviderErrorKind::Unavailable),
            (503, ProviderErrorKind::Unavailable),
        ] {
            assert_eq!(kind(status, "not json"), wanted, "{status}");
        }
    }

    #[test]
    fn the_time_to_come_again_is_kept_within_an_hour() {
        let after = |text: &'static str| {
            let mut headers = Headers::new();
            headers.insert(RETRY_AFTER, text);
            http(429, "", headers).retry_after()
        };
        assert_eq!(after("10"), Some(Duration::from_secs(10)));
        assert_eq!(after("99999999"), Some(Duration::from_secs(3600)));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_missing_token_is_a_matter_of_configuration_unless_the_network_is_down() {
        let plain = Error::with_message(ErrorKind::Credential, "no token");
        assert_eq!(failure(plain).kind(), ProviderErrorKind::Forbidden);
        let down = Error::new(ErrorKind::Credential, Error::with_message(ErrorKind::Connection, "refused"));
        assert_eq!(failure(down).kind(), ProviderErrorKind::Unavailable);
        let strange = Error::with_message(ErrorKind::DataConversion, "strange");
        assert_eq!(failure(strange).kind(), ProviderErrorKind::Unavailable);
    }
}
