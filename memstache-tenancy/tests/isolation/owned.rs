//! What a tenant owns, and what it sees of it: the same before and after anything that another does.

use std::time::Duration;

use memstache_core::{
    Cache, Get, Json, LeaseId, Lifetime, LoadContext, Lookup, NewEntry, OnMiss, Outcome, Reason, Set, Version, When,
    Written,
};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The keys of which the tenant has something, or nothing and is about to.
pub(crate) const NAMES: [&str; 6] = ["tea-plain", "tea-tagged", "tea-sliding", "tea-stale", "tea-absent", "tea-leased"];
/// As many keys that nobody has.
pub(crate) const NOBODYS: [&str; 6] = ["no-01", "no-0002", "no-00003", "no-04", "no-005", "no-0006"];
/// The tag that it uses.
pub(crate) const TAG: &str = "red";

/// What the tenant holds and cannot be seen by reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The version of `plain`.
    pub(crate) version: Version,
    /// The lease on `leased`.
    pub(crate) lease: LeaseId,
}

/// Gives a tenant one of everything; `age` lets the ttl of a value end that lives for `short`.
pub(crate) async fn furnish(cache: &Cache<Json>, short: Duration, age: impl AsyncFnOnce()) -> Held {
    cache.set("tea-plain", &1).ttl(HOUR).await.unwrap();
    cache.set("tea-tagged", &2).ttl(HOUR).tags([TAG]).await.unwrap();
    cache.set("tea-sliding", &3).ttl(HOUR).sliding(HOUR / 2).await.unwrap();
    cache.set("tea-stale", &4).ttl(short).stale_for(HOUR).tags([TAG]).await.unwrap();
    let none = cache.get_or_load("tea-absent", |_: LoadContext<u32>| async { Ok::<_, std::io::Error>(None::<u32>) });
    assert_eq!(none.negative_ttl(HOUR).optional().await.unwrap(), None);
    age().await;
    let mut get = Get::one(cache.address("tea-leased").unwrap());
    get.on_miss = OnMiss::Lease;
    let lease = match cache.run(get).await.unwrap().into_one().unwrap().unwrap() {
        Lookup::Leased(lease) => lease.id,
        other => panic!("no lease but {other:?}"),
    };
    let version = cache.get_entry::<u32>("tea-plain").await.unwrap().version.unwrap();
    // Twice, so that near caches have copied what they copy.
    see(cache).await;
    see(cache).await;
    Held { version, lease }
}

/// What a tenant sees of one key.
#[derive(Debug)]
pub(crate) struct Seen {
    name: &'static str,
    value: Option<u32>,
    outcome: Outcome,
    version: Option<Version>,
    live: bool,
    left: Option<Duration>,
    /// By tier: how it would answer, why it would not, whether it is being loaded, and how many tags it has.
    pub(crate) tiers: Vec<(String, Option<Outcome>, Option<Reason>, bool, Option<usize>)>,
}

/// Reads everything that a tenant owns.
pub(crate) async fn see(cache: &Cache<Json>) -> Vec<Seen> {
    let mut seen = Vec::new();
    for name in NAMES {
        let found = cache.get_entry::<u32>(name).await.unwrap();
        let tiers = cache.explain(name).await.unwrap().tiers.into_iter().map(|tier| {
            let tags = tier.entry.map(|entry| entry.tags);
            (tier.tier.into_owned(), tier.outcome, tier.reason, tier.loading, tags)
        });
        let tiers = tiers.collect();
        let live = cache.exists(name).await.unwrap();
        let (value, outcome, version, left) = (found.value, found.outcome, found.version, found.ttl_left);
        seen.push(Seen { name, value, outcome, version, live, left, tiers });
    }
    seen
}

/// Asserts that a tenant sees what it saw before; lifetimes may have become shorter by the time that has passed.
#[track_caller]
pub(crate) fn assert_unchanged(before: &[Seen], after: &[Seen], passed: Duration, what: &str) {
    for (before, after) in before.iter().zip(after) {
        let facts = |seen: &Seen| {
            let Seen { name, value, outcome, version, live, left: _, tiers } = seen;
            format!("{name} {value:?} {outcome:?} {version:?} {live} {tiers:?}")
        };
        assert_eq!(facts(before), facts(after), "{what} changed what another tenant sees");
        let (was, is) = (before.left.unwrap_or_default(), after.left.unwrap_or_default());
        let name = before.name;
        assert!(
            is <= was && is + passed >= was,
            "{what} changed how long {name} of another tenant lives: {was:?} {is:?}"
        );
    }
    let values: Vec<_> = after.iter().map(|seen| (seen.value, seen.outcome)).collect();
    let (hit, miss) = (Outcome::Hit, Outcome::Miss);
    let owned = [
        (Some(1), hit),
        (Some(2), hit),
        (Some(3), hit),
        (Some(4), Outcome::Stale),
        (None, Outcome::Negative),
        (None, miss),
    ];
    assert_eq!(values, owned, "what the tenant owns is there");
}

/// Asserts that a tenant's lease still stands, by filling it.
pub(crate) async fn assert_lease_stands(cache: &Cache<Json>, held: Held) {
    let mut entry = NewEntry::new("6", Lifetime::new(HOUR).unwrap());
    entry.content.format = memstache_core::FormatId::JSON;
    let mut set = Set::one(cache.address("tea-leased").unwrap(), entry);
    set.items.as_mut_slice()[0].when = When::IfLease(held.lease);
    let written = cache.run(set).await.unwrap().into_one().unwrap().unwrap();
    assert!(matches!(written, Written::Stored(_)), "the lease of another tenant was ended");
    assert_eq!(cache.get::<u32>("tea-leased").await.unwrap(), Some(6));
}
