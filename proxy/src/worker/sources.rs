//! How many connections each source has.

use std::cell::RefCell;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::snapshot::peers::Source;

/// How many connections each source has: as many entries as connections at most. Seeded, since the
/// sources are not the gateway's choice.
#[derive(Debug, Default)]
pub(super) struct Sources(RefCell<HashMap<Source, usize, RandomState>>);

impl Sources {
    /// Counts one more.
    pub(super) fn enter(&self, source: Source) {
        *self.0.borrow_mut().entry(source).or_default() += 1;
    }

    /// Counts one fewer.
    pub(super) fn leave(&self, source: Source) {
        let mut counts = self.0.borrow_mut();
        let left = counts.get_mut(&source).map(|count| {
            *count -= 1;
            *count
        });
        debug_assert!(left.is_some(), "who leaves has entered");
        if left == Some(0) {
            counts.remove(&source);
        }
    }

    /// How many there are.
    pub(super) fn count(&self, source: Source) -> usize {
        self.0.borrow().get(&source).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::peers::source_of;

    #[test]
    fn connections_are_counted_by_source_and_forgotten_with_the_last() {
        let source = |text: &str| source_of(text.parse().unwrap());
        let sources = Sources::default();
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]
        {
            sources.enter(source(address));
        }
        assert_eq!(sources.count(source("192.0.2.1")), 2);
        assert_eq!(sources.count(source("192.0.2.2")), 1);
        assert_eq!(sources.count(source("2001:db8:0:0:ffff::")), 2, "of one /64");
        assert_eq!(sources.count(source("2001:db8:0:1::")), 0);
        sources.leave(source("192.0.2.1"));
        sources.leave(source("192.0.2.1"));
        assert_eq!(sources.count(source("192.0.2.1")), 0);
        assert_eq!(sources.0.borrow().len(), 2);
    }
}
