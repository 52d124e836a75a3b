//! Whether servers refuse who we are: the driver keeps trying, and nobody would be told.

use std::sync::Arc;

use fred::{clients::Client as Driver, error::ErrorKind as DriverKind, interfaces::EventInterface};
use futures_util::future::{Either, select};
use parking_lot::RwLock;
use tokio::sync::broadcast::error::RecvError;

/// What the last attempt to connect was refused with, if it was for the credentials.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal(Arc<RwLock<Option<String>>>);

impl Refusal {
    /// Returns the word of the server.
    pub(super) fn code(&self) -> Option<String> {
        self.0.read().clone()
    }

    /// Takes note of how the driver's attempts end; returns when the driver is gone.
    pub(super) async fn watch(self, driver: Driver) {
        let (mut errors, mut connected) = (driver.error_rx(), driver.reconnect_rx());
        loop {
            let noted = match select(Box::pin(errors.recv()), Box::pin(connected.recv())).await {
                Either::Left((Ok((error, _)), _)) if error.kind() == &DriverKind::Auth => {
                    Some(code_of(error.details()))
                }
                Either::Left((Ok(_), _)) | Either::Right((Ok(_), _)) => None,
                Either::Left((Err(RecvError::Closed), _)) | Either::Right((Err(RecvError::Closed), _)) => return,
                Either::Left((Err(RecvError::Lagged(_)), _)) | Either::Right((Err(RecvError::Lagged(_)), _)) => {
                    continue;
                }
            };
            self.note(noted);
        }
    }

    fn note(&self, code: Option<String>) {
        if *self.0.read() == code {
            return;
        }
        match &code {
            Some(code) => tracing::error!(code, "redis refuses these credentials; it is tried again"),
            None => tracing::info!("redis does not refuse these credentials any more"),
        }
        *self.0.write() = code;
    }
}

/// The first word of what the server said: the rest may quote a name.
fn code_of(details: &str) -> String {
    let word = details.split(' ').next().unwrap_or_default();
    let good = !word.is_empty() && word.len() <= 32 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    if good { word.to_owned() } else { "NOAUTH".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_word_and_holds_until_something_else_happens() {
        assert_eq!(code_of("WRONGPASS invalid username-password pair of ada"), "WRONGPASS");
        assert_eq!((code_of(""), code_of("ada is not known")), ("NOAUTH".to_owned(), "NOAUTH".to_owned()));
        let refusal = Refusal::default();
        assert_eq!(refusal.code(), None);
        refusal.note(Some("WRONGPASS".to_owned()));
        assert_eq!(refusal.code().as_deref(), Some("WRONGPASS"));
        refusal.note(None);
        assert_eq!(refusal.code(), None);
    }
}
