//! What makes no sense in a schedule, in words for the person who wrote it.

use super::{days::Days, zone};
use jiff::civil::Date;
use portolan_model::schedule::{MonthDays, Recurrence, Schedule};

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The field of the schedule, for example `window.to`.
    pub field: &'static str,
    /// What is wrong, with the value.
    pub message: String,
    /// What to do.
    pub help: String,
}

fn problem(field: &'static str, message: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem { field, message: message.into(), help: help.into() }
}

/// Everything that is wrong with a schedule; empty when it is sound.
#[must_use]
pub fn validate(schedule: &Schedule) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(name) = schedule.time_zone.as_deref().filter(|name| zone(name).is_none()) {
        let help = "use an IANA name such as Europe/Berlin or America/New_York, or leave it out for UTC";
        problems.push(problem("time_zone", format!("there is no time zone \"{name}\""), help));
    }
    if let (Some(start), Some(stop)) = (schedule.start, schedule.stop)
        && start >= stop
    {
        let message = format!("the stop date {stop} is not after the start date {start}: it would never be open");
        problems.push(problem("stop", message, "choose a later stop date, or disable the location instead"));
    }
    if let Some(window) = schedule.window.as_ref().filter(|window| window.from == window.to) {
        let message = format!("the window begins and ends at {}: it would be open for one second", window.from);
        problems.push(problem(
            "window",
            message,
            "for the whole day, leave the window out; otherwise give another end (the end is inclusive)",
        ));
    }
    recurrence(&schedule.recurrence, &mut problems);
    if problems.is_empty()
        && Days(&schedule.recurrence).first_from(schedule.start.map_or(Date::constant(2000, 1, 1), |at| at.date())).is_none()
    {
        let help = "a day a month lacks is passed over: choose other days or months, or last_day";
        problems.push(problem("recurrence", "no such day ever comes: it would never be open", help));
    }
    problems
}

fn recurrence(recurrence: &Recurrence, problems: &mut Vec<Problem>) {
    let no_days = || problem("recurrence.days", "no day is named: it would never be open", "name at least one day");
    match recurrence {
        Recurrence::EveryDay => {}
        Recurrence::Daily { interval, .. } | Recurrence::Weekly { interval, .. } if *interval == 0 => {
            problems.push(problem("recurrence.interval", "the interval is 0", "use 1 for every day or week, 2 for every second one"));
        }
        Recurrence::Daily { .. } => {}
        Recurrence::Weekly { days, .. } => {
            if days.is_empty() {
                problems.push(no_days());
            }
        }
        Recurrence::Monthly { months, on } => {
            for month in months.iter().filter(|month| !(1..=12).contains(*month)) {
                problems.push(problem("recurrence.months", format!("there is no month {month}"), "months are 1 to 12"));
            }
            match on {
                MonthDays::Days { days, last_day } => {
                    for day in days.iter().filter(|day| !(1..=31).contains(*day)) {
                        problems.push(problem("recurrence.days", format!("there is no day {day} in any month"), "days are 1 to 31"));
                    }
                    if days.is_empty() && !last_day {
                        problems.push(no_days());
                    }
                }
                MonthDays::Ordinal { ordinals, days } => {
                    if days.is_empty() || ordinals.is_empty() {
                        problems.push(no_days());
                    }
                }
            }
        }
    }
}
