//! The results, for people.

mod neighbours;

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use indicatif::HumanCount;

use crate::{
    check::{Evidence, Side},
    place::{Place, Shop},
};

/// A number that no product has, and that no check has asked for.
const UNKNOWN: u32 = 999_999_999;

/// A row: what it shows, and a number for each column.
type Row<const COLUMNS: usize> = [String; COLUMNS];

/// Shows both ways side by side.
pub(crate) fn table(seen: &Evidence) -> String {
    let row = |name: &str, show: &dyn Fn(&Side) -> String| [name.to_owned(), show(&seen.uncached), show(&seen.cached)];
    let count = |number: u64| HumanCount(number).to_string();
    let rows = [
        [String::new(), "past the cache".to_owned(), "through it".to_owned()],
        row("requests", &|side| count(side.measured.requests)),
        row("errors", &|side| count(side.measured.errors)),
        row("requests/s", &|side| count(side.measured.requests_per_second() as u64)),
        row("hit ratio", &hit_ratio),
        row("loads (database queries)", &|side| count(side.queries.total)),
        row("distinct products asked for", &|side| count(side.asked)),
        row("most loads of one product", &|side| count(side.queries.most)),
        row("loads per distinct product and lifetime", &|side| format!("{:.2}", side.per_lifetime(seen.lifetimes))),
        row("latency p50", &|side| millis(side.measured.p50)),
        row("latency p99", &|side| millis(side.measured.p99)),
    ];
    let neighbours = seen.neighbours.as_ref().map(neighbours::table).unwrap_or_default();
    aligned(&rows) + &neighbours
}

fn hit_ratio(side: &Side) -> String {
    match side.measured.from_cache {
        0 => "-".to_owned(),
        from_cache => format!("{:.1} %", 100.0 * from_cache as f64 / side.measured.requests.max(1) as f64),
    }
}

fn millis(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1000.0)
}

/// Names to the left, numbers to the right, a line under the head.
fn aligned<const COLUMNS: usize>(rows: &[Row<COLUMNS>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = format!("  {:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(widths).skip(1) {
            write!(line, "   {cell:>width$}").expect("a string takes everything");
        }
        out.push('\n');
        out.push_str(line.trim_end());
        if number == 0 {
            let wide = widths.iter().sum::<usize>() + 3 * (COLUMNS - 1);
            write!(out, "\n  {}", "-".repeat(wide)).expect("a string takes everything");
        }
    }
    out.push('\n');
    out
}

/// Tells what came of the checks, a line each.
pub(crate) fn checks(seen: &Evidence) -> String {
    let (stampede, tag, unknown) = (&seen.stampede, &seen.invalidation, &seen.unknown);
    let lines = [
        format!(
            "stampede   {} requests at once for one cold product over {}: {}, shared by the {} that came in time",
            HumanCount(stampede.seen.requests),
            many(stampede.seen.connections, "connection"),
            many(stampede.loads, "load"),
            stampede.seen.waited,
        ),
        format!(
            "writes     {} under load, each read back at once as product and in its list: {}",
            many(seen.writes.writes, "change"),
            many(seen.writes.old_reads, "old answer"),
        ),
        format!(
            "tag        {} of category {} in {} repriced and hidden by one invalidation: {}",
            many(tag.seen.products, "product"),
            tag.seen.category,
            tag.seen.place.shop,
            many(tag.seen.faults.len() as u64, "wrong answer"),
        ),
        format!(
            "unknown id {}: {}, then answered from its absence",
            many(unknown.seen.requests, "request"),
            many(unknown.loads, "load"),
        ),
        format!(
            "once each  {} within the load, so at most {} of each product: {} seen",
            many(seen.lifetimes, "lifetime"),
            many(seen.lifetimes, "load"),
            seen.cached.queries.most,
        ),
        seen.held.told(),
        neighbours::check(seen.neighbours.as_ref()),
    ];
    lines.map(|line| format!("  {line}\n")).concat()
}

fn many(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

/// Lines for a terminal, to try the service by hand; only its address if nobody wants more.
pub(crate) fn try_it(address: SocketAddr, quiet: bool) -> String {
    if quiet {
        return format!("http://{address}");
    }
    let (operator, port) = (|path: &str| format!("http://{address}{path}"), address.port());
    let at = |path: &str| format!("http://{}:{port}{path}", Shop(1).host());
    let product = Place { shop: Shop(1), id: 7 }.path();
    let category = "/categories/tea";
    let draft = "{\"name\":\"Oak tea tray\",\"description\":\"Holds a pot and four cups.\",\"category\":\"tea\",\
        \"tags\":[\"gift\"],\"price_cents\":3450,\"stock\":12}";
    let json = "-H 'content-type: application/json' -d";
    format!(
        "The service is up; Ctrl-C ends it. Try, twice each:

  curl -i {}
  curl -i -H 'x-shop: {}' {}
  curl -i {}
  curl -i {}
  curl -i '{}'
  curl -i -X PUT {json} '{draft}' {}
  curl -i {json} '{{\"percent\":-10}}' {}
  curl -s {}
  curl -s {}
  curl -s {}
  curl -s {}
",
        at(&product),
        Shop(1),
        operator(&product),
        at(&format!("/uncached{product}")),
        at(&Place { shop: Shop(1), id: UNKNOWN }.path()),
        at(&format!("{category}?sort=price")),
        at(&product),
        at(&format!("{category}/reprice")),
        operator("/explain/shop-01:7"),
        operator("/stats"),
        operator("/metrics"),
        operator("/healthz"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::good;

    #[test]
    fn the_table_is_aligned() {
        let table = table(&Evidence { neighbours: None, ..good() });
        let lines: Vec<&str> = table.trim_matches('\n').lines().collect();
        let expected = "
                                            past the cache   through it
  ---------------------------------------------------------------------
  requests                                          10,000       40,000
  errors                                                 0            0
  requests/s                                         2,500       10,000
  hit ratio                                              -       98.8 %
  loads (database queries)                          10,000          500
  distinct products asked for                          500          500
  most loads of one product                            900            1
  loads per distinct product and lifetime            20.00         1.00
  latency p50                                      1.23 ms      1.23 ms
  latency p99                                      0.06 ms      0.06 ms";
        assert_eq!(lines, expected.lines().skip(1).collect::<Vec<_>>(), "{table}");
    }

    #[test]
    fn a_shop_is_tried_by_its_host_and_by_its_header() {
        let told = try_it(([127, 0, 0, 1], 3000).into(), false);
        assert!(told.contains("curl -i http://shop-01.localhost:3000/products/7\n"), "{told}");
        assert!(told.contains("curl -i -H 'x-shop: shop-01' http://127.0.0.1:3000/products/7\n"), "{told}");
        assert_eq!(try_it(([127, 0, 0, 1], 3000).into(), true), "http://127.0.0.1:3000");
    }

    #[test]
    fn the_checks_are_told_in_words() {
        let told = checks(&good());
        assert!(
            told.contains("1,000 requests at once for one cold product over 64 connections: 1 load, shared by the 300 that came in time"),
            "{told}"
        );
        assert!(told.contains("100 changes under load"), "{told}");
        assert!(told.contains("0 old answers"), "{told}");
    }
}
