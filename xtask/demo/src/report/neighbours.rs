//! How a noisy shop and its neighbours fared.

use indicatif::HumanCount;

use super::{Row, aligned, many, millis};
use crate::{
    load::{Group, Neighbours},
    plans::SHARE,
};

/// Shows both groups: before the noise, with it, and with it while no plan holds it back.
pub(super) fn table(seen: &Neighbours) -> String {
    let noisy = seen.noisy.to_string();
    let mut rows: Vec<Row<4>> =
        vec![[String::new(), "before".to_owned(), format!("{noisy} is noisy"), "and without plans".to_owned()]];
    for (who, before, with, without) in [
        ("the others", &seen.before.others, &seen.noise.others, &seen.unlimited.others),
        (noisy.as_str(), &seen.before.noisy, &seen.noise.noisy, &seen.unlimited.noisy),
    ] {
        let mut row = |what: &str, show: &dyn Fn(&Group) -> String| {
            rows.push([format!("{who}: {what}"), show(before), show(with), show(without)]);
        };
        row("requests/s", &|group| HumanCount(group.measured.requests_per_second() as u64).to_string());
        row("refused (429)", &|group| HumanCount(group.refused).to_string());
        row("hit ratio", &|group| format!("{:.1} %", 100.0 * group.hit_ratio()));
        row("latency p99", &|group| millis(group.measured.p99));
    }
    aligned(&rows)
}

/// Tells in a line what came of it.
pub(super) fn check(seen: Option<&Neighbours>) -> String {
    let Some(Neighbours { noisy, before, noise, .. }) = seen else {
        return "neighbours not tried: a shop alone has none".to_owned();
    };
    let times = noise.noisy.measured.requests_per_second() / f64::from(SHARE);
    let fall = before.others.hit_ratio() - noise.others.hit_ratio();
    format!(
        "neighbours {noisy} asked for {times:.0} times its share and was refused {}; the others {}, and their hit ratio \
        fell by {:.1} points",
        many(noise.noisy.refused, "time"),
        many(noise.others.refused, "time"),
        (100.0 * fall).max(0.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::good;

    #[test]
    fn both_groups_are_shown_before_and_with_the_noise_and_without_plans() {
        let seen = good().neighbours.unwrap();
        let expected = "
                               before   shop-02 is noisy   and without plans
  --------------------------------------------------------------------------
  the others: requests/s          380                380                 380
  the others: refused (429)         0                  0                   0
  the others: hit ratio       100.0 %             98.9 %              97.4 %
  the others: latency p99     0.06 ms            0.06 ms             0.06 ms
  shop-02: requests/s              20              1,000               1,000
  shop-02: refused (429)            0                900                   0
  shop-02: hit ratio          100.0 %              0.0 %               0.0 %
  shop-02: latency p99        0.06 ms            0.06 ms             0.06 ms";
        let table = table(&seen);
        assert_eq!(table.trim_end(), expected, "{table}");
        assert_eq!(
            check(Some(&seen)),
            "neighbours shop-02 asked for 50 times its share and was refused 900 times; the others 0 times, and their \
            hit ratio fell by 1.1 points"
        );
        assert_eq!(check(None), "neighbours not tried: a shop alone has none");
    }
}
