//! What is told, as JSON; never a value, and names of keys only to those with a token.

mod explain;
mod hot;
mod keyspaces;
mod partitions;
mod peers;
mod span;
mod status;

use std::time::{Duration, SystemTime};

pub(super) use self::{
    explain::{Question, explain},
    hot::{HotTold, hot_keys},
    keyspaces::{Protected, keyspaces},
    partitions::partitions,
    peers::{Peer, Who, peers},
    status::{Status, status},
};

/// Returns milliseconds since 1970.
pub(super) fn unix_millis(wall: SystemTime) -> u64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns milliseconds, with their fractions.
fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Returns a part of a whole, 0 to 1; none of nothing.
fn part(of: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| of / whole)
}
