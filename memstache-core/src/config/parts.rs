//! The parts that this crate registers.

use std::time::Duration;

use tower::timeout::TimeoutLayer;

use super::{
    Section,
    registry::{Backend, PlacedLayer},
};
use crate::{
    accountant::Accountant,
    error::Result,
    lifetime::MAX_TTL,
    memory::{MemoryBuilder, MemoryStore},
    observe,
};

const KIB: usize = 1 << 10;
const MOST_BYTES: usize = isize::MAX.unsigned_abs();
/// Under which name it is counted, and the name of those who choose none.
const NAME: &str = "name";
const CACHE: &str = "cache";
const MILLISECOND: Duration = Duration::from_millis(1);

/// `backend.kind = "memory"`.
pub(super) fn memory(section: &mut Section<'_>) -> Result<Backend> {
    finish(section, MemoryStore::builder())
}

/// `backend.kind = "memory"`, where somebody keeps account of it.
pub(super) fn accounted_memory(section: &mut Section<'_>, accountant: impl Accountant) -> Result<Backend> {
    finish(section, MemoryStore::builder().accountant(accountant))
}

fn finish(section: &mut Section<'_>, store: MemoryBuilder) -> Result<Backend> {
    let mut store = store
        .max_bytes(section.bytes("max_bytes", 64 << 20, 64 * KIB..=MOST_BYTES))
        .lease_ttl(section.span("lease_ttl", Duration::from_secs(4), MILLISECOND..=MAX_TTL))
        .max_leases(section.count("max_leases", 65_536, 1..=u32::MAX as usize))
        .max_tag_records(section.count("max_tag_records", 65_536, 1..=u32::MAX as usize))
        .event_capacity(section.count("event_capacity", 1024, 1..=1 << 20))
        .clock(section.clock());
    if let Some(shards) = section.optional_count("shards", 1..=1024) {
        store = store.shards(shards);
    }
    let policy = section.policy("policy", "tiny-lfu");
    let store = store.policy(move |share| policy(share)).build()?;
    let held = store.clone();
    Ok(Backend::coherent(store).holding(move || held.stats().into()))
}

/// `observe.kind = "registry"`.
pub(super) fn registry(section: &mut Section<'_>, metrics: &observe::Registry) -> Result<PlacedLayer> {
    let name = section.text(NAME, CACHE);
    let layer = PlacedLayer::recorder(metrics.recorder(&name)?, section.clock());
    Ok(PlacedLayer { metrics: Some((metrics.clone(), name)), ..layer })
}

/// `observe.kind = "metrics"`.
#[cfg(feature = "metrics")]
pub(super) fn metrics(section: &mut Section<'_>) -> Result<PlacedLayer> {
    let recorder = observe::MetricsRecorder::new(&section.text(NAME, CACHE))?;
    Ok(PlacedLayer::recorder(recorder, section.clock()))
}

/// `timeout.kind = "attempt"`.
pub(super) fn timeout(section: &mut Section<'_>) -> Result<PlacedLayer> {
    let limit = section.span("limit", Duration::from_millis(250), MILLISECOND..=Duration::from_secs(3600));
    Ok(PlacedLayer::new(TimeoutLayer::new(limit)))
}
