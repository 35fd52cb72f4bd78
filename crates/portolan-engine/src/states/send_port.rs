//! Send port: unenlisted, stopped (enlisted), started (manual page "Send Ports and Send Port Groups").

use super::{Command, Illegal, Transition};
use crate::routing::RoutingTable;
use portolan_model::{SmolStr, artifact::PortState};

/// What a command must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// The port's state.
    pub state: PortState,
    /// Groups, enlisted or started, of which this is the last enlisted port.
    pub last_enlisted_of: Vec<SmolStr>,
}

impl State {
    /// The state of a deployed port.
    #[must_use]
    pub fn of(table: &RoutingTable, port: &str) -> Option<Self> {
        let state = table.port_state(port)?;
        let is_enlisted = |name: &SmolStr| table.port_state(name).is_some_and(|state| state != PortState::Unenlisted);
        let needed = |group: &crate::routing::Group| {
            group.state != PortState::Unenlisted
                && group.members.iter().any(|member| member == port)
                && group.members.iter().filter(|member| is_enlisted(member)).all(|member| member == port)
        };
        let last_enlisted_of = if state == PortState::Unenlisted {
            Vec::new()
        } else {
            table.groups.iter().filter(|(_, group)| needed(group)).map(|(name, _)| name.clone()).collect()
        };
        Some(Self { state, last_enlisted_of })
    }
}

/// Where `command` leads.
///
/// # Errors
/// Why it is not possible.
pub fn step(port: &State, command: Command) -> Result<Transition, Illegal> {
    use Command::{Enlist, Start, Stop, Unenlist};
    use PortState::{Started, Stopped, Unenlisted};
    let to = |to, implied| Ok(Transition { to, implied });
    match (port.state, command) {
        (Unenlisted, Enlist) => to(Stopped, None),
        (Unenlisted, Start) => to(Started, Some(Enlist)),
        (Stopped, Start) => to(Started, None),
        (Started, Stop) => to(Stopped, None),
        (Stopped | Started, Unenlist) if !port.last_enlisted_of.is_empty() => Err(Illegal::LastEnlistedOf(port.last_enlisted_of.clone())),
        (Stopped, Unenlist) => to(Unenlisted, None),
        (Started, Unenlist) => to(Unenlisted, Some(Stop)),
        (Stopped, Enlist | Stop) | (Started, Start) | (Unenlisted, Unenlist) => Err(Illegal::Already(port.state)),
        (Unenlisted, Stop) | (Started, Enlist) => Err(Illegal::NotFrom(port.state, command)),
    }
}
