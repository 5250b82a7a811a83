//! Where in a JSON document something is: segments from the root, compared as such.

use std::fmt;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::control) enum Step {
    /// Into an object.
    Key(Box<str>),
    /// Into an array.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.into())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Steps from the root; prints as `routes[0].jwt.providers[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(in crate::control) struct JsonPath(Vec<Step>);

impl JsonPath {
    /// This path and one step more.
    pub(in crate::control) fn join(&self, step: impl Into<Step>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    pub(in crate::control) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether the other path is this one or leads into it.
    pub(in crate::control) fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl<const N: usize> From<[&str; N]> for JsonPath {
    fn from(keys: [&str; N]) -> Self {
        Self(keys.into_iter().map(Step::from).collect())
    }
}

impl From<&serde_path_to_error::Path> for JsonPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let steps = path.iter().map_while(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.as_str().into())),
            Segment::Enum { variant } => Some(Step::Key(variant.as_str().into())),
            Segment::Unknown => None,
        });
        Self(steps.collect())
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |key: &str| {
            let name = |b: u8| b.is_ascii_alphanumeric() || b"_-$".contains(&b);
            !key.is_empty() && key.bytes().all(name)
        };
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !plain(key) => write!(f, "[{key:?}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_one_would_type_it() {
        let path = JsonPath::from(["routes"]).join(0).join("jwt").join("a.b").join("c-d");
        assert_eq!(path.to_string(), r#"routes[0].jwt["a.b"].c-d"#);
    }

    #[test]
    fn a_key_with_a_dot_is_one_step() {
        let dotted = JsonPath::from(["a.b"]);
        assert_ne!(dotted, JsonPath::from(["a", "b"]));
        assert!(!JsonPath::from(["a"]).contains(&dotted));
        assert!(JsonPath::from(["a"]).contains(&JsonPath::from(["a", "b"])));
    }
}
