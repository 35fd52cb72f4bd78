//! Moments and their text forms. A [`Timestamp`] counts ticks of 100 ns in UTC since 1970-01-01,
//! the precision of the reference product's date-time properties (seven fractional digits).
//! Reading the clock is the shell's work.

pub use jiff::tz::TimeZone;
use jiff::{Timestamp as Jiff, Unit};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Ticks (100 ns) in one second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;

/// A moment in UTC, in ticks of 100 ns since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `jiff` names, cut to 100 ns.
    #[must_use]
    pub fn from_jiff(moment: Jiff) -> Self {
        Self(i64::try_from(moment.as_nanosecond() / 100).unwrap_or(i64::MAX))
    }

    /// As a `jiff` timestamp; moments outside jiff's range are clamped to it.
    #[must_use]
    pub fn to_jiff(self) -> Jiff {
        Jiff::from_nanosecond(i128::from(self.0) * 100).unwrap_or(if self.0 < 0 { Jiff::MIN } else { Jiff::MAX })
    }

    /// This moment and `duration` later; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let ticks = i64::try_from(duration.as_nanos() / 100).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ticks))
    }

    /// How long after `earlier` this is; zero when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        Duration::from_nanos(ticks.saturating_mul(100))
    }

    /// Reads RFC 3339 / `xs:dateTime` text. Text without a zone is local time of `zone`, then
    /// converted to UTC (manual page "Property Promotion in Disassembler Pipeline Component").
    ///
    /// # Errors
    /// The parser's message, when the text is not a date and time.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, jiff::Error> {
        let text = text.trim();
        match text.parse::<Jiff>() {
            Ok(moment) => Ok(Self::from_jiff(moment)),
            Err(_) => {
                let civil: jiff::civil::DateTime = text.parse()?;
                Ok(Self::from_jiff(zone.to_timestamp(civil)?))
            }
        }
    }

    /// `yyyy-MM-ddTHH:mm:ss.fffZ`: for people and logs.
    #[must_use]
    pub fn short(self) -> String {
        let rounded = self.to_jiff().round(Unit::Millisecond).unwrap_or_else(|_| self.to_jiff());
        format!("{rounded:.3}")
    }
}

impl fmt::Display for Timestamp {
    /// `yyyy-MM-ddTHH:mm:ss.fffffffZ`, the demotion format of `xs:dateTime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.7}", self.to_jiff())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> String {
        Timestamp::parse(text, &TimeZone::UTC).unwrap().to_string()
    }

    #[test]
    fn reads_zoned_offset_and_local_forms() {
        assert_eq!(utc("2026-03-01T12:00:00Z"), "2026-03-01T12:00:00.0000000Z");
        assert_eq!(utc("2026-03-01T12:00:00.1234567+02:00"), "2026-03-01T10:00:00.1234567Z");
        assert_eq!(utc("2026-03-01T12:00:00"), "2026-03-01T12:00:00.0000000Z");
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(Timestamp::parse("2026-07-01T12:00:00", &berlin).unwrap().to_string(), "2026-07-01T10:00:00.0000000Z");
        assert!(Timestamp::parse("yesterday", &TimeZone::UTC).is_err());
    }

    #[test]
    fn short_form_keeps_milliseconds() {
        assert_eq!(Timestamp::parse("2026-03-01T12:00:00.98765Z", &TimeZone::UTC).unwrap().short(), "2026-03-01T12:00:00.988Z");
    }
}
