//! The medians as bars, in SVG that follows the reader's light or dark scheme.

use std::fmt::Write as _;

use super::contender::Contender;
use super::scenario::Unit;
use super::table::Line;

const WIDTH: f64 = 860.0;
/// Where names end and bars begin.
const LEFT: f64 = 250.0;
/// Right of the longest bar, for its figure.
const RIGHT: f64 = 190.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;
const TOP: f64 = 58.0;

const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.scenario { font-weight: 600; }
.quiet { fill: #59636e; }
.ours { fill: #0969da; }
.peer { fill: #afb8c1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .ours { fill: #4493f8; }
  .peer { fill: #656c76; }
}";

/// A group of bars for each scenario; the longest bar of each group is as long as that of any other.
pub(super) fn draw(scenarios: &[&[Line]]) -> String {
    let mut bars = String::new();
    let mut y = TOP;
    for lines in scenarios {
        let most = lines.iter().map(|line| line.cost.median).fold(0.0, f64::max);
        for (nth, line) in lines.iter().enumerate() {
            if nth == 0 {
                text(&mut bars, 12.0, y, "scenario", &line.scenario.name());
            }
            text(&mut bars, 150.0, y, "quiet", line.contender.name());
            let share = if most > 0.0 { line.cost.median / most } else { 0.0 };
            let (length, class) = (share * (WIDTH - LEFT - RIGHT), class(line.contender));
            let height = BAR - 3.0;
            let _ = writeln!(
                bars,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" \
                 height=\"{height}\" rx=\"2\"/>"
            );
            text(&mut bars, LEFT + length + 6.0, y, "quiet", &figure(line));
            y += BAR;
        }
        y += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" \
         height=\"{y}\" role=\"img\" aria-label=\"Cost for a unit of work\">\n<style>{STYLE}\
         </style>\n<text class=\"title\" x=\"12\" y=\"24\">Cost for a unit of work: less is better\
         </text>\n<text class=\"quiet\" x=\"12\" y=\"44\">CPU time of all threads of one worker, or \
         memory; medians; each group has a scale of its own</text>\n{bars}</svg>\n"
    )
}

/// Its foot is where a bar's is that begins at `y`. Names and figures need no escape.
fn text(svg: &mut String, x: f64, y: f64, class: &str, content: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\">{content}</text>",
        y + BAR - 5.0
    );
}

fn class(contender: Contender) -> &'static str {
    match contender {
        Contender::Ringgate => "ours",
        Contender::Nginx | Contender::Haproxy | Contender::Envoy | Contender::EnvoyCache => "peer",
    }
}

fn figure(line: &Line) -> String {
    let unit = line.scenario.shape().unit;
    let what = if unit == Unit::Connection { "KiB" } else { "CPU-us" };
    format!("{:.2} {what}/{}", line.cost.median, unit.name())
}

#[cfg(test)]
mod tests {
    use super::super::contender::Contender;
    use super::super::measure::Figures;
    use super::super::scenario::Scenario;
    use super::super::table::Line;
    use super::draw;

    #[test]
    fn bars_are_as_long_as_costs_are() {
        let scenario = Scenario::IdlePlain;
        let line = |contender, kib: f64| {
            let runs = [Figures::Memory { bytes_each: kib * 1024.0 }];
            Line::of(scenario, contender, &runs, &[]).expect("one run")
        };
        let lines = [line(Contender::Ringgate, 1.0), line(Contender::Nginx, 2.0)];
        let svg = draw(&[&lines]);
        assert!(svg.contains("class=\"ours\" x=\"250\" y=\"58\" width=\"210.0\""), "{svg}");
        assert!(svg.contains("class=\"peer\" x=\"250\" y=\"74\" width=\"420.0\""), "{svg}");
        assert!(svg.contains("2.00 KiB/connection"), "{svg}");
    }
}
