//! What the store goes by once it is built.

use std::{sync::Arc, time::Duration};

use memstache_core::{Clock, Error, MAX_TTL, Result, SystemClock};

/// What becomes of a value that is too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnOversize {
    /// The write fails with [`TooLarge`](memstache_core::ErrorKind::TooLarge).
    #[default]
    Error,
    /// The write is answered as if the value were stored and evicted at once.
    Skip,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) read_attempts: u32,
    pub(crate) backoff: Duration,
    pub(crate) lease_ttl: Duration,
    pub(crate) max_ttl: Duration,
    pub(crate) tombstone_ttl: Duration,
    pub(crate) max_value_bytes: usize,
    pub(crate) on_oversize: OnOversize,
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) max_queued: usize,
    pub(crate) max_tags: u64,
    pub(crate) event_capacity: usize,
    pub(crate) canary_interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_millis(250),
            write_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(2),
            read_attempts: 3,
            backoff: Duration::from_millis(25),
            lease_ttl: Duration::from_secs(4),
            max_ttl: Duration::from_secs(24 * 3600),
            tombstone_ttl: Duration::from_secs(30),
            max_value_bytes: 8 << 20,
            on_oversize: OnOversize::Error,
            max_in_flight_bytes: 64 << 20,
            max_queued: super::MAX_QUEUED,
            max_tags: 65_536,
            event_capacity: 4096,
            canary_interval: Duration::from_secs(1),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Settings {
    /// Checks all of them, and how they fit together.
    pub(crate) fn check(&self) -> Result<()> {
        let (milli, minute) = (Duration::from_millis(1), Duration::from_secs(60));
        span("read_timeout", self.read_timeout, milli, minute)?;
        span("write_timeout", self.write_timeout, milli, minute)?;
        span("call_timeout", self.call_timeout, milli, minute)?;
        span("backoff", self.backoff, Duration::ZERO, minute)?;
        span("lease_ttl", self.lease_ttl, 10 * milli, 60 * minute)?;
        span("max_ttl", self.max_ttl, milli, MAX_TTL)?;
        span("tombstone_ttl", self.tombstone_ttl, milli, 60 * minute)?;
        span("canary_interval", self.canary_interval, 10 * milli, 60 * minute)?;
        count("read_attempts", self.read_attempts as usize, 1, 100)?;
        count("max_value_bytes", self.max_value_bytes, 1, 512 << 20)?;
        count("max_in_flight_bytes", self.max_in_flight_bytes, 1024, 1 << 40)?;
        count("max_tags", usize::try_from(self.max_tags).unwrap_or(usize::MAX), 16, 16 << 20)?;
        count("event_capacity", self.event_capacity, 1, 1 << 20)?;
        if self.read_timeout > self.call_timeout {
            let limit = format_args!("at most call_timeout ({:?})", self.call_timeout);
            return Err(Error::invalid("read_timeout", limit, format_args!("{:?}", self.read_timeout)));
        }
        if self.max_value_bytes > self.max_in_flight_bytes {
            let limit = format_args!("at most max_in_flight_bytes ({})", self.max_in_flight_bytes);
            return Err(Error::invalid("max_value_bytes", limit, self.max_value_bytes));
        }
        Ok(())
    }

    /// Returns how long the line of a tenant is kept after it was last looked at: longer than what it could hide.
    pub(crate) fn line_life(&self) -> Duration {
        (self.max_ttl * 2).max(Duration::from_secs(24 * 3600))
    }
}

pub(crate) fn span(field: &str, given: Duration, least: Duration, most: Duration) -> Result<()> {
    if given < least || given > most {
        return Err(Error::invalid(field, format_args!("{least:?} to {most:?}"), format_args!("{given:?}")));
    }
    Ok(())
}

pub(crate) fn count(field: &str, given: usize, least: usize, most: usize) -> Result<()> {
    if given < least || given > most {
        return Err(Error::invalid(field, format_args!("{least} to {most}"), given));
    }
    Ok(())
}
