//! Schedules: texts become dates, times and zones; what makes no sense together is the engine's
//! judgement.

use super::{super::format, Resolver};
use crate::config::{diagnostic::Diagnostic, suggest, yaml::Node};
use jiff::civil::{Date, DateTime, Time};
use portolan_engine::schedule::validate;
use portolan_model::{
    code,
    schedule::{MonthDays, Recurrence, Schedule, ServiceWindow},
};

impl Resolver<'_> {
    /// The schedule in the key `schedule` of `owner`.
    pub(super) fn schedule(&mut self, schedule: Option<&format::Schedule>, owner: &Node) -> Schedule {
        let (Some(schedule), Some(node)) = (schedule, owner.get("schedule")) else { return Schedule::default() };
        let time_zone = schedule.time_zone.clone().filter(|zone| self.zone(zone, node));
        let start = schedule.start.as_deref().and_then(|text| self.moment(text, &["start"], node));
        let stop = schedule.stop.as_deref().and_then(|text| self.moment(text, &["stop"], node));
        let window = schedule.window.as_ref().and_then(|window| self.window(window, node));
        let recurrence = self.recurrence(schedule, node);
        let result = Schedule { time_zone, start, stop, window, recurrence };
        for problem in validate(&result) {
            let path = problem.field.split('.').map(|step| if step == "recurrence" { recurrence_key(schedule) } else { step });
            self.error(code::CONFIG_VALUE, node.nearest(path).span, problem.message, problem.help);
        }
        result
    }

    fn zone(&mut self, zone: &str, node: &Node) -> bool {
        let known = portolan_engine::schedule::zone(zone).is_some();
        if !known {
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let nearest = suggest::nearest(zone, names.iter().map(String::as_str));
            let help = nearest.map_or_else(
                || "use an IANA name such as `Europe/Berlin`, or leave the key out for UTC".to_owned(),
                |name| format!("did you mean `{name}`?"),
            );
            self.error(code::CONFIG_VALUE, node.nearest(["time_zone"]).span, format!("there is no time zone `{zone}`"), help);
        }
        known
    }

    fn moment(&mut self, text: &str, path: &[&str], node: &Node) -> Option<DateTime> {
        let parsed = text.parse::<DateTime>().ok().or_else(|| text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)));
        if parsed.is_none() || text.ends_with('Z') {
            let span = node.nearest(path.iter().copied()).span;
            self.error(
                code::CONFIG_VALUE,
                span,
                format!("`{text}` is no date and time"),
                "write local time, for example `2026-01-05` or `2026-01-05T08:00`; the zone goes into `time_zone`",
            );
            return None;
        }
        parsed
    }

    fn date(&mut self, text: &str, path: &[&str], node: &Node) -> Option<Date> {
        let parsed = text.parse::<Date>().ok();
        if parsed.is_none() {
            self.error(
                code::CONFIG_VALUE,
                node.nearest(path.iter().copied()).span,
                format!("`{text}` is no date"),
                "write year, month and day, for example `2026-01-05`",
            );
        }
        parsed
    }

    fn time(&mut self, text: &str, path: &[&str], node: &Node) -> Option<Time> {
        let parsed = text.parse::<Time>().ok().filter(|_| text.contains(':'));
        if parsed.is_none() {
            self.error(
                code::CONFIG_VALUE,
                node.nearest(path.iter().copied()).span,
                format!("`{text}` is no time of day"),
                "write hours and minutes of a 24-hour clock, for example `08:00`; the last moment of a day is `23:59:59`",
            );
        }
        parsed
    }

    fn window(&mut self, window: &format::Window, node: &Node) -> Option<ServiceWindow> {
        let at = node.get("window")?;
        // A missing key is reported already.
        let given = |key| at.get(key).and_then(Node::text);
        let from = given("from").and_then(|_| self.time(&window.from, &["window", "from"], node));
        let to = given("to").and_then(|_| self.time(&window.to, &["window", "to"], node));
        Some(ServiceWindow { from: from?, to: to? })
    }

    fn recurrence(&mut self, schedule: &format::Schedule, node: &Node) -> Recurrence {
        let keys: Vec<_> = ["daily", "weekly", "monthly"].into_iter().filter_map(|key| node.entry(key)).collect();
        if let [first, second, ..] = keys.as_slice() {
            let mistake = Diagnostic::error(
                code::CONFIG_VALUE,
                second.key_span,
                format!("a schedule cannot be `{}` and `{}` at once", first.key, second.key),
            );
            self.report.push(mistake.at("second").and(first.key_span, "first").help("keep one of them"));
        }
        if let Some(daily) = &schedule.daily {
            return match self.date(&daily.from, &["daily", "from"], node) {
                Some(from) => Recurrence::Daily { from, interval: daily.interval },
                None => Recurrence::EveryDay,
            };
        }
        if let Some(weekly) = &schedule.weekly {
            return match self.date(&weekly.from, &["weekly", "from"], node) {
                Some(from) => Recurrence::Weekly { from, interval: weekly.interval, days: weekly.days.clone() },
                None => Recurrence::EveryDay,
            };
        }
        schedule.monthly.as_ref().map_or(Recurrence::EveryDay, |monthly| self.monthly(monthly, node))
    }

    fn monthly(&mut self, monthly: &format::Monthly, node: &Node) -> Recurrence {
        let by_day = !monthly.days.is_empty() || monthly.last_day;
        let by_weekday = !monthly.ordinals.is_empty() || !monthly.weekdays.is_empty();
        let span = node.entry("monthly").map_or(node.span, |entry| entry.key_span);
        let help = "give `days` (and `last_day`), or `ordinals` with `weekdays`";
        let on = match (by_day, by_weekday) {
            (true, true) => {
                self.error(code::CONFIG_VALUE, span, "a monthly schedule cannot name days of the month and days of the week at once", help);
                return Recurrence::EveryDay;
            }
            (false, false) => {
                self.error(code::CONFIG_VALUE, span, "a monthly schedule without days never opens", help);
                return Recurrence::EveryDay;
            }
            (true, false) => MonthDays::Days { days: monthly.days.clone(), last_day: monthly.last_day },
            (false, true) => MonthDays::Ordinal { ordinals: monthly.ordinals.clone(), days: monthly.weekdays.clone() },
        };
        Recurrence::Monthly { months: monthly.months.clone(), on }
    }
}

fn recurrence_key(schedule: &format::Schedule) -> &'static str {
    match (&schedule.daily, &schedule.weekly) {
        (Some(_), _) => "daily",
        (None, Some(_)) => "weekly",
        (None, None) => "monthly",
    }
}
