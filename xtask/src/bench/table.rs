//! From runs to lines: medians over the runs of a contender, ratios of runs that were in one turn, and
//! whether ringgate's mark is reached.

use serde_json::{Value, json};

use super::contender::Contender;
use super::measure::Figures;
use super::scenario::{Mark, Scenario, Unit};
use super::spread::Spread;

/// The runs of one contender in one scenario, summed up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) scenario: Scenario,
    pub(super) contender: Contender,
    pub(super) cost: Spread,
    pub(super) rate: Option<Spread>,
    pub(super) p50_us: Option<Spread>,
    pub(super) p99_us: Option<Spread>,
    pub(super) p999_us: Option<Spread>,
    /// The cost of ringgate for this one's.
    pub(super) ratio: Option<Spread>,
}

/// What became of a mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) is_reached: bool,
    pub(super) text: String,
}

impl Line {
    /// None without runs.
    pub(super) fn of(
        scenario: Scenario,
        contender: Contender,
        runs: &[Figures],
        ours: &[Figures],
    ) -> Option<Self> {
        let unit = scenario.shape().unit;
        let time = |which: fn(&Figures) -> Option<u64>| {
            Spread::of(runs.iter().filter_map(which).map(|us| us as f64))
        };
        let ratios =
            ours.iter().zip(runs).map(|(ours, theirs)| ours.cost(unit) / theirs.cost(unit));
        Some(Self {
            scenario,
            contender,
            cost: Spread::of(runs.iter().map(|run| run.cost(unit)))?,
            rate: Spread::of(runs.iter().filter_map(|run| run.rate(unit))),
            p50_us: time(|run| Some(run.load()?.p50_us)),
            p99_us: time(|run| Some(run.load()?.p99_us)),
            p999_us: time(|run| Some(run.load()?.p999_us)),
            ratio: (contender != Contender::Ringgate).then(|| Spread::of(ratios)).flatten(),
        })
    }

    pub(super) const HEADER: &str = "| scenario | proxy | cost | a second | p50 us | p99 us | \
        p99.9 us | ringgate / proxy | mark |\n|---|---|---|---|---|---|---|---|---|";

    /// A row of the table; `-` stands for what is not measured.
    pub(super) fn row(&self, verdict: Option<&Verdict>) -> String {
        let number = |spread: Option<Spread>| match spread {
            Some(spread) => format!("{:.0}", spread.median),
            None => "-".to_owned(),
        };
        let unit = self.scenario.shape().unit;
        let what = if unit == Unit::Connection { "KiB" } else { "CPU-us" };
        format!(
            "| {} | {} | {:.2} {what}/{} | {} | {} | {} | {} | {} | {} |",
            self.scenario.name(),
            self.contender.name(),
            self.cost,
            unit.name(),
            number(self.rate),
            number(self.p50_us),
            number(self.p99_us),
            number(self.p999_us),
            self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            verdict.map_or("", |verdict| &verdict.text),
        )
    }

    pub(super) fn json(&self, verdict: Option<&Verdict>) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|s| json!({ "median": s.median, "least": s.least, "most": s.most }))
        };
        json!({
            "scenario": self.scenario.name(),
            "contender": self.contender.name(),
            "cost": spread(Some(self.cost)),
            "units_per_second": spread(self.rate),
            "p50_us": spread(self.p50_us),
            "p99_us": spread(self.p99_us),
            "p999_us": spread(self.p999_us),
            "ringgate_to_this": spread(self.ratio),
            "mark": verdict.map(|v| json!({ "reached": v.is_reached, "text": v.text })),
        })
    }
}

/// Of the lines of one scenario; none where there is no mark, or nobody to compare with.
pub(super) fn verdict(scenario: Scenario, lines: &[Line]) -> Option<Verdict> {
    let ours = lines.iter().find(|line| line.contender == Contender::Ringgate)?;
    let peers = || lines.iter().filter(|line| line.contender != Contender::Ringgate);
    let (is_reached, text) = match scenario.shape().mark? {
        Mark::CpuRatio(most) => {
            let best = peers().min_by(|a, b| a.cost.median.total_cmp(&b.cost.median))?;
            let ratio = best.ratio?.median;
            (ratio <= most, format!("{ratio:.2} of {}, at most {most:.2}", best.contender.name()))
        }
        Mark::Kibibytes(most) => {
            (ours.cost.median <= most, format!("{:.2} KiB, at most {most}", ours.cost.median))
        }
        Mark::Latency => {
            let best = |which: fn(&Line) -> Option<Spread>| {
                peers().filter_map(which).map(|spread| spread.median).min_by(f64::total_cmp)
            };
            let (p50, p99) = (best(|line| line.p50_us)?, best(|line| line.p99_us)?);
            let (our_p50, our_p99) = (ours.p50_us?.median, ours.p99_us?.median);
            let text =
                format!("p50 {our_p50:.0}, at most {p50:.0}; p99 {our_p99:.0}, at most {p99:.0}");
            (our_p50 <= p50 && our_p99 <= p99, text)
        }
    };
    let word = if is_reached { "reached" } else { "MISSED" };
    Some(Verdict { is_reached, text: format!("{text}: {word}") })
}

#[cfg(test)]
mod tests {
    use super::super::contender::Contender;
    use super::super::load::Load;
    use super::super::measure::Figures;
    use super::super::scenario::Scenario;
    use super::{Line, verdict};

    /// A run of 1,000 requests at so many CPU-us each, and a p99.
    fn run(cpu_us: u64, p99_us: u64) -> Figures {
        let load = Load {
            requests: 1000,
            bytes: 0,
            duration_us: 1_000_000,
            p50_us: 50,
            p99_us,
            p999_us: 900,
            socket_errors: 0,
        };
        Figures::Work { cpu_ns: cpu_us * 1_000_000, load }
    }

    fn lines(
        scenario: Scenario,
        ours: &[Figures],
        nginx: &[Figures],
        haproxy: &[Figures],
    ) -> Vec<Line> {
        [(Contender::Ringgate, ours), (Contender::Nginx, nginx), (Contender::Haproxy, haproxy)]
            .into_iter()
            .filter_map(|(contender, runs)| Line::of(scenario, contender, runs, ours))
            .collect()
    }

    #[test]
    fn the_ratio_is_that_to_the_best_peer_and_of_runs_in_one_turn() {
        let scenario = Scenario::Keepalive64;
        let ours = [run(8, 1), run(16, 1), run(9, 1)];
        let lines = lines(scenario, &ours, &[run(10, 1), run(20, 1), run(10, 1)], &[run(30, 1); 3]);
        let verdict = verdict(scenario, &lines).expect("a mark");
        assert_eq!(verdict.text, "0.80 of nginx, at most 0.82: reached");
        assert!(verdict.is_reached);
    }

    #[test]
    fn a_mark_of_latency_is_over_all_peers() {
        let scenario = Scenario::FixedRate;
        let lines = lines(scenario, &[run(1, 90)], &[run(1, 80)], &[run(1, 100)]);
        let verdict = verdict(scenario, &lines).expect("a mark");
        assert_eq!(verdict.text, "p50 50, at most 50; p99 90, at most 80: MISSED");
    }

    #[test]
    fn memory_has_a_mark_of_its_own_and_nobody_alone_has_a_ratio() {
        let memory = [Figures::Memory { bytes_each: 1024.0 }];
        let alone = lines(Scenario::IdlePlain, &memory, &[], &[]);
        let verdict_of = |scenario, lines: &[Line]| verdict(scenario, lines).map(|v| v.text);
        let expected = Some("1.00 KiB, at most 1.1: reached".to_owned());
        assert_eq!(verdict_of(Scenario::IdlePlain, &alone), expected);
        let alone = lines(Scenario::Connect, &[run(1, 1)], &[], &[]);
        assert_eq!(verdict_of(Scenario::Connect, &alone), None);
    }
}
