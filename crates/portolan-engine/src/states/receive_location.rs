//! Receive location: disabled, waiting for its schedule, or receiving. Outside its schedule the adapter
//! is stopped and the source keeps what comes (manual page "How to Configure Scheduling for a Receive
//! Location"). An enabled location that cannot reach its source is still receiving: that is the
//! adapter's to repair and to report, not a state of the location.

use crate::schedule;
use portolan_model::{Timestamp, schedule::Schedule};

/// State of a receive location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// An operator or the configuration disabled it.
    Disabled,
    /// Enabled, outside its schedule.
    Waiting,
    /// Enabled, inside its schedule: its adapter runs.
    Receiving,
}

/// What happens to a receive location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// An operator enables it; `open` tells whether its schedule is open.
    Enable {
        /// Whether its schedule is open.
        open: bool,
    },
    /// An operator disables it.
    Disable,
    /// Its schedule opens.
    Opens,
    /// Its schedule closes.
    Closes,
}

/// What the shell does with the adapter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adapter {
    /// Start it.
    Start,
    /// Stop it; it finishes the batch it is at.
    Stop,
    /// Leave it as it is.
    Keep,
}

/// Where an event leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The new state.
    pub to: State,
    /// What to do with the adapter.
    pub adapter: Adapter,
}

/// The location is in the wanted state already; a caller may count that as done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Already;

impl std::fmt::Display for Already {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the receive location is in this state already")
    }
}

impl std::error::Error for Already {}

/// Where `event` leads. A schedule's change that comes while the location is disabled, or twice,
/// changes nothing: timers and commands may cross.
///
/// # Errors
/// [`Already`] when a command changes nothing.
pub fn step(state: State, event: Event) -> Result<Transition, Already> {
    use Adapter::{Keep, Start, Stop};
    use State::{Disabled, Receiving, Waiting};
    let to = |to, adapter| Ok(Transition { to, adapter });
    match (state, event) {
        (Disabled, Event::Enable { open: true }) | (Waiting, Event::Opens) => to(Receiving, Start),
        (Disabled, Event::Enable { open: false }) => to(Waiting, Keep),
        (Receiving, Event::Closes) => to(Waiting, Stop),
        (Receiving, Event::Disable) => to(Disabled, Stop),
        (Waiting, Event::Disable) => to(Disabled, Keep),
        (Disabled, Event::Opens | Event::Closes) | (Waiting, Event::Closes) | (Receiving, Event::Opens) => to(state, Keep),
        (Waiting | Receiving, Event::Enable { .. }) | (Disabled, Event::Disable) => Err(Already),
    }
}

/// The state a location has at `now`, from its schedule and whether it is enabled, with the moment of
/// the next event of its schedule. What a host starts with.
#[must_use]
pub fn at(enabled: bool, when: &Schedule, now: Timestamp) -> (State, Option<(Timestamp, Event)>) {
    if !enabled {
        return (State::Disabled, None);
    }
    let state = if schedule::is_open(when, now) { State::Receiving } else { State::Waiting };
    let next = schedule::next_change(when, now).map(|(at, open)| (at, if open { Event::Opens } else { Event::Closes }));
    (state, next)
}
