//! Whether a primary tells what changes: something is changed for no other reason, and must be told in time.

use std::time::Duration;

use memstache_core::Tick;

/// The canary of one connection, as a state machine.
#[derive(Debug)]
pub(super) struct Canary {
    interval: Duration,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The next one goes at this tick.
    Rests(Tick),
    /// This one went at this tick.
    Out(u64, Tick),
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing until this tick.
    Wait(Tick),
    /// Send one.
    Send,
    /// The last one did not come back in time.
    Lost,
}

impl Canary {
    pub(super) fn new(interval: Duration, now: Tick) -> Self {
        Self { interval, state: State::Rests(now) }
    }

    pub(super) fn due(&self, now: Tick) -> Due {
        match self.state {
            State::Rests(until) if now < until => Due::Wait(until),
            State::Rests(_) => Due::Send,
            State::Out(_, since) if now < since.after(self.interval) => Due::Wait(since.after(self.interval)),
            State::Out(..) => Due::Lost,
        }
    }

    pub(super) fn sent(&mut self, nonce: u64, now: Tick) {
        self.state = State::Out(nonce, now);
    }

    /// Returns how long it was out, if this is the one.
    pub(super) fn returned(&mut self, nonce: u64, now: Tick) -> Option<Duration> {
        let State::Out(out, since) = self.state else { return None };
        if out != nonce {
            return None;
        }
        self.state = State::Rests(since.after(self.interval));
        Some(now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_at_once_then_by_the_interval_and_must_return() {
        let at = Tick::from_millis;
        let mut canary = Canary::new(Duration::from_millis(100), at(1_000));
        assert_eq!(canary.due(at(1_000)), Due::Send);
        canary.sent(7, at(1_000));
        assert_eq!(canary.due(at(1_050)), Due::Wait(at(1_100)));
        assert_eq!(canary.returned(6, at(1_001)), None, "another one");
        assert_eq!(canary.returned(7, at(1_003)), Some(Duration::from_millis(3)));
        assert_eq!(canary.returned(7, at(1_003)), None, "its key goes away: told again");
        assert_eq!(canary.due(at(1_050)), Due::Wait(at(1_100)));
        assert_eq!(canary.due(at(1_100)), Due::Send);
        canary.sent(8, at(1_100));
        assert_eq!(canary.due(at(1_200)), Due::Lost);
    }
}
