//! Who watches the checks go by: nobody on the data plane, the operator in `ringgate verify`.

use super::json::Value;
use super::refusal::Reason;

/// Sees each check with its outcome. Verification is written once, over this: the data plane
/// passes [`Untraced`], which compiles to nothing.
pub(super) trait Trace {
    /// Passes `result` on; `detail` is made only by who wants to see it.
    fn check<T>(
        &mut self,
        check: &'static str,
        detail: impl FnOnce() -> Detail,
        result: Result<T, Reason>,
    ) -> Result<T, Reason>;
}

/// What a check looked at and what it would have accepted.
pub(super) struct Detail {
    found: String,
    wanted: String,
}

impl Detail {
    pub(super) fn new(found: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { found: found.into(), wanted: wanted.into() }
    }
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// What the token has; may show claims.
    pub found: String,
    /// What is accepted.
    pub wanted: String,
    /// Whether it was.
    pub outcome: Result<(), Reason>,
}

/// Nobody.
pub(super) struct Untraced;

impl Trace for Untraced {
    #[inline]
    fn check<T>(
        &mut self,
        _check: &'static str,
        _detail: impl FnOnce() -> Detail,
        result: Result<T, Reason>,
    ) -> Result<T, Reason> {
        result
    }
}

impl Trace for Vec<Finding> {
    fn check<T>(
        &mut self,
        check: &'static str,
        detail: impl FnOnce() -> Detail,
        result: Result<T, Reason>,
    ) -> Result<T, Reason> {
        let Detail { found, wanted } = detail();
        let outcome = result.as_ref().map(|_| ()).map_err(|reason| *reason);
        self.push(Finding { check, found, wanted, outcome });
        result
    }
}

/// A value as a finding shows it; control characters never reach the terminal.
pub(super) fn shown(value: Option<Value<'_>>) -> String {
    match value {
        None => "missing".into(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Number(text)) => text.into(),
        Some(Value::String(text)) => format!("{:?}", text.to_cow()),
        Some(Value::Array(array)) => {
            let elements: Vec<_> = array.elements().map(|element| shown(Some(element))).collect();
            format!("[{}]", elements.join(", "))
        }
        Some(value @ (Value::Null | Value::Object(_))) => value.kind().into(),
    }
}
