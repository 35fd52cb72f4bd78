//! Which days a recurrence names. Calendar arithmetic only: no clocks, no zones.

use jiff::{Span, civil::Date};
use portolan_model::schedule::{MonthDays, Ordinal, Recurrence, Weekday};

/// Months to look ahead for a monthly recurrence: the longest wait is for a 29th of February around a
/// century year without one.
const MONTHS_AHEAD: u32 = 12 * 9;

/// The days of a recurrence.
pub(super) struct Days<'a>(pub(super) &'a Recurrence);

impl Days<'_> {
    pub(super) fn is_every_day(&self) -> bool {
        matches!(self.0, Recurrence::EveryDay)
    }

    /// Whether the recurrence names this day.
    pub(super) fn includes(&self, day: Date) -> bool {
        match self.0 {
            Recurrence::EveryDay => true,
            Recurrence::Daily { from, interval } => day >= *from && days_between(*from, day) % i64::from((*interval).max(1)) == 0,
            Recurrence::Weekly { from, interval, days } => {
                day >= *from
                    && days.iter().any(|wanted| is_weekday(day, *wanted))
                    && days_between(monday_of(*from), monday_of(day)) / 7 % i64::from((*interval).max(1)) == 0
            }
            Recurrence::Monthly { months, on } => has_month(months, day) && on_day(on, day),
        }
    }

    /// The first day at or after `day` that the recurrence names; `None` when there is none (an empty
    /// list of days, the 30th of February, the end of the calendar).
    pub(super) fn first_from(&self, day: Date) -> Option<Date> {
        match self.0 {
            Recurrence::EveryDay => Some(day),
            Recurrence::Daily { from, interval } => {
                let interval = i64::from((*interval).max(1));
                let steps = days_between(*from, day).max(0).checked_add(interval - 1)? / interval;
                plus_days(*from, steps.checked_mul(interval)?)
            }
            Recurrence::Weekly { from, interval, .. } => {
                let day = day.max(*from);
                let this_week = (0..7 - i64::from(day.weekday().to_monday_zero_offset())).map(|ahead| (day, ahead));
                let interval = i64::from((*interval).max(1));
                let weeks = days_between(monday_of(*from), monday_of(day)) / 7;
                let next_week = (weeks / interval + 1).checked_mul(interval * 7).and_then(|ahead| plus_days(monday_of(*from), ahead));
                let next_week = next_week.into_iter().flat_map(|monday| (0..7).map(move |ahead| (monday, ahead)));
                this_week.chain(next_week).filter_map(|(day, ahead)| plus_days(day, ahead)).find(|day| self.includes(*day))
            }
            Recurrence::Monthly { months, .. } => {
                let mut month = day.first_of_month();
                for _ in 0..MONTHS_AHEAD {
                    if has_month(months, month) {
                        let days = (0..i64::from(month.days_in_month())).filter_map(|ahead| plus_days(month, ahead));
                        if let Some(found) = days.into_iter().find(|d| *d >= day && self.includes(*d)) {
                            return Some(found);
                        }
                    }
                    month = month.checked_add(Span::new().months(1)).ok()?;
                }
                None
            }
        }
    }
}

fn has_month(months: &[u8], day: Date) -> bool {
    months.is_empty() || months.iter().any(|month| i8::try_from(*month) == Ok(day.month()))
}

fn on_day(on: &MonthDays, day: Date) -> bool {
    match on {
        MonthDays::Days { days, last_day } => {
            days.iter().any(|wanted| i8::try_from(*wanted) == Ok(day.day())) || *last_day && day.day() == day.days_in_month()
        }
        MonthDays::Ordinal { ordinals, days } => {
            let nth = (day.day() - 1) / 7;
            let is_last = day.day() > day.days_in_month() - 7;
            days.iter().any(|wanted| is_weekday(day, *wanted))
                && ordinals.iter().any(|ordinal| match ordinal {
                    Ordinal::First => nth == 0,
                    Ordinal::Second => nth == 1,
                    Ordinal::Third => nth == 2,
                    Ordinal::Fourth => nth == 3,
                    Ordinal::Last => is_last,
                })
        }
    }
}

fn is_weekday(day: Date, wanted: Weekday) -> bool {
    let number = match wanted {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    };
    day.weekday().to_monday_zero_offset() == number
}

/// A day some days later or earlier; `None` at the ends of the calendar.
pub(super) fn plus_days(day: Date, days: i64) -> Option<Date> {
    day.checked_add(Span::new().try_days(days).ok()?).ok()
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_secs() / 86_400
}

/// The Monday of the week of a day: weeks of a recurrence begin on Monday.
fn monday_of(day: Date) -> Date {
    plus_days(day, -i64::from(day.weekday().to_monday_zero_offset())).unwrap_or(Date::MIN)
}
