//! How a store is set up.

mod check;
mod connect;
mod settings;
mod tls;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use fred::{clients::Client as Driver, interfaces::ClientLike};
use memstache_core::{Clock, Error, Result};
use tokio::runtime::Handle;

pub use self::settings::OnOversize;
pub(crate) use self::settings::{Settings, count};
use self::{tls::Tls, url::Place};
use crate::{
    client::{Client, FredClient, Lanes},
    layout::Keys,
    listen::{Dialer, Listeners},
    store::{RedisStore, Shared},
};

/// How long making a connection may take, unless it is told.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a connection failed, at first and at most.
const RECONNECT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// Commands that wait for each connection.
const MAX_QUEUED: usize = 16_384;

/// Builds a [`RedisStore`]; see [`RedisStore::builder`].
///
/// | URL | what stands there |
/// | --- | --- |
/// | `redis://host:6379/0` | one server |
/// | `redis-sentinel://host:26379/0?node=host2:26379&service=main` | the primary that Sentinels name |
/// | `redis-cluster://host:6379?node=host2:6379` | a Cluster; the other nodes are found |
///
/// With `rediss` in front it is the same over TLS (feature `tls`); `user:password@` stands before the host,
/// percent-encoded. Settings that do not fit together, or are out of their limits, are
/// [`Invalid`](memstache_core::ErrorKind::Invalid) and named when the store is built.
#[must_use = "a builder does nothing until it is built"]
#[derive(Clone)]
pub struct RedisBuilder {
    from: From,
    tls: Tls,
    prefix: String,
    client_name: Option<String>,
    sentinel_auth: (Option<String>, Option<String>),
    connections: usize,
    connect_timeout: Duration,
    reconnect_backoff: (Duration, Duration),
    /// A setting of connections that there is no place for.
    misplaced: Option<&'static str>,
    settings: Settings,
}

#[derive(Clone)]
enum From {
    Place(Place),
    Driver(Driver),
}

impl RedisBuilder {
    pub(crate) fn from_url(url: &str) -> Result<Self> {
        Ok(Self::new(From::Place(Place::parse(url)?)))
    }

    /// Builds a store over a client of fred that is started, configured and ended by the application.
    ///
    /// Its command attempts and timeouts do not matter: each command of the store has its own. Settings of connections
    /// here are refused.
    pub fn from_client(client: Driver) -> Self {
        Self::new(From::Driver(client))
    }

    fn new(from: From) -> Self {
        Self {
            from,
            tls: Tls::default(),
            prefix: "ms:".to_owned(),
            client_name: None,
            sentinel_auth: (None, None),
            connections: 1,
            connect_timeout: CONNECT_TIMEOUT,
            reconnect_backoff: RECONNECT_BACKOFF,
            misplaced: None,
            settings: Settings::default(),
        }
    }

    /// Sets user and password of an ACL; an empty user for the password alone. Default: those of the URL.
    pub fn credentials(mut self, username: &str, password: &str) -> Self {
        match &mut self.from {
            From::Place(place) => {
                place.username = (!username.is_empty()).then(|| username.to_owned());
                place.password = Some(password.to_owned());
            }
            From::Driver(_) => self.misplaced = Some("credentials"),
        }
        self
    }

    /// Sets user and password of the Sentinels. Default: none.
    pub fn sentinel_credentials(mut self, username: &str, password: &str) -> Self {
        self.sentinel_auth = ((!username.is_empty()).then(|| username.to_owned()), Some(password.to_owned()));
        self
    }

    /// Sets the database, 0 to 255; a Cluster has only 0. Default: that of the URL, or 0.
    pub fn database(mut self, database: u8) -> Self {
        match &mut self.from {
            From::Place(place) => place.database = database,
            From::Driver(_) => self.misplaced = Some("database"),
        }
        self
    }

    /// Sets the name that the server shows for each connection: 1 to 1,024 printable ASCII characters without spaces.
    /// Default: none.
    pub fn client_name(mut self, name: &str) -> Self {
        self.client_name = Some(name.to_owned());
        self
    }

    /// Sets the certificates of the authorities to trust, in PEM. Default: those of the machine.
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.ca = Some(pem.into());
        self
    }

    /// Sets the certificate chain and the key by which the client shows who it is, in PEM. Default: none.
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.identity = Some((chain.into(), key.into()));
        self
    }

    /// Sets the number of connections to each server, 1 to 64; commands are spread over them by key. Default: 1.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Bounds how long making a connection may take, TLS included; 1 ms to 60 s. Default: 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the pause after a connection failed, which doubles up to the second; 1 ms to 60 s. Default: 50 ms, 250 ms.
    pub fn reconnect_backoff(mut self, least: Duration, most: Duration) -> Self {
        self.reconnect_backoff = (least, most);
        self
    }

    /// Bounds one attempt of a read; 1 ms to 60 s. Default: 250 ms.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.settings.read_timeout = timeout;
        self
    }

    /// Sets how often a read is tried, 1 to 100; within the call's time. Default: 3.
    ///
    /// A write is tried once: what was cut off is [`Unknown`](memstache_core::ErrorKind::Unknown).
    pub fn read_attempts(mut self, attempts: u32) -> Self {
        self.settings.read_attempts = attempts;
        self
    }

    /// Sets the pause before a read is tried again, which doubles and is shortened at random; up to 60 s. Default: 25 ms.
    pub fn backoff(mut self, pause: Duration) -> Self {
        self.settings.backoff = pause;
        self
    }

    /// Bounds a write; after this the server refuses it, should it arrive late. 1 ms to 60 s. Default: 2 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.settings.write_timeout = timeout;
        self
    }

    /// Bounds a whole call without a deadline of its own; 1 ms to 60 s. Default: 2 s.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.settings.call_timeout = timeout;
        self
    }

    /// Sets what all keys begin with: 1 to 32 bytes of `[A-Za-z0-9._:-]`. Default: `ms:`.
    ///
    /// Stores with different prefixes on one server know nothing of each other.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Sets how long a lease lives unless it is renewed: two heartbeats; 10 ms to an hour. Default: 4 s.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.settings.lease_ttl = ttl;
        self
    }

    /// Sets how long an entry without a ttl lives; 1 ms to 3,650 days. Default: 24 h. Nothing is stored without an end.
    pub fn max_ttl(mut self, ttl: Duration) -> Self {
        self.settings.max_ttl = ttl;
        self
    }

    /// Sets how long the mark of a removal stays, about 100 bytes; 1 ms to an hour. Default: 30 s.
    pub fn tombstone_ttl(mut self, ttl: Duration) -> Self {
        self.settings.tombstone_ttl = ttl;
        self
    }

    /// Bounds a value as it is stored, 1 byte to 512 MiB. Default: 8 MiB.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_value_bytes = bytes;
        self
    }

    /// Sets what becomes of a larger one. Default: [`OnOversize::Error`].
    pub fn on_oversize(mut self, on_oversize: OnOversize) -> Self {
        self.settings.on_oversize = on_oversize;
        self
    }

    /// Bounds the bytes of all writes under way; beyond it a write is [`Overloaded`](memstache_core::ErrorKind::Overloaded).
    /// 1 KiB to 1 TiB. Default: 64 MiB.
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_in_flight_bytes = bytes;
        self
    }

    /// Bounds the commands that wait for each connection; beyond it a call is
    /// [`Overloaded`](memstache_core::ErrorKind::Overloaded). 16 to 1,048,576. Default: 16,384.
    ///
    /// Writes that share commands count one by one until they are answered, and at least 128 of them may be under way.
    pub fn max_queued(mut self, commands: usize) -> Self {
        self.settings.max_queued = commands;
        self
    }

    /// Bounds the invalidated tags that a tenant's line remembers one by one, 16 to 16,777,216. Default: 65,536.
    ///
    /// Twice as many are kept. Beyond it the oldest are forgotten, and what they could have hidden is hidden: misses,
    /// never outdated answers.
    pub fn max_tags(mut self, tags: u64) -> Self {
        self.settings.max_tags = tags;
        self
    }

    /// Sets how many changes a coherence subscriber may fall behind before it gets a gap; 1 to 1,048,576.
    /// Default: 4,096.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.settings.event_capacity = events;
        self
    }

    /// Sets how often it is tried whether changes are told; 10 ms to an hour. Default: 1 s.
    ///
    /// A server that hangs, or that stopped telling, is noticed after at most twice this time.
    pub fn canary_interval(mut self, interval: Duration) -> Self {
        self.settings.canary_interval = interval;
        self
    }

    /// Sets where time comes from; all parts of a stack must share it. Default: the system's clock.
    ///
    /// Lifetimes are counted by the server's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Builds the store, which connects by itself from now on, and keeps trying.
    ///
    /// Error: [`Invalid`](memstache_core::ErrorKind::Invalid) for settings, for certificates, and outside of a tokio
    /// runtime; [`Unsupported`](memstache_core::ErrorKind::Unsupported) for TLS without the feature `tls`.
    pub fn build(self) -> Result<RedisStore> {
        Ok(RedisStore::from_shared(self.shared()?))
    }

    /// Builds the store and waits until its servers answer.
    ///
    /// For applications that would rather not start. Errors are those of [`build`](Self::build) and of
    /// [`ready`](RedisStore::ready).
    pub async fn connect(self, within: Duration) -> Result<RedisStore> {
        let store = self.build()?;
        store.ready(within).await?;
        Ok(store)
    }

    pub(crate) fn shared(self) -> Result<Shared> {
        let keys = Keys::new(&self.prefix)?;
        self.check()?;
        let runtime = Handle::try_current()
            .map_err(|_| Error::invalid("the caller", "inside of a tokio runtime", "a thread without one"))?;
        let (lanes, config) = match &self.from {
            From::Driver(driver) => {
                let lanes = Lanes { drivers: vec![driver.clone()], owned: false, client_name: None };
                (lanes, driver.client_config())
            }
            From::Place(place) => {
                let config = self.config(place)?;
                let drivers = (0..self.connections).map(|_| self.driver(&config)).collect();
                (Lanes { drivers, owned: true, client_name: self.client_name.clone() }, config)
            }
        };
        let dialer = Dialer::new(&config, self.client_name.clone(), self.connect_timeout);
        let client: Arc<dyn Client> = Arc::new(FredClient::start(lanes, &runtime));
        let listeners = Listeners::new(Arc::clone(&client), dialer, keys.clone(), &self.settings, runtime.clone());
        Ok(Shared::new(client, keys, self.settings, listeners, runtime))
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither user nor password.
        let mut out = f.debug_struct("RedisBuilder");
        if let From::Place(place) = &self.from {
            out.field("kind", &place.kind).field("hosts", &place.hosts).field("tls", &place.tls);
        }
        out.field("prefix", &self.prefix).field("connections", &self.connections).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(builder: RedisBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    fn single() -> RedisBuilder {
        RedisBuilder::from_url("redis://127.0.0.1:1").unwrap()
    }

    #[tokio::test]
    async fn settings_are_checked_together() {
        for (builder, wanted) in [
            (single().connections(0), "connections must be 1 to 64, but 0 was given"),
            (single().connect_timeout(Duration::ZERO), "connect_timeout must be 1ms to 60s, but 0ns was given"),
            (
                single().read_timeout(Duration::from_secs(3)),
                "read_timeout must be at most call_timeout (2s), but 3s was given",
            ),
            (single().read_attempts(0), "read_attempts must be 1 to 100, but 0 was given"),
            (single().lease_ttl(Duration::ZERO), "lease_ttl must be 10ms to 3600s, but 0ns was given"),
            (
                single().max_value_bytes(65 << 20),
                "max_value_bytes must be at most max_in_flight_bytes (67108864), but 68157440 was given",
            ),
            (
                single().client_name("a b"),
                "client_name must be 1 to 1024 printable ASCII characters without spaces, but another text of 3 bytes was given",
            ),
            (
                single().reconnect_backoff(Duration::from_secs(2), Duration::from_secs(1)),
                "reconnect_backoff_max must be 2s to 60s, but 1s was given",
            ),
            (single().ca("x"), "ca and identity must be given with rediss:// only, but a URL without TLS was given"),
            (
                single().sentinel_credentials("", "x"),
                "sentinel_credentials must be given with redis-sentinel:// only, but another URL was given",
            ),
            (single().credentials("ada", ""), "password must be 1 to 1024 bytes long, but 0 bytes was given"),
            (
                RedisBuilder::from_url("redis://ada@h").unwrap(),
                "password must be given with a username, but none was given",
            ),
            (
                RedisBuilder::from_url("redis-cluster://h/3").unwrap(),
                "database must be 0 in a Cluster, but 3 was given",
            ),
            (
                single().prefix("{"),
                "prefix must be made of A-Z a-z 0-9 . _ : -, but another character at byte 0 was given",
            ),
        ] {
            assert_eq!(message(builder), wanted);
        }
    }

    #[tokio::test]
    async fn a_client_of_the_application_takes_no_settings_of_connections() {
        let own = || RedisBuilder::from_client(fred::clients::Client::default());
        let second = Duration::from_secs(2);
        for (builder, name) in [
            (own().credentials("ada", "x"), "credentials"),
            (own().database(3), "database"),
            (own().sentinel_credentials("", "x"), "sentinel_credentials"),
            (own().client_name("x"), "client_name"),
            (own().ca("x"), "ca or identity"),
            (own().connections(2), "connections"),
            (own().connect_timeout(second), "connect_timeout"),
            (own().reconnect_backoff(second, second), "reconnect_backoff"),
            (own().max_queued(100), "max_queued"),
        ] {
            let wanted = format!("settings of connections must be those of the client, but {name} was given");
            assert_eq!(message(builder), wanted);
        }
    }

    #[test]
    fn a_store_needs_a_runtime() {
        assert_eq!(
            message(single()),
            "the caller must be inside of a tokio runtime, but a thread without one was given"
        );
    }

    #[cfg(not(feature = "tls"))]
    #[tokio::test]
    async fn tls_needs_its_feature() {
        let error = RedisBuilder::from_url("rediss://h").unwrap().build().unwrap_err();
        assert_eq!(error.kind(), memstache_core::ErrorKind::Unsupported);
    }

    #[test]
    fn debug_shows_no_credentials() {
        let shown = format!("{:?}", RedisBuilder::from_url("redis://ada:secret@h").unwrap());
        assert!(!shown.contains("secret") && !shown.contains("ada"), "{shown}");
    }
}
