//! Answers of a vault, read to a limit.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::{
    Error, Result,
    error::ErrorKind,
    http::{AsyncRawResponse, HttpClient, Request},
};
use futures_util::StreamExt;

/// Longest body: many times what the longest secret, 25 KiB, takes.
pub(super) const MAX_ANSWER: usize = 1 << 20;

/// Gives an answer up that is longer than any that a vault has: the SDK would collect all that comes.
#[derive(Debug)]
pub(super) struct Bounded(Arc<dyn HttpClient>);

impl Bounded {
    pub(super) fn new(client: Arc<dyn HttpClient>) -> Self {
        Self(client)
    }
}

#[async_trait]
impl HttpClient for Bounded {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let (status, headers, body) = self.0.execute_request(request).await?.deconstruct();
        let mut left = MAX_ANSWER;
        let body = body.map(move |part| {
            let part = part?;
            left = left.checked_sub(part.len()).ok_or_else(too_long)?;
            Ok(part)
        });
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

fn too_long() -> Error {
    Error::with_message(ErrorKind::DataConversion, format!("an answer must be at most {MAX_ANSWER} bytes long"))
}
