//! Whether all settings fit together.

use std::time::Duration;

use memstache_core::{Error, Result};

use super::{
    CONNECT_TIMEOUT, From, MAX_QUEUED, RECONNECT_BACKOFF, RedisBuilder,
    settings::{count, span},
    url::{Kind, Place},
};

/// Longest name, user or password, in bytes.
const MAX_TEXT: usize = 1024;

impl RedisBuilder {
    pub(super) fn check(&self) -> Result<()> {
        self.settings.check()?;
        let (milli, minute) = (Duration::from_millis(1), Duration::from_secs(60));
        count("connections", self.connections, 1, 64)?;
        count("max_queued", self.settings.max_queued, 16, 1 << 20)?;
        span("connect_timeout", self.connect_timeout, milli, minute)?;
        let (least, most) = self.reconnect_backoff;
        span("reconnect_backoff", least, milli, minute)?;
        span("reconnect_backoff_max", most, least, minute)?;
        if let Some(name) = &self.client_name {
            let good = name.bytes().all(|byte| byte.is_ascii_graphic());
            if name.is_empty() || name.len() > MAX_TEXT || !good {
                let limit = format_args!("1 to {MAX_TEXT} printable ASCII characters without spaces");
                return Err(Error::invalid("client_name", limit, format_args!("another text of {} bytes", name.len())));
            }
        }
        match &self.from {
            From::Place(place) => self.check_place(place),
            From::Driver(_) => match self.of_connections().next() {
                Some(given) => Err(Error::invalid("settings of connections", "those of the client", given)),
                None => Ok(()),
            },
        }
    }

    /// The settings of connections that are not as they are by default.
    fn of_connections(&self) -> impl Iterator<Item = &'static str> {
        let others = [
            ("sentinel_credentials", self.sentinel_auth != (None, None)),
            ("client_name", self.client_name.is_some()),
            ("ca or identity", self.tls.is_given()),
            ("connections", self.connections != 1),
            ("connect_timeout", self.connect_timeout != CONNECT_TIMEOUT),
            ("reconnect_backoff", self.reconnect_backoff != RECONNECT_BACKOFF),
            ("max_queued", self.settings.max_queued != MAX_QUEUED),
        ];
        self.misplaced.into_iter().chain(others.into_iter().filter_map(|(name, given)| given.then_some(name)))
    }

    fn check_place(&self, place: &Place) -> Result<()> {
        for (field, text) in [("username", &place.username), ("password", &place.password)] {
            if let Some(text) = text.as_ref().filter(|text| text.is_empty() || text.len() > MAX_TEXT) {
                let limit = format_args!("1 to {MAX_TEXT} bytes long");
                return Err(Error::invalid(field, limit, format_args!("{} bytes", text.len())));
            }
        }
        if place.username.is_some() && place.password.is_none() {
            return Err(Error::invalid("password", "given with a username", "none"));
        }
        if place.kind == Kind::Cluster && place.database != 0 {
            return Err(Error::invalid("database", "0 in a Cluster", place.database));
        }
        if self.tls.is_given() && !place.tls {
            return Err(Error::invalid("ca and identity", "given with rediss:// only", "a URL without TLS"));
        }
        if self.sentinel_auth != (None, None) && !matches!(place.kind, Kind::Sentinel(_)) {
            return Err(Error::invalid("sentinel_credentials", "given with redis-sentinel:// only", "another URL"));
        }
        Ok(())
    }
}
