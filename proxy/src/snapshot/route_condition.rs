//! What a route asks of the query and the fields of a request, beside its place and its method.

/// The most conditions that one route may have.
pub const CONDITIONS_MAX: usize = 16;

/// One thing that a route asks of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// Where it looks, and for what.
    pub subject: Subject,
    /// What it wants to find there.
    pub wanted: Wanted,
}

/// Where a condition looks, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Fields of this name, in lower case with `-` for all but letters and digits, in every spelling
    /// that an upstream may take for the same.
    Header(Box<str>),
    /// Query parameters of this name, decoded.
    Query(Box<str>),
}

impl Subject {
    /// The field of a name that is valid, whatever its spelling.
    #[must_use]
    pub fn header(name: &str) -> Self {
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        Self::Header(name.chars().map(fold).collect())
    }
}

/// What a condition wants to find.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// Exactly one, with this value.
    Value(Box<[u8]>),
    /// At least one.
    Present,
    /// None.
    Absent,
}

/// What a request says to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It is as wanted.
    Yes,
    /// It is not.
    No,
    /// There are several values where one is asked for, so that readers may take different ones.
    Unclear,
}

impl Wanted {
    /// What a request says that has these values.
    pub fn judge<V: AsRef<[u8]>>(&self, mut values: impl Iterator<Item = V>) -> Held {
        let yes = |holds: bool| if holds { Held::Yes } else { Held::No };
        let first = values.next();
        match self {
            Self::Present => yes(first.is_some()),
            Self::Absent => yes(first.is_none()),
            Self::Value(_) if values.next().is_some() => Held::Unclear,
            Self::Value(wanted) => yes(first.is_some_and(|found| found.as_ref() == &**wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_compared_and_several_are_unclear() {
        let one = Wanted::Value((*b"a").into());
        for (values, [value, present, absent]) in [
            (&[][..], [Held::No, Held::No, Held::Yes]),
            (&["a"], [Held::Yes, Held::Yes, Held::No]),
            (&["A"], [Held::No, Held::Yes, Held::No]),
            (&["a", "a"], [Held::Unclear, Held::Yes, Held::No]),
            (&["b", "c"], [Held::Unclear, Held::Yes, Held::No]),
        ] {
            assert_eq!(one.judge(values.iter()), value, "{values:?}");
            assert_eq!(Wanted::Present.judge(values.iter()), present, "{values:?}");
            assert_eq!(Wanted::Absent.judge(values.iter()), absent, "{values:?}");
        }
    }

    #[test]
    fn a_header_is_the_same_in_every_spelling() {
        assert_eq!(Subject::header("X_Team.Id"), Subject::header("x-team-id"));
        assert_ne!(Subject::header("X-Team"), Subject::header("X-Teams"));
    }
}
