//! What a call asks of every layer: until when, from whom, how old.

use std::time::Duration;

use crate::clock::Tick;

/// From whom a read may be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// From the nearest copy that is not known to be outdated.
    #[default]
    Near,
    /// From what the nearest tier holds, fresh or in its grace: a near cache asks nobody below, and reports what it lacks as
    /// missing. Without one, the store answers as ever. Nothing is leased.
    Nearest,
    /// From the authority for the key: near caches and copies are passed by.
    Authority,
}

/// What a call asks of every layer that it passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// When the caller gives up. Default: never.
    pub deadline: Option<Tick>,
    /// From whom a read may be answered. Default: the nearest copy.
    pub consistency: Consistency,
    /// How long ago the answer may have last been confirmed by its authority. Default: any time.
    pub max_staleness: Option<Duration>,
    /// Whether a value in its grace is no answer to the caller: a layer that would answer with one may as well refuse. Default:
    /// no. What is found is reported as it is.
    pub fresh_only: bool,
    /// When the call began, as [`SystemClock`](crate::SystemClock) measures [time](crate::Clock::elapsed): so that who
    /// measures the call below need not ask the clock once more. Default: not known. It stays within the process.
    pub begun: Option<Duration>,
}
