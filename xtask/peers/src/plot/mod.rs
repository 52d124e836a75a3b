//! Plots as SVG, drawn by hand: grouped bars, and lines whose names stand at their ends.

mod bars;
mod lines;
mod svg;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

pub(crate) use self::{
    bars::{Bar, Bars},
    lines::{Line, Lines},
};

/// Writes a plot, and makes its folder if need be.
pub(crate) fn write(path: &Path, svg: &str) -> Result<()> {
    let told = || format!("{} cannot be written", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).with_context(told)?;
    fs::write(path, svg).with_context(told)
}

/// Colours that can be told apart, those of memstache and those of the others.
const OURS: [&str; 2] = ["#0b5fd0", "#63a4f7"];
const OTHERS: [&str; 8] = ["#e8590c", "#2b8a3e", "#9c36b5", "#d6a100", "#0c8599", "#868e96", "#c2255c", "#5c4033"];

/// Gives each its colour, in the order of the tables.
fn colours(ours: impl IntoIterator<Item = bool>) -> Vec<&'static str> {
    let mut next = [OURS.as_slice(), OTHERS.as_slice()].map(|colours| colours.iter().cycle());
    let mut colour = |ours: bool| next[usize::from(!ours)].next().copied().unwrap_or("#000");
    ours.into_iter().map(&mut colour).collect()
}

/// Round numbers from at most `low` to at least `high`, four to eight of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let rough = span / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|it| it * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).floor() as i64;
    let last = ((low + span) / step).ceil() as i64;
    (first..=last).map(|it| it as f64 * step).collect()
}

/// A number without digits that say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_around() {
        assert_eq!(ticks(0.0, 4.3), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(ticks(43.0, 79.0), [40.0, 50.0, 60.0, 70.0, 80.0]);
        assert_eq!(ticks(0.0, 0.0).first(), Some(&0.0));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([short(5.0), short(0.5), short(20.0), short(0.25)], ["5", "0.5", "20", "0.25"]);
    }

    #[test]
    fn memstache_has_colours_of_its_own() {
        assert_eq!(colours([true, false, false, true]), [OURS[0], OTHERS[0], OTHERS[1], OURS[1]]);
    }
}
