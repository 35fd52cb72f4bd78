//! When a schedule is open: start and stop dates, service windows, recurrence, in a time zone
//! (manual page "How to Configure Scheduling for a Receive Location").
//!
//! A schedule is a set of *openings*: one for each day the recurrence names, from the window's `from`
//! to its `to` (inclusive to the second), on the next day when `to` comes before `from`. A moment is
//! open when it lies in an opening and between the start and the stop date.
//!
//! When clocks change, each opening stays one opening. Wall clock times that are skipped stand for the
//! moment the clock jumps; a window that lies wholly inside the skipped hour keeps its length and
//! begins at that moment, so that a nightly window is never lost. Times that come twice mean the
//! first occurrence, so that it never opens twice (decision 0008).
//!
//! This module must never read a clock or the machine's own time zone: zones come by name, from the
//! database compiled in, so that every machine opens at the same moment.

mod days;
mod validate;

use days::{Days, plus_days};
use jiff::{
    SignedDuration, Span,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use portolan_model::{Timestamp, schedule::Schedule};
use std::{ops::Range, sync::LazyLock};
pub use validate::{Problem, validate};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A run of openings without a gap longer than this counts as endless. No recurrence has gaps that
/// come only after more than a year: every month has a 28th, and at most six follow.
const ENDLESS_DAYS: i64 = 400;

/// The zone of an IANA name, from the database compiled in.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

/// The zone of a schedule; UTC when it has none or an unknown one ([`validate()`] reports that).
#[must_use]
pub fn zone_of(schedule: &Schedule) -> TimeZone {
    schedule.time_zone.as_deref().and_then(zone).unwrap_or(TimeZone::UTC)
}

/// Whether the schedule is open at `now`.
#[must_use]
pub fn is_open(schedule: &Schedule, now: Timestamp) -> bool {
    let calendar = Calendar::new(schedule);
    calendar.limits.contains(&now) && (calendar.always || calendar.openings_around(now).any(|opening| opening.contains(&now)))
}

/// The next moment after `now` at which the schedule opens (`true`) or closes (`false`); `None` when
/// it stays as it is for ever.
#[must_use]
pub fn next_change(schedule: &Schedule, now: Timestamp) -> Option<(Timestamp, bool)> {
    let calendar = Calendar::new(schedule);
    if calendar.limits.is_empty() || now >= calendar.limits.end {
        return None;
    }
    if is_open(schedule, now) {
        let end = calendar.end_of_run(now).unwrap_or(Timestamp(i64::MAX)).min(calendar.limits.end);
        return (end.0 < i64::MAX).then_some((end, false));
    }
    let from = now.max(calendar.limits.start);
    let open = if calendar.always { Some(from) } else { calendar.first_opening(from) };
    open.filter(|open| *open < calendar.limits.end).map(|open| (open, true))
}

/// The first moment at or after `now` at which the schedule is open; `None` when it never opens again.
#[must_use]
pub fn next_opening(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    if is_open(schedule, now) { Some(now) } else { next_change(schedule, now).filter(|(_, open)| *open).map(|(at, _)| at) }
}

/// A schedule with its zone and limits worked out.
struct Calendar<'a> {
    schedule: &'a Schedule,
    zone: TimeZone,
    days: Days<'a>,
    /// Between start and stop date.
    limits: Range<Timestamp>,
    /// Neither window nor recurrence restricts it.
    always: bool,
}

impl<'a> Calendar<'a> {
    fn new(schedule: &'a Schedule) -> Self {
        let zone = zone_of(schedule);
        let start = schedule.start.map_or(Timestamp(i64::MIN), |at| instant(&zone, at));
        let stop = schedule.stop.map_or(Timestamp(i64::MAX), |at| instant(&zone, at));
        let days = Days(&schedule.recurrence);
        let always = schedule.window.is_none() && days.is_every_day();
        Self { schedule, zone, days, limits: start..stop, always }
    }

    /// The local date of a moment.
    fn date(&self, now: Timestamp) -> Date {
        self.zone.to_datetime(now.to_jiff()).date()
    }

    /// The openings that may contain `now`: those of the days around it. An opening lasts at most a
    /// day plus a clock change.
    fn openings_around(&self, now: Timestamp) -> impl Iterator<Item = Range<Timestamp>> {
        let today = self.date(now);
        (-2..=1).filter_map(move |days| plus_days(today, days)).filter(|d| self.days.includes(*d)).filter_map(|d| self.opening(d))
    }

    /// The opening of a day. `None` when it has no length (a day that a zone skipped).
    fn opening(&self, day: Date) -> Option<Range<Timestamp>> {
        let next = day.tomorrow().ok()?;
        let midnight = jiff::civil::Time::midnight();
        let opening = match &self.schedule.window {
            None => instant(&self.zone, day.to_datetime(midnight))..instant(&self.zone, next.to_datetime(midnight)),
            Some(window) => {
                let end_day = if window.to < window.from { next } else { day };
                let from = day.to_datetime(window.from);
                let to =
                    end_day.to_datetime(window.to.with().subsec_nanosecond(0).build().ok()?).checked_add(Span::new().seconds(1)).ok()?;
                let (open, close) = (instant(&self.zone, from), instant(&self.zone, to));
                if open < close { open..close } else { open..open.plus(to.duration_since(from).unsigned_abs()) }
            }
        };
        (!opening.is_empty()).then_some(opening)
    }

    /// When the run of adjoining openings around `now` ends; `None` when it does not.
    fn end_of_run(&self, now: Timestamp) -> Option<Timestamp> {
        if self.always {
            return None;
        }
        let mut end = self.openings_around(now).filter(|opening| opening.contains(&now)).map(|opening| opening.end).max()?;
        let first = plus_days(self.date(now), -2)?;
        for ahead in 0..ENDLESS_DAYS {
            let day = plus_days(first, ahead)?;
            if !self.days.includes(day) {
                continue;
            }
            match self.opening(day) {
                Some(opening) if opening.start > end => return Some(end),
                Some(opening) => end = end.max(opening.end),
                None => {}
            }
        }
        let last = plus_days(first, ENDLESS_DAYS)?;
        (self.date(end) < plus_days(last, -2)?).then_some(end)
    }

    /// The start of the first opening after `from`, or `from` when it is inside one.
    fn first_opening(&self, from: Timestamp) -> Option<Timestamp> {
        let mut day = plus_days(self.date(from), -2)?;
        loop {
            day = self.days.first_from(day)?;
            if let Some(opening) = self.opening(day).filter(|opening| opening.end > from) {
                return Some(opening.start.max(from));
            }
            day = day.tomorrow().ok()?;
        }
    }
}

/// The moment a wall clock shows `local`: skipped times are the moment of the jump, doubled times the
/// first occurrence.
fn instant(zone: &TimeZone, local: DateTime) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let jump = match ambiguous.offset() {
        // The last transition before the moment that `local` would be with the offset before it.
        AmbiguousOffset::Gap { before, .. } => {
            before.to_timestamp(local).ok().and_then(|late| zone.preceding(late.checked_add(SignedDuration::from_nanos(1)).ok()?).next())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => None,
    };
    let moment = jump.map_or_else(|| ambiguous.compatible(), |transition| Ok(transition.timestamp()));
    // Out of jiff's range of years: as far as there is time.
    moment.map_or(Timestamp(if local.year() < 0 { i64::MIN } else { i64::MAX }), Timestamp::from_jiff)
}

#[cfg(test)]
mod tests;
