//! The metrics in the OpenMetrics text format: the workers' counters summed, and the control
//! plane's own figures.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Sources;
use super::answer::Answer;
use super::process::ProcessFigures;
use crate::control::jwks::parse::IgnoreReason;
use crate::control::status::{
    CertificateStatus, DenyListStatus, ProviderStatus, Running, TlsOwner,
};
use crate::crypto;
use crate::kernel::{BanMode, Verdict};
use crate::telemetry::counters::{Cell, CounterBlock, Kind, sum};
use crate::telemetry::histogram::{Distribution, distribution};
use crate::telemetry::labels::CONNECTIONS_OPEN;

/// The content type of [`render`]'s text.
pub(super) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All of them.
pub(super) fn answer(sources: &Sources, now: Instant) -> Answer {
    match render(sources, now) {
        Ok(body) => Answer::new(200, TYPE, body),
        Err(fmt::Error) => Answer::text(500, "not encodable\n"),
    }
}

fn render(sources: &Sources, now: Instant) -> Result<String, fmt::Error> {
    let mut scrape = Scrape::default();
    {
        let running = sources.status.lock();
        scrape.add_cells(sources, &running);
        scrape.add_control(&running);
        scrape.add_providers(&running.providers, now);
        scrape.add_certificates(&running.certificates);
    }
    if let Some(drops) = &sources.drops {
        let name = "ringgate_access_log_dropped_lines";
        let family = scrape.family(name, "Access log lines lost, by why.", MetricType::Counter);
        family.add([("reason", "overflow")], Value::Count(drops.overflowed()));
        family.add([("reason", "write_failed")], Value::Count(drops.failed()));
    }
    scrape.add_process(ProcessFigures::read());
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut body = String::new();
    text::encode(&mut body, &registry)?;
    Ok(body)
}

/// One scrape: families in the order of their making, samples together as the format asks.
#[derive(Debug, Default)]
struct Scrape {
    families: Vec<SampleFamily>,
}

#[derive(Debug)]
struct SampleFamily {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(Vec<(&'static str, String)>, Value)>,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    /// A gauge that may be below zero for a moment.
    Level(i64),
    Seconds(f64),
    Distribution(Distribution),
}

impl Value {
    fn encode(&self, kind: MetricType, sample: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match (kind, self) {
            (MetricType::Counter, Self::Count(count)) => {
                sample.encode_counter::<NoLabelSet, _, f64>(count, None)
            }
            (_, Self::Count(count)) => sample.encode_gauge(count),
            (_, Self::Level(level)) => sample.encode_gauge(level),
            (_, Self::Seconds(seconds)) => sample.encode_gauge(seconds),
            (_, Self::Distribution(Distribution { buckets, sum })) => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                sample.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, buckets, None)
            }
        }
    }
}

impl SampleFamily {
    fn add<'l>(&mut self, labels: impl IntoIterator<Item = (&'static str, &'l str)>, value: Value) {
        let labels = labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        self.samples.push((labels, value));
    }
}

impl Scrape {
    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
    ) -> &mut SampleFamily {
        let index = self.families.iter().position(|family| family.name == name);
        let index = index.unwrap_or_else(|| {
            self.families.push(SampleFamily { name, help, kind, samples: Vec::new() });
            self.families.len() - 1
        });
        &mut self.families[index]
    }

    fn one(&mut self, name: &'static str, help: &'static str, kind: MetricType, value: Value) {
        self.family(name, help, kind).add([], value);
    }

    /// The workers' cells, summed over the workers.
    fn add_cells(&mut self, sources: &Sources, running: &Running) {
        for cell in &running.cells {
            let total = |id| sum(&sources.blocks, id);
            let (kind, value) = match cell.family.kind {
                Kind::Counter => (MetricType::Counter, Value::Count(total(cell.id))),
                Kind::Gauge => (MetricType::Gauge, Value::Level(total(cell.id).cast_signed())),
                Kind::Histogram(buckets) => {
                    let distribution = distribution(cell.id, buckets, total);
                    (MetricType::Histogram, Value::Distribution(distribution))
                }
            };
            let values = cell.label_values.iter().map(|value| &**value);
            let labels = cell.family.labels.iter().copied().zip(values);
            self.family(cell.family.name, cell.family.help, kind).add(labels, value);
        }
        self.add_workers(&sources.blocks, &running.cells);
    }

    /// How the connections are spread over the workers.
    fn add_workers(&mut self, blocks: &[Arc<CounterBlock>], cells: &[Cell]) {
        let help = "Client connections open now, by worker.";
        let family = self.family("ringgate_worker_connections", help, MetricType::Gauge);
        for (worker, block) in blocks.iter().enumerate() {
            let open = cells.iter().filter(|cell| cell.family == &CONNECTIONS_OPEN);
            let open: i64 = open.map(|cell| block.get(cell.id).cast_signed()).sum();
            family.add([("worker", worker.to_string().as_str())], Value::Level(open));
        }
    }

    fn add_control(&mut self, running: &Running) {
        let help = "Whether the kernel helps with this; /config says why not.";
        let family = self.family("ringgate_kernel_assist", help, MetricType::Gauge);
        for report in &running.assists {
            let value = Value::Level(i64::from(report.is_on()));
            family.add([("assist", report.assist.name())], value);
        }
        self.family("ringgate_build_info", "Which build this is; always 1.", MetricType::Gauge)
            .add(
                [("version", env!("CARGO_PKG_VERSION")), ("crypto", crypto::NAME)],
                Value::Level(1),
            );
        let help = "The snapshot published last, by number.";
        let published = Value::Count(running.published.0);
        self.one("ringgate_published_generation", help, MetricType::Gauge, published);
        let help = "The oldest snapshot that a worker still judges by, by number.";
        let oldest = Value::Count(running.oldest_running.0);
        self.one("ringgate_running_generation", help, MetricType::Gauge, oldest);
        let help = "Configurations taken since start, the first included.";
        let taken = Value::Count(running.config_generation);
        self.one("ringgate_config_generation", help, MetricType::Gauge, taken);
        let help = "Reloads, by how they ended.";
        let reloads = self.family("ringgate_config_reloads", help, MetricType::Counter);
        reloads.add([("result", "applied")], Value::Count(running.reloads.applied));
        reloads.add([("result", "refused")], Value::Count(running.reloads.refused));
        self.add_deny_list(&running.deny_list);
        self.add_shield(running);
        let help = "Upstream names that do not resolve now.";
        let unresolved = Value::Count(running.unresolved.len() as u64);
        self.one("ringgate_unresolved_names", help, MetricType::Gauge, unresolved);
        let help = "Whether SIGTERM has come.";
        let draining = Value::Level(i64::from(running.draining));
        self.one("ringgate_draining", help, MetricType::Gauge, draining);
    }

    fn add_shield(&mut self, running: &Running) {
        if let Some(counters) = running.frames.as_ref().and_then(|frames| frames.read().ok()) {
            let help = "Frames on the shield's interfaces, by what became of them.";
            let frames = self.family("ringgate_shield_frames", help, MetricType::Counter);
            for verdict in Verdict::ALL {
                frames.add([("verdict", verdict.name())], Value::Count(counters.of(verdict)));
            }
        }
        let Some(bans) = &running.bans else { return };
        let help = "Sources that are banned now for forged tokens.";
        let active = self.family("ringgate_bans", help, MetricType::Gauge);
        for mode in [BanMode::Shadow, BanMode::Enforced] {
            let count = if mode == bans.mode { bans.active } else { 0 };
            active.add([("mode", mode.name())], Value::Count(count as u64));
        }
        let help = "Bans for forged tokens that began.";
        let begun = self.family("ringgate_bans_begun", help, MetricType::Counter);
        begun.add([("mode", BanMode::Shadow.name())], Value::Count(bans.begun_in_shadow));
        begun.add([("mode", BanMode::Enforced.name())], Value::Count(bans.begun_enforced));
    }

    fn add_deny_list(&mut self, list: &DenyListStatus) {
        let help = "Entries of the deny list, by where they come from.";
        let entries = self.family("ringgate_deny_list_entries", help, MetricType::Gauge);
        entries.add([("source", "file")], Value::Count(list.file_entries as u64));
        entries.add([("source", "admin")], Value::Count(list.admin_entries as u64));
        let help =
            "Whether the file of the deny list is bad now, and its last good entries are in force.";
        let bad = Value::Level(i64::from(list.file_error.is_some()));
        self.one("ringgate_deny_list_file_bad", help, MetricType::Gauge, bad);
        let help = "How often the file of the deny list became bad.";
        let failures = Value::Count(list.file_failures);
        self.one("ringgate_deny_list_file_failures", help, MetricType::Counter, failures);
    }

    fn add_certificates(&mut self, certificates: &[CertificateStatus]) {
        for certificate in certificates {
            let owner = match &certificate.owner {
                TlsOwner::Listener(name) => ("listener", &**name),
                TlsOwner::Upstream(name) => ("upstream", &**name),
            };
            let labels = [owner, ("file", &*certificate.file)];
            if let Some(shown) = &certificate.shown {
                let name = "ringgate_certificate_expiry_timestamp_seconds";
                let help = "When the certificate that a listener or an upstream is shown ends to be valid.";
                let expiry = self.family(name, help, MetricType::Gauge);
                expiry.add(labels, Value::Level(shown.not_after));
            }
            let name = "ringgate_certificate_files_bad";
            let help = "Whether files of certificates, authorities or revocations are no good, and what was read of them before counts on.";
            let failed = i64::from(certificate.failure.is_some());
            self.family(name, help, MetricType::Gauge).add(labels, Value::Level(failed));
        }
    }

    fn add_providers(&mut self, providers: &[ProviderStatus], now: Instant) {
        for provider in providers {
            let label = [("provider", provider.name.as_str())];
            let help = "Usable keys of the provider.";
            self.family("ringgate_jwks_keys", help, MetricType::Gauge)
                .add(label, Value::Count(provider.key_count() as u64));
            let help = "Grows with every change of the provider's keys; 0 before the first load.";
            self.family("ringgate_jwks_generation", help, MetricType::Gauge)
                .add(label, Value::Count(provider.generation));
            let help =
                "Whether the provider's keys were not confirmed for max_stale and are dropped.";
            self.family("ringgate_jwks_expired", help, MetricType::Gauge)
                .add(label, Value::Level(i64::from(provider.expired)));
            let help = "Keys in use beside these that have vanished from the set, by key_grace.";
            self.family("ringgate_jwks_vanished_keys", help, MetricType::Gauge)
                .add(label, Value::Count(provider.lingering.len() as u64));
            self.add_ignored(provider);
            if let Some((confirmed, at)) = provider.confirmed {
                let age = now.saturating_duration_since(confirmed).as_secs_f64();
                let help = "Time since the keys were last known to be the issuer's.";
                self.family("ringgate_jwks_age_seconds", help, MetricType::Gauge)
                    .add(label, Value::Seconds(age));
                let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                let help = "When that was, since 1970.";
                self.family(
                    "ringgate_jwks_last_success_timestamp_seconds",
                    help,
                    MetricType::Gauge,
                )
                .add(label, Value::Seconds(at));
            }
            let counts = provider.fetches();
            let help = "Fetches of the provider's keys, by how they ended.";
            let fetches = self.family("ringgate_jwks_fetches", help, MetricType::Counter);
            let ends = [
                ("changed", counts.changed),
                ("unchanged", counts.unchanged),
                ("failed", counts.failed),
            ];
            for (result, count) in ends {
                fetches.add([label[0], ("result", result)], Value::Count(count));
            }
        }
    }

    /// Of the source whose keys are in use.
    fn add_ignored(&mut self, provider: &ProviderStatus) {
        let help = "Keys of the provider's set that cannot be used, by why.";
        let family = self.family("ringgate_jwks_ignored_keys", help, MetricType::Gauge);
        for reason in IgnoreReason::CODES {
            let ignored = provider.active().into_iter().flat_map(|source| source.ignored.iter());
            let count = ignored.filter(|key| key.reason.code() == reason).count();
            let labels = [("provider", provider.name.as_str()), ("reason", reason)];
            family.add(labels, Value::Count(count as u64));
        }
    }

    fn add_process(&mut self, process: ProcessFigures) {
        let figures = [
            ("process_open_fds", "Open descriptors.", process.open_descriptors),
            ("process_max_fds", "The limit on open descriptors.", process.descriptors_max),
            ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes),
            ("process_threads", "Threads.", process.threads),
        ];
        for (name, help, value) in figures {
            if let Some(value) = value {
                self.one(name, help, MetricType::Gauge, Value::Count(value));
            }
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.families {
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, None, family.kind)?;
            for (labels, value) in &family.samples {
                // An empty set of labels would be written as `name{}`.
                if labels.is_empty() {
                    value.encode(family.kind, &mut metric)?;
                } else {
                    let labels = labels.as_slice();
                    value.encode(family.kind, &mut metric.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
