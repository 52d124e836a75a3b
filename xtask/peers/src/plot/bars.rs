//! Grouped bars with whiskers.

use super::{
    colours, short,
    svg::{Anchor, Svg},
    ticks,
};
use crate::stats::Spread;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 112.0;
const BOTTOM: f64 = HEIGHT - 40.0;

/// One plot of bars.
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    /// The same bars in each.
    pub(crate) groups: Vec<(String, Vec<Bar>)>,
}

/// One contestant in one group.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) ours: bool,
    pub(crate) figure: Spread,
}

impl Bars {
    pub(crate) fn draw(&self) -> String {
        let mut svg = Svg::new(WIDTH, HEIGHT, &self.title);
        svg.text(24.0, 54.0, self.unit, Anchor::Start, "");
        let all = || self.groups.iter().flat_map(|(_, bars)| bars);
        let ticks = ticks(0.0, all().map(|bar| bar.figure.max).fold(0.0, f64::max));
        let top = ticks.last().copied().unwrap_or(1.0);
        let y = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);
        for tick in &ticks {
            svg.line((LEFT, y(*tick)), (RIGHT, y(*tick)), "stroke=\"#e3e3e3\"");
            svg.text(LEFT - 8.0, y(*tick) + 4.0, &short(*tick), Anchor::End, "");
        }
        let Some((_, first)) = self.groups.first() else { return svg.finish() };
        let colours = colours(first.iter().map(|bar| bar.ours));
        legend(&mut svg, first, &colours);
        let group = (RIGHT - LEFT) / self.groups.len() as f64;
        for (number, (name, bars)) in self.groups.iter().enumerate() {
            let left = LEFT + group * number as f64;
            svg.text(left + group / 2.0, BOTTOM + 24.0, name, Anchor::Middle, "font-size=\"14\" fill=\"#1a1a1a\"");
            let width = group * 0.9 / bars.len() as f64;
            for (place, (bar, colour)) in bars.iter().zip(&colours).enumerate() {
                bar.draw(&mut svg, left + group * 0.05 + width * place as f64, width, colour, y);
            }
        }
        svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "stroke=\"#666\"");
        svg.finish()
    }
}

impl Bar {
    fn draw(&self, svg: &mut Svg, left: f64, width: f64, colour: &str, y: impl Fn(f64) -> f64) {
        let Spread { median, min, max } = self.figure;
        let middle = left + width / 2.0;
        svg.rect(left + 1.5, y(median), width - 3.0, y(0.0) - y(median), colour);
        svg.line((middle, y(min)), (middle, y(max)), "stroke=\"#1a1a1a\" stroke-width=\"1.2\" opacity=\"0.6\"");
        let digits = if median < 10.0 { 2 } else { 1 };
        let weight =
            if self.ours { "font-size=\"11\" font-weight=\"700\" fill=\"#0b5fd0\"" } else { "font-size=\"11\"" };
        svg.text(middle, y(max) - 5.0, &format!("{median:.digits$}"), Anchor::Middle, weight);
    }
}

fn legend(svg: &mut Svg, bars: &[Bar], colours: &[&str]) {
    let mut x = 24.0;
    for (bar, colour) in bars.iter().zip(colours) {
        svg.rect(x, 71.0, 12.0, 12.0, colour);
        let style = if bar.ours { "font-weight=\"700\" fill=\"#1a1a1a\"" } else { "" };
        svg.text(x + 17.0, 82.0, bar.name, Anchor::Start, style);
        x += 38.0 + if bar.ours { 9.2 } else { 7.8 } * bar.name.len() as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_is_drawn() {
        let bar = |name, ours, figure| Bar { name, ours, figure: Spread::of([figure]) };
        let bars = || vec![bar("memstache", true, 2.0), bar("other", false, 1.0)];
        let groups = vec![("1 thread".to_owned(), bars()), ("2 threads".to_owned(), bars())];
        let svg = Bars { title: "T".to_owned(), unit: "U", groups }.draw();
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 4, "background, legend, bars");
        assert!(svg.contains("2 threads") && svg.contains(">2.00<"), "{svg}");
    }
}
