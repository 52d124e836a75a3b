//! Where the server is, and how to speak with it.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::ServerAddr;
use memstache_core::{Clock, Error, Result, SystemClock};
use tokio::sync::Mutex;

use super::{NatsDiscovery, listener::State};
use crate::problems::Problems;

/// The most servers.
const MAX_SERVERS: usize = 16;
/// The longest subject, in bytes.
const MAX_SUBJECT: usize = 255;

/// Gathers what [`NatsDiscovery`] needs.
///
/// Nothing is checked before [`build`](Self::build), and nothing is connected before the first call.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before `build`"]
pub struct NatsDiscoveryBuilder {
    servers: Vec<String>,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

/// How to speak with the server.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) subject: String,
    pub(super) login: Option<Login>,
    pub(super) ca: Option<PathBuf>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    pub(super) require_tls: bool,
    pub(super) timeout: Duration,
    pub(super) heartbeat: Duration,
}

/// Who this node is to the server.
#[derive(Clone)]
pub(super) enum Login {
    User(String, String),
    Token(String),
}

impl NatsDiscoveryBuilder {
    pub(super) fn new(server: String, subject: String) -> Self {
        let settings = Settings {
            servers: Vec::new(),
            subject,
            login: None,
            ca: None,
            identity: None,
            require_tls: false,
            timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(5),
        };
        Self { servers: vec![server], settings, clock: Arc::new(SystemClock::new()) }
    }

    /// Adds a server of the same system, to turn to when another is away; at most 16 together.
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.servers.push(server.into());
        self
    }

    /// Sets the user and the password. Default: none.
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.settings.login = Some(Login::User(user.into(), password.into()));
        self
    }

    /// Sets a token, instead of user and password. Default: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.login = Some(Login::Token(token.into()));
        self
    }

    /// Refuses servers without TLS, whatever their address says. Default: no.
    pub fn require_tls(mut self) -> Self {
        self.settings.require_tls = true;
        self
    }

    /// Believes servers whose certificates this file of PEM signed, and no others. Default: what the system believes.
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.ca = Some(file.into());
        self
    }

    /// Shows this certificate, with its key, to the server: files of PEM. Default: none.
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.settings.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Sets how long it may take to connect, and how long answers are waited for: above zero, at most 4 s. Default: 1 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = limit;
        self
    }

    /// Sets how often a node tells of itself: 100 ms to 1 minute. Default: 5 s. A node is named until it was silent for three of
    /// these.
    pub fn heartbeat(mut self, period: Duration) -> Self {
        self.settings.heartbeat = period;
        self
    }

    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the provider. Error: `Invalid`, which names everything that is wrong.
    pub fn build(self) -> Result<NatsDiscovery> {
        let Self { servers, mut settings, clock } = self;
        let mut problems = Problems::default();
        problems.within("servers", servers.len(), 1, MAX_SERVERS);
        settings.servers = servers.iter().filter_map(|server| problems.note(address(server))).collect();
        problems.note(check_subject(&settings.subject));
        for (field, given, least, most) in [
            ("timeout", settings.timeout, Duration::from_millis(1), Duration::from_secs(4)),
            ("heartbeat", settings.heartbeat, Duration::from_millis(100), Duration::from_secs(60)),
        ] {
            let wrong = || Error::invalid(field, format_args!("{least:?} to {most:?}"), format_args!("{given:?}"));
            problems.require((least..=most).contains(&given), wrong);
        }
        let empty = match &settings.login {
            Some(Login::User(user, password)) => user.is_empty() || password.is_empty(),
            Some(Login::Token(token)) => token.is_empty(),
            None => false,
        };
        problems.require(!empty, || Error::invalid("user, password and token", "set to something", "an empty text"));
        problems.finish()?;
        let state = Arc::new(State::new(settings.heartbeat));
        Ok(NatsDiscovery { settings: Arc::new(settings), state, connection: Arc::new(Mutex::new(None)), clock })
    }
}

fn address(server: &str) -> Result<ServerAddr> {
    let what = |given: &str| Error::invalid("server", "nats://host:port or tls://host:port", given);
    let address: ServerAddr = server.parse().map_err(|_| what("something else"))?;
    if address.username().is_some() || address.password().is_some() {
        // Addresses are logged by clients and servers alike.
        return Err(what("one with a password in it (`user_and_password` takes it)"));
    }
    if !matches!(address.scheme(), "nats" | "tls") || address.host().is_empty() {
        return Err(what("another scheme"));
    }
    Ok(address)
}

fn check_subject(subject: &str) -> Result<()> {
    let token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>')
    };
    if subject.len() <= MAX_SUBJECT && subject.split('.').all(token) {
        return Ok(());
    }
    let limit = format_args!("1 to {MAX_SUBJECT} visible ASCII characters, words between dots, without wildcards");
    Err(Error::invalid("subject", limit, format_args!("one of {} bytes that is not so", subject.len())))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("servers", &self.servers.len())
            .field("subject", &self.subject)
            .field("login", &self.login.is_some())
            .field("tls", &self.require_tls)
            .field("timeout", &self.timeout)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::ErrorKind;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let error = NatsDiscovery::builder("ws://h", "a.*")
            .server("nats://me:secret@h")
            .server("::")
            .user_and_password("me", "")
            .timeout(Duration::from_secs(5))
            .heartbeat(Duration::ZERO)
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = error.to_string();
        for part in [
            "server must be nats://host:port or tls://host:port, but another scheme was given",
            "but one with a password in it (`user_and_password` takes it) was given",
            "but something else was given",
            "subject must be 1 to 255 visible ASCII characters, words between dots, without wildcards, but one of 3 bytes",
            "user, password and token must be set to something, but an empty text was given",
            "timeout must be 1ms to 4s, but 5s was given",
            "heartbeat must be 100ms to 60s, but 0ns was given",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn subjects_are_words_between_dots() {
        for wrong in ["", ".", "a.", ".a", "a..b", "a b", "a.>", "*", "\u{e9}", &"a".repeat(256)] {
            assert!(NatsDiscovery::builder("nats://h", wrong).build().is_err(), "{wrong}");
        }
        assert!(NatsDiscovery::builder("h:4222", "memstache.shop-1").build().is_ok());
    }

    #[test]
    fn no_secret_is_shown() {
        let built = NatsDiscovery::builder("nats://h", "a").user_and_password("me", "open-sesame").token("open-sesame");
        assert!(
            !format!("{built:?}").contains("sesame") && !format!("{:?}", built.build().unwrap()).contains("sesame")
        );
    }
}
