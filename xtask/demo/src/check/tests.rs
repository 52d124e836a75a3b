use anyhow::anyhow;

use super::*;
use crate::{
    catalogue::Category,
    load::{Group, Phase},
    place::{Place, Shop},
};

/// What a run sees in which all goes well.
pub(crate) fn good() -> Evidence {
    let place = Place { shop: Shop(1), id: 1 };
    let measured = |requests, from_cache| Measured {
        requests,
        from_cache,
        elapsed: Duration::from_secs(4),
        p50: Duration::from_micros(1_234),
        p99: Duration::from_micros(56),
        ..Measured::default()
    };
    let side = |requests, from_cache, total, most| Side {
        measured: measured(requests, from_cache),
        queries: Queries { total, distinct: 500, most },
        asked: 500,
    };
    let group = |requests, from_cache, refused| Group {
        measured: Measured { elapsed: Duration::from_secs(1), ..measured(requests, from_cache) },
        refused,
        unhinted: 0,
    };
    let neighbours = Neighbours {
        noisy: Shop(2),
        before: Phase { others: group(380, 380, 0), noisy: group(20, 20, 0) },
        noise: Phase { others: group(380, 376, 0), noisy: group(1000, 0, 900) },
        unlimited: Phase { others: group(380, 370, 0), noisy: group(1000, 0, 0) },
    };
    Evidence {
        uncached: side(10_000, 0, 10_000, 900),
        cached: side(40_000, 39_500, 500, 1),
        lifetimes: 1,
        writes: Writes { writes: 100, ..Writes::default() },
        stampede: Checked {
            seen: Stampeded { requests: 1000, connections: 64, errors: 0, first_error: None, waited: 300, place },
            loads: 1,
        },
        invalidation: Checked {
            seen: Invalidated { category: Category::parse("tea").unwrap(), place, products: 40, faults: Vec::new() },
            loads: 2,
        },
        unknown: Checked { seen: Unknown { requests: 10, place, wrong: 0 }, loads: 1 },
        held: Held { shop: Shop(1).to_string(), bytes: 4096, entries: 8, most: 1 << 20, sampled: None },
        neighbours: Some(neighbours),
    }
}

#[test]
fn a_good_run_has_no_faults() {
    assert_eq!(good().faults(), Vec::<String>::new());
}

#[test]
fn every_broken_promise_is_found() {
    let cases: [(fn(&mut Evidence), &str); 15] = [
        (|seen| seen.cached.queries.most = 2, "asked 2 times for one product"),
        (|seen| seen.cached.queries.total = 501, "501 times for 500 products"),
        (|seen| seen.cached.measured.errors = 3, "3 of 40000 cached requests failed"),
        (|seen| seen.uncached.measured.errors = 3, "3 of 10000 uncached requests failed"),
        (|seen| seen.cached.measured.requests = 0, "no cached request was answered"),
        (|seen| seen.writes.old_reads = 1, "1 reads after 100 changes were old"),
        (|seen| seen.writes.errors = 2, "2 changes failed"),
        (|seen| seen.writes.writes = 0, "no change was made"),
        (|seen| seen.stampede.loads = 7, "1000 requests at once for one product caused 7 loads"),
        (|seen| seen.stampede.seen.errors = 7, "7 of 1000 requests at once failed"),
        (|seen| seen.invalidation.seen.faults = vec!["x".to_owned()], "invalidating a tag: x"),
        (|seen| seen.invalidation.loads = 1, "caused 1 loads, not 2"),
        (|seen| seen.unknown.seen.wrong = 1, "1 of 10 requests for an unknown product"),
        (|seen| seen.unknown.loads = 10, "unknown product caused 10 loads"),
        (|seen| seen.held.bytes = 2 << 20, "shop-01 holds 2097152 bytes"),
    ];
    for (break_it, message) in cases {
        let mut seen = good();
        break_it(&mut seen);
        let faults = seen.faults();
        assert!(faults.len() == 1 && faults[0].contains(message), "{message}: {faults:?}");
    }
}

#[test]
fn what_the_noise_does_to_others_is_found() {
    let cases: [(fn(&mut Neighbours), &str); 12] = [
        (|seen| seen.noise.others.measured.from_cache = 372, "fell from 100.0 % to 97.9 % by the noise"),
        (|seen| seen.noise.others.refused = 1, "1 requests of the others were refused with the noise"),
        (|seen| seen.before.others.refused = 1, "1 requests of the others were refused before the noise"),
        (|seen| seen.before.noisy.refused = 1, "1 requests of shop-02 were refused at its share"),
        (|seen| seen.noise.noisy.refused = 0, "shop-02 was never refused"),
        (|seen| seen.noise.noisy.unhinted = 2, "2 refusals did not say when to come back"),
        (|seen| seen.noise.others.measured.errors = 1, "1 of the others' 380 requests with the noise failed"),
        (|seen| seen.noise.noisy.measured.errors = 1, "1 of the noisy shop's 1000 requests with the noise failed"),
        (|seen| seen.before.noisy.measured.errors = 1, "1 of the noisy shop's 20 requests before the noise failed"),
        (|seen| seen.noise.noisy.measured.requests = 0, "none of the noisy shop's requests with the noise"),
        (|seen| seen.unlimited.noisy.refused = 3, "3 requests were refused while no plan limited any shop"),
        (|seen| seen.unlimited.noisy.measured.requests = 0, "shop-02 was never answered without plans"),
    ];
    for (break_it, message) in cases {
        let mut seen = good();
        break_it(seen.neighbours.as_mut().unwrap());
        let faults = seen.faults();
        assert!(faults.len() == 1 && faults[0].contains(message), "{message}: {faults:?}");
    }
    assert_eq!(Evidence { neighbours: None, ..good() }.faults(), Vec::<String>::new(), "a shop alone");
}

#[test]
fn the_first_error_is_told() {
    let mut seen = good();
    seen.cached.measured.errors = 1;
    seen.cached.measured.first_error = Some(anyhow!("status 503"));
    assert_eq!(seen.faults(), ["1 of 40000 cached requests failed; the first: status 503"]);
}

#[test]
fn a_short_lifetime_allows_more_loads() {
    let secs = Duration::from_secs;
    assert_eq!(lifetimes(secs(4), secs(600), 0.1), 1);
    assert_eq!(lifetimes(secs(4), secs(1), 0.0), 5);
    assert_eq!(lifetimes(secs(4), secs(1), 0.1), 5, "4 / 0.9");
    let mut seen = good();
    (seen.lifetimes, seen.cached.queries) = (2, Queries { total: 900, distinct: 500, most: 2 });
    assert_eq!(seen.faults(), Vec::<String>::new());
    assert!((seen.cached.per_lifetime(2) - 0.9).abs() < 1e-9);
}
