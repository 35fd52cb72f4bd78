//! When a receive location or a send transport works: start and stop dates, and a service window
//! with time zone and recurrence (manual page "How to Configure Scheduling for a Receive Location").
//! The arithmetic is in `portolan_engine::schedule`.

use jiff::civil::{Date, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A daily stretch of local time. `from` after `to` spans midnight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceWindow {
    /// First moment of the window, local time.
    pub from: Time,
    /// Last moment of the window (inclusive to the second), local time.
    pub to: Time,
}

/// Days on which the window opens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Recurrence {
    /// Every day.
    #[default]
    EveryDay,
    /// Every `interval` days, counted from `from`.
    Daily {
        /// First day.
        from: Date,
        /// Days between openings, at least 1.
        interval: u32,
    },
    /// On these days of every `interval`-th week, counted from the week of `from`.
    Weekly {
        /// First day.
        from: Date,
        /// Weeks between openings, at least 1.
        interval: u32,
        /// Days of the week.
        days: Vec<Weekday>,
    },
    /// In these months, on days of the month or on an ordinal weekday.
    Monthly {
        /// Months 1–12; empty = all.
        months: Vec<u8>,
        /// Which days of those months.
        on: MonthDays,
    },
}

/// Days of a month.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MonthDays {
    /// Days 1–31 and, if `last_day`, the last day of the month.
    Days {
        /// Days of the month; a day a month lacks is passed over.
        days: Vec<u8>,
        /// Whether the last day counts too.
        last_day: bool,
    },
    /// For example the *second* *Tuesday*.
    Ordinal {
        /// Which one.
        ordinals: Vec<Ordinal>,
        /// Of which weekdays.
        days: Vec<Weekday>,
    },
}

/// Day of the week.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Position of a weekday in its month.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Ordinal {
    First,
    Second,
    Third,
    Fourth,
    Last,
}

/// When something works. The default is always.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// IANA name of the zone all local times below are in; `None` = UTC.
    pub time_zone: Option<String>,
    /// Nothing happens before this local date and time.
    pub start: Option<jiff::civil::DateTime>,
    /// Nothing happens after this local date and time.
    pub stop: Option<jiff::civil::DateTime>,
    /// Hours of the day; `None` = the whole day.
    pub window: Option<ServiceWindow>,
    /// Days on which the window opens.
    pub recurrence: Recurrence,
}
