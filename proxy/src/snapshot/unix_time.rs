//! The time that tokens are dated by.

/// Seconds since the epoch by CLOCK_REALTIME, as the caller read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// The end of the year 9999; a later date is a mistake of unit (milliseconds), not a date.
    pub const MAX: Self = Self(253_402_300_799);
}
