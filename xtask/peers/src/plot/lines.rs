//! Lines over a logarithmic axis, with their names at their ends.

use super::{
    colours, short,
    svg::{Anchor, Svg},
    ticks,
};

const WIDTH: f64 = 940.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 260.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = HEIGHT - 60.0;
/// Between the names.
const SPACE: f64 = 18.0;

/// One plot of lines.
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// One contestant.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) ours: bool,
    /// Drawn dashed: not one of those that are compared.
    pub(crate) aside: bool,
    /// NaN where there is no point.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Lines {
    pub(crate) fn draw(&self) -> String {
        let mut svg = Svg::new(WIDTH, HEIGHT, &self.title);
        let points = || self.lines.iter().flat_map(Line::known);
        let (low, high) = points().fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(y), high.max(y)));
        let (first, last) = points().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| (low.min(x), high.max(x)));
        if low > high {
            return svg.finish();
        }
        let ticks = ticks(low, high);
        let (bottom, top) = (ticks[0], ticks[ticks.len() - 1]);
        let along = if last > first { (last / first).ln() } else { 1.0 };
        let x = |value: f64| LEFT + 16.0 + (value / first).ln() / along * (RIGHT - LEFT - 32.0);
        let y = |value: f64| BOTTOM - (value - bottom) / (top - bottom) * (BOTTOM - TOP);
        for tick in &ticks {
            svg.line((LEFT, y(*tick)), (RIGHT, y(*tick)), "stroke=\"#e3e3e3\"");
            svg.text(LEFT - 8.0, y(*tick) + 4.0, &short(*tick), Anchor::End, "");
        }
        for (at, _) in &self.lines[0].points {
            svg.line((x(*at), TOP), (x(*at), BOTTOM), "stroke=\"#f0f0f0\"");
            svg.text(x(*at), BOTTOM + 20.0, &format!("{} %", short(*at)), Anchor::Middle, "");
        }
        svg.text((LEFT + RIGHT) / 2.0, BOTTOM + 44.0, self.x, Anchor::Middle, "");
        svg.text(24.0, 52.0, self.y, Anchor::Start, "");
        self.draw_lines(&mut svg, x, y);
        svg.finish()
    }

    /// The line that is judged last, so that nothing covers them; names as near to the ends as they fit.
    fn draw_lines(&self, svg: &mut Svg, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
        let colours = colours(self.lines.iter().map(|line| line.ours));
        let mut order: Vec<_> = self.lines.iter().zip(colours).collect();
        order.sort_by_key(|(line, _)| line.stands_out());
        let mut ends = Vec::new();
        for (line, colour) in order {
            let colour = if line.aside && !line.ours { "#1a1a1a" } else { colour };
            let points: Vec<_> = line.known().map(|(at, value)| (x(at), y(value))).collect();
            let Some(end) = points.last().copied() else { continue };
            let (width, dash) = (if line.stands_out() { 3.5 } else { 1.6 }, if line.aside { "5 4" } else { "none" });
            let style = format!("stroke=\"{colour}\" stroke-width=\"{width}\" stroke-dasharray=\"{dash}\"");
            svg.polyline(&points, &style);
            points.iter().for_each(|point| svg.dot(*point, width + 0.8, colour));
            ends.push((end, line, colour));
        }
        ends.sort_by(|((_, one), ..), ((_, other), ..)| one.total_cmp(other));
        let heights = spread(&ends.iter().map(|((_, y), ..)| *y).collect::<Vec<_>>());
        for ((end, line, colour), height) in ends.into_iter().zip(heights) {
            svg.line((end.0 + 6.0, end.1), (RIGHT + 8.0, height), "stroke=\"#bbb\" stroke-width=\"0.8\"");
            let value = line.known().last().map_or(f64::NAN, |(_, value)| value);
            let weight = if line.stands_out() { " font-weight=\"700\"" } else { "" };
            let style = format!("fill=\"{colour}\"{weight}");
            svg.text(RIGHT + 13.0, height + 4.0, &format!("{} {value:.1}", line.name), Anchor::Start, &style);
        }
    }
}

impl Line {
    fn stands_out(&self) -> bool {
        self.ours && !self.aside
    }

    fn known(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|(_, y)| !y.is_nan())
    }
}

/// Moves sorted heights apart, down and then up, so that names do not cover each other.
fn spread(heights: &[f64]) -> Vec<f64> {
    let mut out = heights.to_vec();
    for at in 1..out.len() {
        out[at] = out[at].max(out[at - 1] + SPACE);
    }
    let mut limit = BOTTOM + SPACE;
    for height in out.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - SPACE;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_cover_each_other() {
        let apart = spread(&[100.0, 101.0, 102.0, BOTTOM, BOTTOM]);
        assert!(apart.windows(2).all(|pair| pair[1] - pair[0] >= SPACE), "{apart:?}");
        assert!(apart[4] <= BOTTOM + SPACE);
        assert_eq!(spread(&[10.0, 90.0]), [10.0, 90.0]);
    }

    #[test]
    fn a_point_that_is_missing_is_left_out() {
        let line = |name, points| Line { name, ours: false, aside: false, points };
        let lines = vec![line("a", vec![(1.0, 40.0), (20.0, 60.0)]), line("b", vec![(1.0, f64::NAN), (20.0, 50.0)])];
        let svg = Lines { title: "T".to_owned(), x: "X", y: "Y", lines }.draw();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains(">b 50.0<") && !svg.contains("NaN"), "{svg}");
    }
}
