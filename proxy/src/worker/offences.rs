//! Bad signatures on their way to the control thread, which bans for them: added up by source, and
//! told of a few times a second, so that a flood of bad tokens is no flood of messages.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::snapshot::peers::Source;

/// Sources that one report is about. Of more at once the others are not told of.
const SOURCES_MAX: usize = 1024;

/// What a source did since the last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// Who.
    pub source: Source,
    /// Requests whose token has a signature that no key has made.
    pub tokens: u32,
    /// The listener of the first of them.
    pub listener: Box<str>,
    /// Its route.
    pub route: Box<str>,
}

/// How a worker tells of offences.
pub type ReportOffences = Box<dyn Fn(Vec<Offence>) + Send>;

/// What is not told of yet.
pub(super) struct Offences {
    report: ReportOffences,
    noted: RefCell<HashMap<Source, Offence>>,
}

impl Offences {
    pub(super) fn new(report: ReportOffences) -> Self {
        Self { report, noted: RefCell::default() }
    }

    /// Takes note of one; false where there are too many sources.
    pub(super) fn note(&self, source: Source, listener: &str, route: &str) -> bool {
        let mut noted = self.noted.borrow_mut();
        if let Some(offence) = noted.get_mut(&source) {
            offence.tokens = offence.tokens.saturating_add(1);
            return true;
        }
        if noted.len() >= SOURCES_MAX {
            return false;
        }
        let (listener, route) = (listener.into(), route.into());
        noted.insert(source, Offence { source, tokens: 1, listener, route });
        true
    }

    /// Tells of them, if there are any.
    pub(super) fn tell(&self) {
        let mut noted = self.noted.borrow_mut();
        if !noted.is_empty() {
            (self.report)(noted.drain().map(|(_, offence)| offence).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn source(number: usize) -> Source {
        let [.., a, b] = number.to_be_bytes();
        Source::v4([10, 0, a, b])
    }

    #[test]
    fn a_report_adds_up_and_is_made_once() {
        let (sender, reports) = channel();
        let offences = Offences::new(Box::new(move |report| sender.send(report).unwrap()));
        offences.tell();
        assert!(reports.try_recv().is_err(), "nothing to tell");
        for (source_number, route) in [(1, "a"), (1, "b"), (2, "a"), (1, "a")] {
            assert!(offences.note(source(source_number), "public", route));
        }
        offences.tell();
        offences.tell();
        let mut report = reports.recv().unwrap();
        report.sort_by_key(|offence| offence.source);
        let offence = |number, tokens| Offence {
            source: source(number),
            tokens,
            listener: "public".into(),
            route: "a".into(),
        };
        assert_eq!(report, [offence(1, 3), offence(2, 1)]);
        assert!(reports.try_recv().is_err(), "told once");
    }

    #[test]
    fn sources_are_bounded_and_known_ones_count_on() {
        let (sender, reports) = channel();
        let offences = Offences::new(Box::new(move |report| sender.send(report).unwrap()));
        for number in 0..SOURCES_MAX {
            assert!(offences.note(source(number), "public", "a"));
        }
        assert!(!offences.note(source(SOURCES_MAX), "public", "a"));
        assert!(offences.note(source(0), "public", "a"));
        offences.tell();
        assert_eq!(reports.recv().unwrap().len(), SOURCES_MAX);
        assert!(offences.note(source(SOURCES_MAX), "public", "a"), "there is room again");
    }
}
