//! The routes of one listener, host and path: by method, then by their conditions.

use super::{Miss, RouteMatch};
use crate::snapshot::ids::RouteId;
use crate::snapshot::route_condition::{Condition, Held};
use crate::snapshot::route_match::Method;

/// The routes of one path pattern.
#[derive(Debug, Default)]
pub(super) struct Slot {
    named: Vec<(Method, Choices)>,
    any: Choices,
}

/// The routes of one path pattern and method.
#[derive(Debug, Default)]
struct Choices {
    /// Those with the most conditions first, then in the order of the file.
    conditional: Vec<(Box<[Condition]>, RouteId)>,
    /// The one without conditions.
    plain: Option<RouteId>,
}

impl Slot {
    /// # Panics
    /// When it takes the same requests as one before: the configuration refuses that.
    pub(super) fn insert(&mut self, selects: RouteMatch, id: RouteId) {
        let RouteMatch { methods, conditions, .. } = selects;
        if methods.is_empty() {
            self.any.insert(&conditions, id);
        }
        for method in methods {
            let at = match self.named.iter().position(|(named, _)| *named == method) {
                Some(at) => at,
                None => {
                    self.named.push((method, Choices::default()));
                    self.named.len() - 1
                }
            };
            self.named[at].1.insert(&conditions, id);
        }
    }

    /// The route for a method, or why there is none.
    pub(super) fn route(
        &self,
        method: &str,
        held: impl Fn(&Condition) -> Held,
    ) -> Result<RouteId, Miss> {
        let named = self.named.iter().find(|(named, _)| named.as_str() == method);
        let mut miss = Miss::Method;
        if let Some((_, choices)) = named {
            match choices.choose(&held) {
                Err(Miss::Condition) => miss = Miss::Condition,
                decided => return decided,
            }
        }
        self.any.choose(&held).map_err(|other| if other == Miss::Method { miss } else { other })
    }
}

impl Choices {
    fn insert(&mut self, conditions: &[Condition], id: RouteId) {
        if conditions.is_empty() {
            assert!(self.plain.replace(id).is_none(), "the configuration refuses ties");
            return;
        }
        let same = |(other, _): &(Box<[Condition]>, RouteId)| **other == *conditions;
        assert!(!self.conditional.iter().any(same), "the configuration refuses ties");
        let after = self.conditional.partition_point(|(other, _)| other.len() >= conditions.len());
        self.conditional.insert(after, (conditions.into(), id));
    }

    /// The first whose conditions all hold. Where any of them cannot be told, none is taken: what is
    /// asked of a request must not depend on which of two values somebody reads.
    fn choose(&self, held: &impl Fn(&Condition) -> Held) -> Result<RouteId, Miss> {
        let mut chosen = None;
        for (conditions, id) in &self.conditional {
            let mut all_hold = true;
            for condition in conditions {
                match held(condition) {
                    Held::Yes => {}
                    Held::No => all_hold = false,
                    Held::Unclear => return Err(Miss::Unclear),
                }
            }
            if all_hold {
                chosen = chosen.or(Some(*id));
            }
        }
        let miss = if self.conditional.is_empty() { Miss::Method } else { Miss::Condition };
        chosen.or(self.plain).ok_or(miss)
    }
}
