//! Failed loads, remembered briefly so that a failing source is not asked by every caller.

use std::time::Duration;

use dashmap::DashMap;

use crate::{
    address::Address,
    clock::Tick,
    error::{Error, Result},
    lifetime::positive,
};

/// Most keys whose failures are remembered.
const MAX_KEYS: usize = 16_384;

/// The failed loads of a handle: exponential backoff per key.
#[derive(Debug)]
pub(crate) struct Failures {
    first: Duration,
    max: Duration,
    keys: DashMap<Address, Failure>,
}

#[derive(Debug)]
struct Failure {
    error: Error,
    pause: Duration,
    until: Tick,
}

impl Failures {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, keys: DashMap::new() }
    }

    pub(crate) fn check(first: Duration, max: Duration) -> Result<()> {
        positive("error_backoff first", first)?;
        positive("error_backoff max", max)?;
        if first <= max {
            return Ok(());
        }
        Err(Error::invalid("error_backoff first", format_args!("at most its max ({max:?})"), format_args!("{first:?}")))
    }

    /// Returns the error that stands for a key, and until when.
    pub(super) fn standing(&self, address: &Address, now: Tick) -> Option<Error> {
        let failure = self.keys.get(address).filter(|failure| now < failure.until)?;
        Some(failure.error.clone().with_retry_after(failure.until.since(now)))
    }

    pub(super) fn failed(&self, address: &Address, error: &Error, now: Tick) {
        let mut pause = self.first;
        if let Some(mut failure) = self.keys.get_mut(address) {
            // One that has been over for longer than it lasted is forgotten.
            if now < failure.until.after(failure.pause) {
                pause = (failure.pause * 2).min(self.max);
            }
            *failure = Failure { error: error.clone(), pause, until: now.after(pause) };
            return;
        }
        if self.keys.len() >= MAX_KEYS {
            self.keys.retain(|_, failure| now < failure.until);
        }
        // Full of standing failures: this one is not remembered, and its key is simply tried again.
        if self.keys.len() < MAX_KEYS {
            self.keys.insert(address.clone(), Failure { error: error.clone(), pause, until: now.after(pause) });
        }
    }

    pub(super) fn succeeded(&self, address: &Address) {
        if !self.keys.is_empty() {
            self.keys.remove(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, KeyspaceName, Space};

    fn address(name: &str) -> Address {
        Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
    }

    #[test]
    fn pauses_double_up_to_the_maximum_and_a_success_forgets() {
        let secs = Duration::from_secs;
        let failures = Failures::new(secs(1), secs(3));
        let (key, error, start) = (address("a"), Error::new(ErrorKind::Load, "x"), Tick::from_millis(0));
        failures.failed(&key, &error, start);
        assert!(failures.standing(&key, Tick::from_millis(999)).is_some());
        assert!(failures.standing(&key, start.after(secs(1))).is_none());
        failures.failed(&key, &error, start.after(secs(1)));
        assert!(failures.standing(&key, Tick::from_millis(2_999)).is_some());
        failures.failed(&key, &error, start.after(secs(3)));
        assert!(failures.standing(&key, start.after(secs(6))).is_none(), "capped at 3 s");
        failures.succeeded(&key);
        failures.failed(&key, &error, start.after(secs(6)));
        assert!(failures.standing(&key, start.after(secs(7))).is_none(), "starts over");
    }

    #[test]
    fn keys_are_bounded() {
        let failures = Failures::new(Duration::from_secs(1), Duration::from_secs(1));
        let error = Error::new(ErrorKind::Load, "x");
        for n in 0..MAX_KEYS + 10 {
            failures.failed(&address(&n.to_string()), &error, Tick::from_millis(0));
        }
        assert_eq!(failures.keys.len(), MAX_KEYS);
        failures.failed(&address("new"), &error, Tick::from_millis(5_000));
        assert_eq!(failures.keys.len(), 1, "the ones that are over made room");
    }
}
