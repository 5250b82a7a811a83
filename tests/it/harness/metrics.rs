//! A reader of the Prometheus text that the gateway's `/metrics` answers.

use std::collections::BTreeMap;

/// The samples of one scrape.
pub struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: String,
    value: f64,
}

impl Metrics {
    /// Reads the text.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            Sample {
                name: name.to_owned(),
                labels: labels.strip_suffix('}').expect("labels end with a brace").to_owned(),
                value: value.parse().expect("a sample's value is a number"),
            }
        });
        Self(samples.collect())
    }

    /// The sum of all series of this name whose labels contain each of these `name="value"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let matching = self.0.iter().filter(|sample| {
            sample.name == name && labels.iter().all(|label| sample.labels.contains(label))
        });
        matching.map(|sample| sample.value).sum()
    }

    /// What one label of a metric has, of all series that are not zero.
    pub fn counted(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mark = format!("{label}=\"");
        let mut counted = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.name == name && sample.value != 0.0) {
            let value = sample.labels.split_once(&mark).expect("a label of this name").1;
            let value = value.split('"').next().expect("a quoted value");
            *counted.entry(value.to_owned()).or_default() += sample.value;
        }
        counted
    }

    /// Whether there is a series of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }
}
