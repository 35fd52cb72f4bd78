//! Send port group: unenlisted, stopped (enlisted), started. No command to a group changes the state of
//! a member (manual pages "How to Enlist / Start / Stop / Unenlist a Send Port or Send Port Group").

use super::{Command, Illegal, Transition};
use crate::routing::RoutingTable;
use portolan_model::artifact::PortState;

/// What a command must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// The group's state.
    pub state: PortState,
    /// How many of its members are enlisted or started.
    pub enlisted_members: usize,
}

impl State {
    /// The state of a deployed group.
    #[must_use]
    pub fn of(table: &RoutingTable, group: &str) -> Option<Self> {
        let group = table.groups.get(group)?;
        let enlisted = |member: &&portolan_model::SmolStr| table.port_state(member).is_some_and(|state| state != PortState::Unenlisted);
        Some(Self { state: group.state, enlisted_members: group.members.iter().filter(enlisted).count() })
    }
}

/// Where `command` leads. A group without members may be enlisted; it then subscribes to nothing.
///
/// # Errors
/// Why it is not possible.
pub fn step(group: &State, command: Command) -> Result<Transition, Illegal> {
    use Command::{Enlist, Start, Stop, Unenlist};
    use PortState::{Started, Stopped, Unenlisted};
    let to = |to, implied| Ok(Transition { to, implied });
    match (group.state, command) {
        (Unenlisted, Enlist) => to(Stopped, None),
        (Unenlisted | Stopped, Start) if group.enlisted_members == 0 => Err(Illegal::NoEnlistedMember),
        (Unenlisted, Start) => to(Started, Some(Enlist)),
        (Stopped, Start) => to(Started, None),
        (Started, Stop) => to(Stopped, None),
        (Stopped, Unenlist) => to(Unenlisted, None),
        (Started, Unenlist) => to(Unenlisted, Some(Stop)),
        (Stopped, Enlist | Stop) | (Started, Start) | (Unenlisted, Unenlist) => Err(Illegal::Already(group.state)),
        (Unenlisted, Stop) | (Started, Enlist) => Err(Illegal::NotFrom(group.state, command)),
    }
}
