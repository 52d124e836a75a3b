//! What the cache promises, held against what was seen.

mod neighbours;

use std::time::Duration;

use crate::{
    database::Queries,
    held::Held,
    load::{Invalidated, Measured, Neighbours, Stampeded, Unknown, Writes},
};

/// All that was seen.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) uncached: Side,
    pub(crate) cached: Side,
    /// Lifetimes of an entry that fit into the load through the cache.
    pub(crate) lifetimes: u64,
    pub(crate) writes: Writes,
    pub(crate) stampede: Checked<Stampeded>,
    pub(crate) invalidation: Checked<Invalidated>,
    pub(crate) unknown: Checked<Unknown>,
    pub(crate) held: Held,
    /// `None` if there is one shop.
    pub(crate) neighbours: Option<Neighbours>,
}

/// One of the two ways.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) measured: Measured,
    /// Queries of the database for single products.
    pub(crate) queries: Queries,
    /// Products that were asked for, by clients and the writer.
    pub(crate) asked: u64,
}

/// A check by itself, with the queries of its product that it caused.
#[derive(Debug)]
pub(crate) struct Checked<T> {
    pub(crate) seen: T,
    pub(crate) loads: u64,
}

/// Returns how many lifetimes of an entry can have begun within a load: one, and one more for each that has ended.
///
/// The shortest that an entry may have counts, jitter taken off.
pub(crate) fn lifetimes(elapsed: Duration, ttl: Duration, jitter: f64) -> u64 {
    1 + (elapsed.as_secs_f64() / ttl.mul_f64(1.0 - jitter).as_secs_f64()) as u64
}

impl Side {
    /// Returns the queries for each product and lifetime.
    pub(crate) fn per_lifetime(&self, lifetimes: u64) -> f64 {
        self.queries.total as f64 / (self.asked * lifetimes).max(1) as f64
    }
}

impl Evidence {
    /// Returns what was not as promised, a sentence each; empty if all is well.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        for (way, side) in [("uncached", &self.uncached), ("cached", &self.cached)] {
            let Measured { requests, errors, first_error, .. } = &side.measured;
            must(*errors == 0, format!("{errors} of {requests} {way} requests failed{}", first(first_error.as_ref())));
            must(*requests > 0, format!("no {way} request was answered"));
        }
        let Queries { total, most, .. } = self.cached.queries;
        let allowed = self.lifetimes;
        must(
            most <= allowed && total <= self.cached.asked * allowed,
            format!(
                "the database was asked {most} times for one product, and {total} times for {} products, where the \
                cache allows {allowed} for each",
                self.cached.asked
            ),
        );
        let Writes { writes, old_reads, errors, first_error, .. } = &self.writes;
        must(*errors == 0, format!("{errors} changes failed{}", first(first_error.as_ref())));
        must(*writes > 0, "no change was made".to_owned());
        must(*old_reads == 0, format!("{old_reads} reads after {writes} changes were old"));
        self.checks(&mut must);
        self.held.judge(&mut must);
        if let Some(seen) = &self.neighbours {
            neighbours::judge(seen, &mut must);
        }
        faults
    }

    fn checks(&self, must: &mut impl FnMut(bool, String)) {
        let Checked { seen, loads } = &self.stampede;
        let failed = first(seen.first_error.as_ref());
        must(seen.errors == 0, format!("{} of {} requests at once failed{failed}", seen.errors, seen.requests));
        must(*loads == 1, format!("{} requests at once for one product caused {loads} loads", seen.requests));

        let Checked { seen, loads } = &self.invalidation;
        for fault in &seen.faults {
            must(false, format!("invalidating a tag: {fault}"));
        }
        must(*loads == 2, format!("one product before and after its invalidation caused {loads} loads, not 2"));

        let Checked { seen, loads } = &self.unknown;
        let (wrong, requests) = (seen.wrong, seen.requests);
        must(wrong == 0, format!("{wrong} of {requests} requests for an unknown product were answered wrongly"));
        must(*loads == 1, format!("{requests} requests for an unknown product caused {loads} loads"));
    }
}

fn first(error: Option<&anyhow::Error>) -> String {
    error.map(|error| format!("; the first: {error:#}")).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
