//! Messages that wait because a port or group is stopped: which of them a start sends on its way
//! (decision 0006).
//!
//! Stopping a port suspends what it captures from then on; starting it resumes exactly that, and
//! nothing that was suspended for another reason. This module only names the instances; the shell
//! resumes them after the commit that stores the new state, and asks [`on_table_changed`] when a host
//! starts, so that a crash in between delays them and loses none.

use crate::routing::RoutingTable;
use portolan_model::{
    SmolStr,
    artifact::PortState,
    code,
    instance::{Instance, InstanceState, ServiceClass},
};

/// Waiting instances to resume: those of one send port, suspended (resumable) with
/// [`code::PORT_STOPPED`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Release {
    /// The send port whose instances they are.
    pub send_port: SmolStr,
    /// Which of them.
    pub which: Which,
}

/// Which of a port's waiting instances are resumed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Which {
    /// All: one selection by port and code will do.
    All,
    /// Those for which [`may_go`] says so: some wait for a group that is still stopped.
    Checked,
}

/// What starting a send port releases. `table` already has the new state; a port that is not started
/// in it releases nothing.
#[must_use]
pub fn on_port_started(table: &RoutingTable, port: &str) -> Option<Release> {
    let (name, _) = table.ports.get_key_value(port).filter(|(_, port)| port.state == PortState::Started)?;
    let holds = |group: &crate::routing::Group| group.state != PortState::Started && group.members.contains(name);
    let which = if table.groups.values().any(holds) { Which::Checked } else { Which::All };
    Some(Release { send_port: name.clone(), which })
}

/// What starting a send port group releases: the waiting instances of its started members that came by
/// it. `table` already has the new state.
#[must_use]
pub fn on_group_started(table: &RoutingTable, group: &str) -> Vec<Release> {
    match table.groups.get(group) {
        Some(group) if group.state == PortState::Started => group.members.iter().filter_map(|port| on_port_started(table, port)).collect(),
        _ => Vec::new(),
    }
}

/// What to release when a table comes into force without a single start: at the host's start and
/// after a deployment (a port's declared state changed, a group or membership disappeared).
#[must_use]
pub fn on_table_changed(table: &RoutingTable) -> Vec<Release> {
    table.ports.keys().filter_map(|port| on_port_started(table, port)).collect()
}

/// Whether an instance waits for nothing but a start that has happened: it is suspended (resumable)
/// because its port or group was stopped, its port is started, and so is the group it came by. A group
/// that is no longer deployed, or that the port has left, holds nothing back: the message was captured
/// for this port, and nobody could start that route again.
#[must_use]
pub fn may_go(table: &RoutingTable, instance: &Instance) -> bool {
    let waits = instance.state == InstanceState::SuspendedResumable
        && instance.service.class == ServiceClass::SendPort
        && instance.failure.as_ref().is_some_and(|failure| failure.code == code::PORT_STOPPED.id);
    let port = table.port_state(&instance.service.name);
    let group =
        instance.group.as_ref().and_then(|group| table.groups.get(group)).filter(|group| group.members.contains(&instance.service.name));
    waits && port == Some(PortState::Started) && group.is_none_or(|group| group.state == PortState::Started)
}
