use anyhow::anyhow;

use super::*;
use crate::{
    catalogue::Category,
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
    }
}

#[test]
fn a_good_run_has_no_faults() {
    assert_eq!(good().faults(), Vec::<String>::new());
}

#[test]
fn every_broken_promise_is_found() {
    let cases: [(fn(&mut Evidence), &str); 14] = [
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
    ];
    for (break_it, message) in cases {
        let mut seen = good();
        break_it(&mut seen);
        let faults = seen.faults();
        assert!(faults.len() == 1 && faults[0].contains(message), "{message}: {faults:?}");
    }
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
