//! From what the tiers report to what a read would come to: pure.

use std::time::Duration;

use super::{EntryExplained, Explanation, TierExplained};
use crate::{
    cache::Outcome,
    clock::Tick,
    entry::{Content, Encoding, Entry, FormatId, Meta, Schema},
    error::{Error, Result},
    expiry::{self, Freshness},
    request::{Reason, TierReport},
};

/// What the handle expects of an entry.
pub(crate) struct Expected {
    pub(crate) format: FormatId,
    pub(crate) schema: Option<Schema>,
    pub(crate) max_staleness: Option<Duration>,
}

impl Explanation {
    /// Judges what the tiers report, at `now`.
    pub(crate) fn judge(
        near: Option<TierReport>,
        below: Result<Vec<TierReport>>,
        expected: &Expected,
        now: Tick,
    ) -> Self {
        let (below, failed) = match below {
            Ok(reports) => (reports, None),
            Err(error) => (vec![TierReport::absent("store", Reason::Unavailable)], Some(error)),
        };
        let tiers: Vec<_> = near.into_iter().chain(below).map(|report| explained(report, expected, now)).collect();
        conclude(tiers, failed)
    }
}

/// Follows a read from tier to tier.
fn conclude(tiers: Vec<TierExplained>, failed: Option<Error>) -> Explanation {
    let error = failed.map(|error| error.kind());
    let last = tiers.len().saturating_sub(1);
    for (at, tier) in tiers.iter().enumerate() {
        let answer = match (tier.outcome, tier.reason) {
            // A copy in its grace is served only if what is below fails.
            (Some(Outcome::Stale), _) if at < last => continue,
            (Some(outcome), _) => (Some(outcome), Some(tier.tier.clone()), None),
            // What is there and cannot be opened ends the read: it is loaded anew, not looked for below.
            (None, Some(reason @ (Reason::Schema | Reason::Rejected))) => (Some(Outcome::Miss), None, Some(reason)),
            _ => continue,
        };
        let (outcome, tier, reason) = answer;
        return Explanation { outcome, tier, reason, error, tiers };
    }
    let reason = tiers.last().and_then(|tier| tier.reason);
    if reason != Some(Reason::Unavailable) {
        return Explanation { outcome: Some(Outcome::Miss), tier: None, reason, error, tiers };
    }
    let copy = tiers[..last].iter().find(|tier| is_fallback(tier)).map(|tier| tier.tier.clone());
    Explanation { outcome: copy.is_some().then_some(Outcome::Stale), tier: copy, reason, error, tiers }
}

/// Whether a copy stands in for a store that fails: in its grace, or unverified.
fn is_fallback(tier: &TierExplained) -> bool {
    let served = |entry: &EntryExplained| !entry.negative && entry.served_for != Some(Duration::ZERO);
    tier.outcome == Some(Outcome::Stale)
        || (tier.reason == Some(Reason::Unverified) && tier.entry.as_ref().is_some_and(served))
}

fn explained(report: TierReport, expected: &Expected, now: Tick) -> TierExplained {
    let TierReport { tier, reason, entry, loading } = report;
    let (outcome, reason) = match (reason, &entry) {
        // An unverified copy stands in for the store, but not for a reader to whom it is too old.
        (Some(Reason::Unverified), Some(entry)) if is_too_old(&entry.meta, expected, now) => {
            (None, Some(Reason::TooOld))
        }
        (Some(reason), _) => (None, Some(reason)),
        (None, None) => (Some(Outcome::Hit), None),
        (None, Some(entry)) => match verdict(&entry.meta, expected, now) {
            Ok(outcome) => (Some(outcome), None),
            Err(reason) => (None, Some(reason)),
        },
    };
    TierExplained { tier, outcome, reason, entry: entry.map(|entry| told(&entry, now)), loading }
}

fn is_too_old(meta: &Meta, expected: &Expected, now: Tick) -> bool {
    expected.max_staleness.is_some_and(|max| now.since(meta.confirmed_at) > max)
}

fn verdict(meta: &Meta, expected: &Expected, now: Tick) -> Result<Outcome, Reason> {
    let freshness = expiry::freshness(meta, now, expected.max_staleness);
    match freshness {
        Freshness::Expired if expiry::freshness(meta, now, None) == Freshness::Expired => Err(Reason::Expired),
        Freshness::Expired => Err(Reason::TooOld),
        _ if meta.content.negative && !meta.content.sealed => Ok(Outcome::Negative),
        _ => readable(&meta.content, expected).map(|()| match freshness {
            Freshness::Stale => Outcome::Stale,
            _ => Outcome::Hit,
        }),
    }
}

fn readable(content: &Content, expected: &Expected) -> Result<(), Reason> {
    if content.sealed || content.encoding != Encoding::NONE || content.format != expected.format {
        return Err(Reason::Rejected);
    }
    if content.schema == expected.schema { Ok(()) } else { Err(Reason::Schema) }
}

fn told(entry: &Entry, now: Tick) -> EntryExplained {
    let (meta, dead_at) = (&entry.meta, expiry::dead_at(&entry.meta));
    let left = |until: Tick| (until != Tick::NEVER).then(|| until.since(now));
    EntryExplained {
        version: meta.version,
        age: now.since(meta.written_at),
        confirmed: now.since(meta.confirmed_at),
        fresh_for: left(meta.fresh_until),
        served_for: left(dead_at),
        dead_for: now.since(dead_at),
        sliding: meta.sliding,
        load_cost: meta.load_cost,
        bytes: entry.value.len(),
        tags: meta.tags.as_slice().len(),
        format: meta.content.format,
        schema: meta.content.schema,
        encoding: meta.content.encoding,
        sealed: meta.content.sealed,
        negative: meta.content.negative,
    }
}
