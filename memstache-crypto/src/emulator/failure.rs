//! Errors as Key Vault answers them.

use std::fmt::Display;

use serde_json::{Value, json};

/// An answer other than success: `{"error":{"code","message","innererror"?}}`.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    code: &'static str,
    message: String,
    inner: Option<&'static str>,
    /// The value of `WWW-Authenticate`.
    pub(super) challenge: Option<String>,
    /// The value of `Retry-After`, in seconds.
    pub(super) retry_after: Option<u32>,
}

impl Failure {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), inner: None, challenge: None, retry_after: None }
    }

    /// A field that is out of its limits.
    pub(super) fn field(field: impl Display, limit: impl Display, given: impl Display) -> Self {
        Self::bad(format!("{field} must be {limit}, but {given} was given"))
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadParameter", message)
    }

    pub(super) fn forbidden(message: impl Into<String>, inner: &'static str) -> Self {
        Self { inner: Some(inner), ..Self::new(403, "Forbidden", message) }
    }

    pub(super) fn conflict(message: impl Into<String>, inner: Option<&'static str>) -> Self {
        Self { inner, ..Self::new(409, "Conflict", message) }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalServerError", message)
    }

    pub(super) fn with_challenge(self, challenge: String) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    pub(super) fn with_retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(inner) = self.inner {
            error["innererror"] = json!({ "code": inner });
        }
        json!({ "error": error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_azures_shape() {
        let body = Failure::forbidden("no", "KeyDisabled").body();
        assert_eq!(
            body,
            json!({ "error": { "code": "Forbidden", "message": "no", "innererror": { "code": "KeyDisabled" } } })
        );
        let plain = Failure::field("kty", "RSA", "EC").body();
        assert_eq!(
            plain,
            json!({ "error": { "code": "BadParameter", "message": "kty must be RSA, but EC was given" } })
        );
    }
}
