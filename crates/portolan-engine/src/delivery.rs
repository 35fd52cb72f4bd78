//! The send ladder: what happens before and after an attempt to send, as data (manual pages "How to
//! Configure Transport Advanced Options for a Send Port", "How to Handle Adapter Failures").
//!
//! Primary transport: one attempt and its retries. Then the backup transport, with its own retries.
//! Then the instance is suspended, resumable: nothing is ever given up. This module must never send,
//! wait or write; the shell carries the decision out.

use crate::schedule;
use portolan_model::{
    Code, Timestamp,
    artifact::{RetryPolicy, SendPort, SendTransport},
    code,
    instance::{Progress, TransportRole},
    schedule::Schedule,
};

/// One transport's part of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Rung<'a> {
    /// How often and how far apart it is tried again.
    pub retry: RetryPolicy,
    /// When it may send.
    pub schedule: &'a Schedule,
}

impl<'a> From<&'a SendTransport> for Rung<'a> {
    fn from(transport: &'a SendTransport) -> Self {
        Self { retry: transport.retry, schedule: &transport.schedule }
    }
}

/// The transports of a send port in the order in which they are tried.
#[derive(Clone, Copy, Debug)]
pub struct Ladder<'a> {
    /// The port's own transport.
    pub primary: Rung<'a>,
    /// Tried when the primary's retries are used.
    pub backup: Option<Rung<'a>>,
}

impl<'a> From<&'a SendPort> for Ladder<'a> {
    fn from(port: &'a SendPort) -> Self {
        Self { primary: (&port.primary).into(), backup: port.backup.as_ref().map(Into::into) }
    }
}

impl<'a> Ladder<'a> {
    fn rung(&self, role: TransportRole) -> Option<Rung<'a>> {
        match role {
            TransportRole::Primary => Some(self.primary),
            TransportRole::Backup => self.backup,
        }
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// Yes: the destination is away, busy, full.
    Temporary,
    /// No: this transport refuses the message for good. Its remaining retries are skipped.
    Permanent,
}

/// What comes before an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// Send now, on the transport named by the progress.
    Now(Progress),
    /// The transport's schedule is closed: reschedule the instance to the moment it opens.
    Wait {
        /// When it opens.
        due: Timestamp,
        /// How far delivery has come; unchanged except that a backup transport that was removed from
        /// the port gives way to the primary.
        progress: Progress,
    },
    /// No transport will ever be open again (stop dates in the past): suspend, resumable.
    Suspend {
        /// Why.
        code: Code,
    },
}

/// What comes after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The instance is done: it disappears, and with the last one its message.
    Complete,
    /// Try the same transport again.
    RetryAt {
        /// When: after the interval, and inside the service window.
        due: Timestamp,
        /// Failed attempts so far.
        progress: Progress,
        /// For the instance's failure: [`code::SEND_FAILED`].
        code: Code,
    },
    /// Go on with the backup transport.
    FailOver {
        /// When: at once, or when its service window opens.
        due: Timestamp,
        /// The backup transport, no attempts yet.
        progress: Progress,
        /// For the instance's failure: [`code::SEND_TO_BACKUP`].
        code: Code,
    },
    /// Suspend the instance.
    Suspend {
        /// Whether an operator may resume it. Always `true` for one-way static ports.
        resumable: bool,
        /// Why.
        code: Code,
    },
}

/// What to do with an instance that was claimed for sending.
#[must_use]
pub fn before_attempt(progress: Progress, ladder: &Ladder<'_>, now: Timestamp) -> Attempt {
    let progress = if ladder.rung(progress.transport).is_none() { Progress::default() } else { progress };
    let Some(rung) = ladder.rung(progress.transport) else { return Attempt::Suspend { code: code::NO_BACKUP } };
    match (schedule::next_opening(rung.schedule, now), progress.transport) {
        (Some(due), _) if due <= now => Attempt::Now(progress),
        (Some(due), _) => Attempt::Wait { due, progress },
        (None, TransportRole::Primary) if ladder.backup.is_some() => {
            before_attempt(Progress { transport: TransportRole::Backup, attempts: 0 }, ladder, now)
        }
        (None, _) => Attempt::Suspend { code: code::SEND_EXHAUSTED },
    }
}

/// What to do after a failed attempt. `progress` is that of the attempt (see [`Attempt::Now`]): its
/// transport was the one that failed, its attempts do not count this failure yet.
#[must_use]
pub fn after_failure(progress: Progress, ladder: &Ladder<'_>, kind: FailureKind, now: Timestamp) -> Decision {
    let failed = progress.attempts.saturating_add(1);
    if let Some(rung) = ladder.rung(progress.transport)
        && kind == FailureKind::Temporary
        && failed <= rung.retry.count
        && let Some(due) = schedule::next_opening(rung.schedule, now.plus(rung.retry.interval))
    {
        return Decision::RetryAt { due, progress: Progress { attempts: failed, ..progress }, code: code::SEND_FAILED };
    }
    if let (TransportRole::Primary, Some(backup)) = (progress.transport, ladder.backup)
        && let Some(due) = schedule::next_opening(backup.schedule, now)
    {
        let progress = Progress { transport: TransportRole::Backup, attempts: 0 };
        return Decision::FailOver { due, progress, code: code::SEND_TO_BACKUP };
    }
    let code = match kind {
        FailureKind::Temporary => code::SEND_EXHAUSTED,
        FailureKind::Permanent => code::SEND_REFUSED,
    };
    Decision::Suspend { resumable: true, code }
}

/// What to do when the outbound map or the send pipeline failed: suspend at once, resumable, in the
/// published form. The same message would fail the same way, on every transport, until somebody
/// changes the map, the pipeline or the message; so no retry and no backup is spent on it (manual page
/// "Using Failed Message Routing"). The instance keeps the component's own code.
#[must_use]
pub fn after_processing_failure(code: Code) -> Decision {
    Decision::Suspend { resumable: true, code }
}

/// What to do after the destination took the message.
#[must_use]
pub fn after_success() -> Decision {
    Decision::Complete
}

/// One row of the printed failure table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What failed, and in which configuration.
    pub when: &'static str,
    /// What happens: computed by the functions above, never written by hand.
    pub then: String,
}

/// The failure table of sending, for the reference documentation.
#[must_use]
pub fn describe() -> Vec<Row> {
    use FailureKind::{Permanent, Temporary};
    let always = Schedule::default();
    let rung = |count| Rung { retry: RetryPolicy { count, ..RetryPolicy::default() }, schedule: &always };
    let (alone, both) = (Ladder { primary: rung(3), backup: None }, Ladder { primary: rung(3), backup: Some(rung(3)) });
    let no_retries = Ladder { primary: rung(0), backup: Some(rung(0)) };
    let primary = |attempts| Progress { transport: TransportRole::Primary, attempts };
    let backup = |attempts| Progress { transport: TransportRole::Backup, attempts };
    let row = |when, progress, ladder: &Ladder<'_>, kind| Row { when, then: words(after_failure(progress, ladder, kind, Timestamp(0))) };
    vec![
        Row { when: "the destination took the message", then: words(after_success()) },
        Row { when: "outbound map or send pipeline fails", then: words(after_processing_failure(code::SEND_PIPELINE_FAILED)) },
        row("temporary failure, retries left", primary(0), &both, Temporary),
        row("temporary failure, retries used, backup configured", primary(3), &both, Temporary),
        row("temporary failure, retry count 0, backup configured", primary(0), &no_retries, Temporary),
        row("temporary failure, retries used, no backup", primary(3), &alone, Temporary),
        row("temporary failure on the backup, retries left", backup(0), &both, Temporary),
        row("temporary failure on the backup, retries used", backup(3), &both, Temporary),
        row("permanent failure, backup configured", primary(0), &both, Permanent),
        row("permanent failure, no backup", primary(0), &alone, Permanent),
        row("permanent failure on the backup", backup(0), &both, Permanent),
    ]
}

fn words(decision: Decision) -> String {
    match decision {
        Decision::Complete => "complete: the instance disappears, and with the last one its message".to_owned(),
        Decision::RetryAt { progress, code, .. } => {
            format!(
                "tried again after the retry interval, in the service window (retry {} of the same transport; {code})",
                progress.attempts
            )
        }
        Decision::FailOver { code, .. } => format!("goes to the backup transport, in its service window, with its own retries ({code})"),
        Decision::Suspend { resumable: true, code } => format!("suspended, resumable ({code})"),
        Decision::Suspend { resumable: false, code } => format!("suspended, not resumable ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;
    use portolan_model::{schedule::ServiceWindow, time::TICKS_PER_SECOND};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(0);

    fn rung(schedule: &Schedule, count: u32) -> Rung<'_> {
        Rung { retry: RetryPolicy { count, interval: Duration::from_secs(60) }, schedule }
    }

    /// Fails until the end; the sequence of transports tried, and the final code.
    fn walk(ladder: &Ladder<'_>, kind: FailureKind) -> (Vec<TransportRole>, Code) {
        let (mut progress, mut now, mut tried) = (Progress::default(), NOW, Vec::new());
        loop {
            tried.push(progress.transport);
            match after_failure(progress, ladder, kind, now) {
                Decision::RetryAt { due, progress: next, code } => {
                    assert_eq!((due, code), (now.plus(Duration::from_secs(60)), code::SEND_FAILED));
                    (progress, now) = (next, due);
                }
                Decision::FailOver { due, progress: next, code } => {
                    assert_eq!((due, code), (now, code::SEND_TO_BACKUP));
                    progress = next;
                }
                Decision::Complete => panic!("a failure completes nothing"),
                Decision::Suspend { resumable, code } => {
                    assert!(resumable);
                    return (tried, code);
                }
            }
        }
    }

    #[test]
    fn each_transport_gets_one_attempt_and_its_own_retries() {
        use TransportRole::{Backup as B, Primary as P};
        let always = Schedule::default();
        let ladder =
            |primary, backup: Option<u32>| Ladder { primary: rung(&always, primary), backup: backup.map(|count| rung(&always, count)) };
        assert_eq!(walk(&ladder(3, None), FailureKind::Temporary), (vec![P; 4], code::SEND_EXHAUSTED));
        assert_eq!(walk(&ladder(0, None), FailureKind::Temporary), (vec![P], code::SEND_EXHAUSTED));
        assert_eq!(walk(&ladder(2, Some(1)), FailureKind::Temporary), (vec![P, P, P, B, B], code::SEND_EXHAUSTED));
        assert_eq!(walk(&ladder(0, Some(0)), FailureKind::Temporary), (vec![P, B], code::SEND_EXHAUSTED));
        assert_eq!(walk(&ladder(3, Some(3)), FailureKind::Permanent), (vec![P, B], code::SEND_REFUSED));
        assert_eq!(walk(&ladder(3, None), FailureKind::Permanent), (vec![P], code::SEND_REFUSED));
        assert_eq!(walk(&ladder(1000, None), FailureKind::Temporary).0.len(), 1001);
    }

    #[test]
    fn retries_and_fail_over_wait_for_the_service_window() {
        // 1970-01-01T00:00Z is inside; a minute later is not.
        let window = |from, to| Schedule { window: Some(ServiceWindow { from, to }), ..Schedule::default() };
        let early = window(time(0, 0, 0, 0), time(0, 0, 29, 0));
        let evening = window(time(18, 0, 0, 0), time(18, 59, 59, 0));
        let hours = |hours: i64| Timestamp(hours * 3600 * TICKS_PER_SECOND);
        let ladder = Ladder { primary: rung(&early, 1), backup: Some(rung(&evening, 1)) };
        let Decision::RetryAt { due, progress, .. } = after_failure(Progress::default(), &ladder, FailureKind::Temporary, NOW) else {
            panic!()
        };
        assert_eq!((due, progress.attempts), (hours(24), 1));
        let Decision::FailOver { due, progress, .. } = after_failure(progress, &ladder, FailureKind::Temporary, hours(24)) else {
            panic!()
        };
        assert_eq!((due, progress.transport), (hours(42), TransportRole::Backup));
        assert_eq!(before_attempt(progress, &ladder, hours(25)), Attempt::Wait { due: hours(42), progress });
        assert_eq!(before_attempt(progress, &ladder, hours(42)), Attempt::Now(progress));
    }

    #[test]
    fn a_transport_that_never_opens_again_is_passed_over() {
        let always = Schedule::default();
        let over = Schedule { stop: Some(jiff::civil::date(1969, 1, 1).at(0, 0, 0, 0)), ..Schedule::default() };
        let backup = Progress { transport: TransportRole::Backup, attempts: 0 };
        let ladder = Ladder { primary: rung(&over, 3), backup: Some(rung(&always, 0)) };
        assert_eq!(before_attempt(Progress::default(), &ladder, NOW), Attempt::Now(backup));
        assert!(matches!(after_failure(Progress::default(), &ladder, FailureKind::Temporary, NOW), Decision::FailOver { .. }));
        let ladder = Ladder { primary: rung(&over, 3), backup: Some(rung(&over, 3)) };
        assert_eq!(before_attempt(Progress::default(), &ladder, NOW), Attempt::Suspend { code: code::SEND_EXHAUSTED });
        assert!(matches!(
            after_failure(Progress::default(), &ladder, FailureKind::Temporary, NOW),
            Decision::Suspend { resumable: true, .. }
        ));
    }

    #[test]
    fn an_instance_whose_backup_was_removed_goes_back_to_the_primary() {
        let always = Schedule::default();
        let ladder = Ladder { primary: rung(&always, 1), backup: None };
        let progress = Progress { transport: TransportRole::Backup, attempts: 2 };
        assert_eq!(before_attempt(progress, &ladder, NOW), Attempt::Now(Progress::default()));
        assert!(matches!(after_failure(progress, &ladder, FailureKind::Temporary, NOW), Decision::Suspend { resumable: true, .. }));
    }

    #[test]
    fn the_printed_table_says_what_the_functions_decide() {
        let table: Vec<String> = describe().into_iter().map(|row| format!("{}: {}", row.when, row.then)).collect();
        assert_eq!(
            table,
            [
                "the destination took the message: complete: the instance disappears, and with the last one its message",
                "outbound map or send pipeline fails: suspended, resumable (PTL0103)",
                "temporary failure, retries left: tried again after the retry interval, in the service window (retry 1 of the same transport; PTL0202)",
                "temporary failure, retries used, backup configured: goes to the backup transport, in its service window, with its own retries (PTL0204)",
                "temporary failure, retry count 0, backup configured: goes to the backup transport, in its service window, with its own retries (PTL0204)",
                "temporary failure, retries used, no backup: suspended, resumable (PTL0203)",
                "temporary failure on the backup, retries left: tried again after the retry interval, in the service window (retry 1 of the same transport; PTL0202)",
                "temporary failure on the backup, retries used: suspended, resumable (PTL0203)",
                "permanent failure, backup configured: goes to the backup transport, in its service window, with its own retries (PTL0204)",
                "permanent failure, no backup: suspended, resumable (PTL0206)",
                "permanent failure on the backup: suspended, resumable (PTL0206)",
            ]
        );
    }
}
