//! The state machines of artifacts, one file each: a function `step(state, event)` that says where an
//! operator's command leads, or why it is not possible. They must never carry a transition out: the
//! shell stores the new state and builds a new routing table.

use portolan_model::artifact::PortState;
use std::fmt;

pub mod receive_location;
pub mod send_port;
pub mod send_port_group;

/// A command to a send port or send port group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Create the subscription; messages are captured.
    Enlist,
    /// Deliver messages. Enlists first if need be.
    Start,
    /// Capture messages without delivering them.
    Stop,
    /// Remove the subscription. Stops first if need be.
    Unenlist,
}

/// Where a command leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The new state.
    pub to: PortState,
    /// The command that was carried out on the way without being given.
    pub implied: Option<Command>,
}

/// Why a command is not possible. Shown to people with code
/// [`NOT_ALLOWED`](portolan_model::code::NOT_ALLOWED).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Illegal {
    /// It is in the wanted state already; a caller may count that as done.
    Already(PortState),
    /// The command does not apply to the state.
    NotFrom(PortState, Command),
    /// A send port group can only be started when a member is enlisted.
    NoEnlistedMember,
    /// The send port is the last enlisted member of these groups, which are enlisted or started.
    LastEnlistedOf(Vec<portolan_model::SmolStr>),
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Already(state) => write!(f, "it is already {}", word(*state)),
            Self::NotFrom(PortState::Unenlisted, Command::Stop) => f.write_str("it is not enlisted, so there is nothing to stop"),
            Self::NotFrom(state, command) => write!(f, "{command:?} is not possible when it is {}", word(*state)),
            Self::NoEnlistedMember => f.write_str("none of its send ports is enlisted: enlist or start at least one of them first"),
            Self::LastEnlistedOf(groups) => {
                let names: Vec<String> = groups.iter().map(|group| format!("\"{group}\"")).collect();
                write!(
                    f,
                    "it is the last enlisted send port of {}, enlisted or started: unenlist the group first, or enlist another member",
                    names.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for Illegal {}

/// A state in words.
fn word(state: PortState) -> &'static str {
    match state {
        PortState::Unenlisted => "unenlisted",
        PortState::Stopped => "stopped (enlisted)",
        PortState::Started => "started",
    }
}
