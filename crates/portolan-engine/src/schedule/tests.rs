//! Tests of schedules: the recurrences of the manual, and the hours that clock changes take or give.

use super::*;
use jiff::civil::{Time, date, time};
use portolan_model::schedule::{MonthDays, Ordinal, Recurrence, ServiceWindow, Weekday};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, &TimeZone::UTC).unwrap()
}

fn nightly(zone: &str, from: Time, to: Time) -> Schedule {
    Schedule { time_zone: Some(zone.into()), window: Some(ServiceWindow { from, to }), ..Schedule::default() }
}

/// The openings and closings after `from`, at most `count`.
fn changes(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let mut now = at(from);
    let mut found = Vec::new();
    while let Some((next, open)) = next_change(schedule, now).filter(|_| found.len() < count) {
        assert!(next > now && is_open(schedule, next) == open && is_open(schedule, Timestamp(next.0 - 1)) != open, "{next}");
        found.push(format!("{} {}", if open { "open" } else { "close" }, next.short()));
        now = next;
    }
    found
}

#[test]
fn a_schedule_without_settings_is_always_open() {
    let always = Schedule::default();
    assert!(is_open(&always, at("2026-01-01T00:00:00Z")));
    assert_eq!(next_change(&always, at("2026-01-01T00:00:00Z")), None);
    assert_eq!(next_opening(&always, at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T00:00:00Z")));
    let round_the_clock = nightly("Europe/Berlin", time(20, 0, 0, 0), time(19, 59, 59, 0));
    assert!(is_open(&round_the_clock, at("2026-03-29T01:30:00Z")));
    assert_eq!(next_change(&round_the_clock, at("2026-03-01T12:00:00Z")), None);
}

#[test]
fn a_window_that_spans_midnight_belongs_to_the_day_it_opens() {
    let mut schedule = nightly("UTC", time(22, 0, 0, 0), time(5, 59, 59, 0));
    schedule.recurrence = Recurrence::Weekly { from: date(2026, 1, 1), interval: 1, days: vec![Weekday::Friday] };
    assert!(is_open(&schedule, at("2026-01-03T05:59:59.9Z")), "Saturday morning belongs to Friday");
    assert!(!is_open(&schedule, at("2026-01-02T05:00:00Z")), "Friday morning would belong to Thursday");
    assert_eq!(changes(&schedule, "2026-01-02T00:00:00Z", 2), ["open 2026-01-02T22:00:00.000Z", "close 2026-01-03T06:00:00.000Z"]);
}

#[test]
fn start_and_stop_dates_clip() {
    let schedule = Schedule {
        start: Some(date(2026, 5, 1).at(12, 0, 0, 0)),
        stop: Some(date(2026, 5, 2).at(12, 0, 0, 0)),
        time_zone: Some("America/New_York".into()),
        ..Schedule::default()
    };
    assert_eq!(changes(&schedule, "2020-01-01T00:00:00Z", 9), ["open 2026-05-01T16:00:00.000Z", "close 2026-05-02T16:00:00.000Z"]);
    assert_eq!(next_opening(&schedule, at("2026-05-02T16:00:00Z")), None);
}

#[test]
fn a_window_in_the_hour_that_spring_skips_opens_when_the_clock_jumps() {
    let lost = nightly("Europe/Berlin", time(2, 15, 0, 0), time(2, 44, 59, 0));
    assert_eq!(changes(&lost, "2026-03-28T12:00:00Z", 2), ["open 2026-03-29T01:00:00.000Z", "close 2026-03-29T01:30:00.000Z"]);
    let into = nightly("Europe/Berlin", time(1, 0, 0, 0), time(2, 29, 59, 0));
    assert_eq!(changes(&into, "2026-03-28T12:00:00Z", 2), ["open 2026-03-29T00:00:00.000Z", "close 2026-03-29T01:00:00.000Z"]);
    let out_of = nightly("Europe/Berlin", time(2, 30, 0, 0), time(3, 59, 59, 0));
    assert_eq!(changes(&out_of, "2026-03-28T12:00:00Z", 2), ["open 2026-03-29T01:00:00.000Z", "close 2026-03-29T02:00:00.000Z"]);
}

#[test]
fn a_window_in_the_hour_that_autumn_repeats_opens_once() {
    let window = nightly("Europe/Berlin", time(2, 15, 0, 0), time(2, 44, 59, 0));
    assert_eq!(
        changes(&window, "2026-10-24T12:00:00Z", 3),
        ["open 2026-10-25T00:15:00.000Z", "close 2026-10-25T00:45:00.000Z", "open 2026-10-26T01:15:00.000Z"]
    );
    let across = nightly("America/New_York", time(23, 0, 0, 0), time(3, 59, 59, 0));
    assert_eq!(changes(&across, "2026-10-31T12:00:00Z", 2), ["open 2026-11-01T03:00:00.000Z", "close 2026-11-01T09:00:00.000Z"]);
}

#[test]
fn recurrences_name_the_documented_days() {
    let days = |recurrence: Recurrence, from: Date| {
        let mut found = Vec::new();
        let mut day = from;
        while let Some(next) = Days(&recurrence).first_from(day).filter(|_| found.len() < 4) {
            found.push(next.to_string());
            day = next.tomorrow().unwrap();
        }
        found
    };
    let daily = Recurrence::Daily { from: date(2026, 1, 30), interval: 3 };
    assert_eq!(days(daily, date(2025, 1, 1)), ["2026-01-30", "2026-02-02", "2026-02-05", "2026-02-08"]);
    let weekly = Recurrence::Weekly { from: date(2026, 1, 1), interval: 2, days: vec![Weekday::Monday, Weekday::Sunday] };
    assert_eq!(days(weekly, date(2025, 1, 1)), ["2026-01-04", "2026-01-12", "2026-01-18", "2026-01-26"]);
    let last = Recurrence::Monthly { months: vec![], on: MonthDays::Days { days: vec![30], last_day: true } };
    assert_eq!(days(last, date(2026, 1, 31)), ["2026-01-31", "2026-02-28", "2026-03-30", "2026-03-31"]);
    let second_tuesday = Recurrence::Monthly {
        months: vec![2, 3],
        on: MonthDays::Ordinal { ordinals: vec![Ordinal::Second, Ordinal::Last], days: vec![Weekday::Tuesday] },
    };
    assert_eq!(days(second_tuesday, date(2026, 1, 1)), ["2026-02-10", "2026-02-24", "2026-03-10", "2026-03-31"]);
    let leap = Recurrence::Monthly { months: vec![2], on: MonthDays::Days { days: vec![29], last_day: false } };
    assert_eq!(days(leap, date(2096, 3, 1)), ["2104-02-29", "2108-02-29", "2112-02-29", "2116-02-29"]);
    let never = Recurrence::Monthly { months: vec![2], on: MonthDays::Days { days: vec![30], last_day: false } };
    assert_eq!(days(never, date(2026, 1, 1)), [] as [&str; 0]);
}

#[test]
fn every_mistake_is_reported_with_help() {
    let schedule = Schedule {
        time_zone: Some("Europe/Berlinn".into()),
        start: Some(date(2026, 1, 2).at(0, 0, 0, 0)),
        stop: Some(date(2026, 1, 1).at(0, 0, 0, 0)),
        window: Some(ServiceWindow { from: time(9, 0, 0, 0), to: time(9, 0, 0, 0) }),
        recurrence: Recurrence::Weekly { from: date(2026, 1, 1), interval: 0, days: vec![] },
    };
    let fields: Vec<&str> = validate(&schedule).iter().map(|p| p.field).collect();
    assert_eq!(fields, ["time_zone", "stop", "window", "recurrence.interval"]);
    let never = Schedule {
        recurrence: Recurrence::Monthly { months: vec![2], on: MonthDays::Days { days: vec![30], last_day: false } },
        ..Schedule::default()
    };
    assert_eq!(validate(&never).len(), 1);
    assert_eq!(next_change(&never, at("2026-01-01T00:00:00Z")), None);
    assert!(validate(&Schedule::default()).is_empty());
    assert!(next_change(&schedule, at("2026-01-01T00:00:00Z")).is_none(), "a wrong schedule is closed, not a panic");
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let zones =
        prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu"]);
    let minute = || (0..24_i8, 0..60_i8, prop::bool::ANY).prop_map(|(h, m, second)| time(h, m, if second { 59 } else { 0 }, 0));
    let window =
        prop::option::of((minute(), minute()).prop_map(|(from, to)| ServiceWindow { from: from.with().second(0).build().unwrap(), to }));
    let weekdays = prop::collection::vec(
        prop::sample::select(vec![
            Weekday::Monday,
            Weekday::Tuesday,
            Weekday::Wednesday,
            Weekday::Thursday,
            Weekday::Friday,
            Weekday::Saturday,
            Weekday::Sunday,
        ]),
        1..4,
    );
    let from = (1..13_i8, 1..29_i8).prop_map(|(m, d)| date(2026, m, d));
    let ordinals = prop::collection::vec(
        prop::sample::select(vec![Ordinal::First, Ordinal::Second, Ordinal::Third, Ordinal::Fourth, Ordinal::Last]),
        1..3,
    );
    let on = prop_oneof![
        (prop::collection::vec(1..32_u8, 1..6), any::<bool>()).prop_map(|(days, last_day)| MonthDays::Days { days, last_day }),
        (ordinals, weekdays.clone()).prop_map(|(ordinals, days)| MonthDays::Ordinal { ordinals, days }),
    ];
    let recurrence = prop_oneof![
        2 => Just(Recurrence::EveryDay),
        1 => (from.clone(), 1..5_u32).prop_map(|(from, interval)| Recurrence::Daily { from, interval }),
        1 => (from, 1..4_u32, weekdays).prop_map(|(from, interval, days)| Recurrence::Weekly { from, interval, days }),
        1 => (prop::collection::vec(1..13_u8, 0..4), on).prop_map(|(months, on)| Recurrence::Monthly { months, on }),
    ];
    let limit = || {
        prop::option::weighted(
            0.2,
            (1..13_i8, 1..29_i8, minute()).prop_map(|(m, d, t)| date(2026, m, d).to_datetime(t.with().second(0).build().unwrap())),
        )
    };
    (zones, window, recurrence, limit(), limit()).prop_map(|(zone, window, recurrence, start, stop)| {
        // Whole minutes only, so that stepping by minutes sees every change.
        let window = window.map(|w| ServiceWindow { to: w.to.with().second(59).build().unwrap(), ..w });
        Schedule { time_zone: Some(zone.into()), start, stop, window, recurrence }
    })
}

/// Independent of the code under test: the wall clock of the moment is inside the window of a day the
/// recurrence names. Differs from openings only around clock changes.
fn wall_clock_open(schedule: &Schedule, now: Timestamp) -> bool {
    let local = zone_of(schedule).to_datetime(now.to_jiff());
    let within = schedule.start.is_none_or(|start| local >= start) && schedule.stop.is_none_or(|stop| local < stop);
    let today = Days(&schedule.recurrence).includes(local.date());
    let yesterday = Days(&schedule.recurrence).includes(local.date().yesterday().unwrap());
    let open = match &schedule.window {
        None => today,
        Some(ServiceWindow { from, to }) if from <= to => today && local.time() >= *from && local.time() < end(*to),
        Some(ServiceWindow { from, to }) => today && local.time() >= *from || yesterday && local.time() < end(*to),
    };
    within && open
}

/// The first moment after the last second; the last second of the day has none on the same day.
fn end(to: Time) -> Time {
    to.checked_add(Span::new().seconds(1)).unwrap_or(Time::MAX)
}

const MINUTE: i64 = 60 * portolan_model::time::TICKS_PER_SECOND;

/// Whether the zone changes its clocks within two days of a moment.
fn near_clock_change(schedule: &Schedule, now: Timestamp) -> bool {
    let offset = |days: i64| zone_of(schedule).to_offset(Timestamp(now.0 + days * 1440 * MINUTE).to_jiff());
    offset(-2) != offset(2) || offset(0) != offset(2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn stepping_by_minutes_sees_the_same_changes(schedule in schedules(), start in 0..525_600_i64) {
        let mut now = Timestamp(at("2026-01-01T00:00:00Z").0 + start * MINUTE);
        let mut next = next_change(&schedule, now);
        let mut open = is_open(&schedule, now);
        for _ in 0..4 * 1440 {
            now = Timestamp(now.0 + MINUTE);
            let is = is_open(&schedule, now);
            prop_assert_eq!(is != open, next == Some((now, is)), "at {} {:?}", now, next);
            if is != open {
                open = is;
                next = next_change(&schedule, now);
            }
        }
    }

    #[test]
    fn away_from_clock_changes_the_wall_clock_decides(schedule in schedules(), minutes in prop::collection::vec(0..525_600_i64, 200)) {
        for minute in minutes {
            let now = Timestamp(at("2026-01-01T00:00:00Z").0 + minute * MINUTE);
            if !near_clock_change(&schedule, now) {
                prop_assert_eq!(is_open(&schedule, now), wall_clock_open(&schedule, now), "at {}", now);
            }
        }
    }
}
