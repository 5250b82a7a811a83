//! Durations and sizes as the configuration spells them: a number with its unit, in a string.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The `format` of durations in the schema.
pub(super) const DURATION_FORMAT: &str = "duration-with-unit";
/// The `format` of sizes in the schema.
pub(super) const SIZE_FORMAT: &str = "size-with-unit";

/// A duration such as `500ms` or `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes such as `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) u64);

/// Not a quantity with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum QuantityError {
    #[error(
        "not a duration; allowed: a number with its unit, such as \"500ms\", \"30s\", \"1m 30s\" or \"2h\""
    )]
    Duration,
    #[error(
        "not a size; allowed: a whole number with its unit B, KB, MB, GB, KiB, MiB or GiB, such as \"64KiB\""
    )]
    Size,
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        humantime::parse_duration(text).map(Self).map_err(|_| QuantityError::Duration)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// Largest first, so that printing finds the largest that fits; binary units before decimal ones.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).ok_or(QuantityError::Size)?;
        let (digits, unit) = text.split_at(digits_end);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let number: u64 = digits.parse().map_err(|_| QuantityError::Size)?;
        let (_, factor) =
            UNITS.iter().find(|(name, _)| *name == unit).ok_or(QuantityError::Size)?;
        number.checked_mul(*factor).map(Self).ok_or(QuantityError::Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Reads and prints a quantity through its text, and describes it in the schema.
macro_rules! as_text {
    ($quantity:ident, $format:ident, $examples:expr) => {
        impl<'de> Deserialize<'de> for $quantity {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $quantity {
            fn schema_name() -> Cow<'static, str> {
                stringify!($quantity).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "examples": $examples })
            }
        }
    };
}

as_text!(Span, DURATION_FORMAT, ["500ms", "30s", "1m 30s"]);
as_text!(Size, SIZE_FORMAT, ["512B", "64KiB", "1GiB"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert_eq!("64 KB".parse(), Ok(Size(64_000)));
        assert_eq!("0B".parse(), Ok(Size(0)));
        for bad in ["", "64", "KiB", "-1B", "1.5MiB", "1kib", "1  B", "18446744073709551615KiB"] {
            assert_eq!(bad.parse::<Size>(), Err(QuantityError::Size), "{bad}");
        }
    }

    #[test]
    fn sizes_print_in_their_largest_unit() {
        for (bytes, text) in [(0, "0B"), (1023, "1023B"), (65_536, "64KiB"), (5 << 30, "5GiB")] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations() {
        assert_eq!("1m 30s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        for bad in ["", "30", "s", "-1s", "1 fortnight"] {
            assert_eq!(bad.parse::<Span>(), Err(QuantityError::Duration), "{bad}");
        }
    }
}
