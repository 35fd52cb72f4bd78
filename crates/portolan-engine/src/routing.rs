//! Routing: which send ports get a message, and whether it is sent or suspended there (manual page
//! "Send Ports and Send Port Groups").
//!
//! | addressed | group | port | outcome |
//! |---|---|---|---|
//! | port directly | – | unenlisted | no subscription |
//! | port directly | – | stopped | suspended, resumable |
//! | port directly | – | started | delivered |
//! | via a group | unenlisted | any | no subscription |
//! | via a group | any | unenlisted | no subscription |
//! | via a group | stopped | stopped, started | suspended, resumable |
//! | via a group | started | stopped | suspended, resumable |
//! | via a group | started | started | delivered |
//!
//! A port's own subscription is "addressed to me, or my filter": one delivery however many of its
//! conditions hold. Each group it belongs to is one more route. So a port that subscribes by itself and
//! through a group gets the message twice, as documented.
//!
//! The table is a value: when artifacts or states change, a new one is built with a new epoch. This
//! module must never change a state or touch an instance; see [`crate::waiting`] for what happens to
//! suspended instances when a port is started.

use crate::{
    explain,
    index::{Scratch, SubscriptionIndex},
    subscription::{Subscriber, Subscription},
};
use portolan_model::{
    Context, InstanceId, MessageId, SmolStr, Timestamp, Value,
    artifact::{Application, PortState, SendPort, SendPortGroup},
    code,
    filter::{Filter, Operator, Statement},
    id::artifact_guid,
    instance::{Failure, Instance, MessageForm, Service},
    system::bts,
};
use std::collections::BTreeMap;

/// `BTS.SPID` of a send port.
#[must_use]
pub fn send_port_id(port: &str) -> String {
    artifact_guid("sendPort", port)
}

/// `BTS.SPTransportID` of a send port's primary transport: a message that has it promoted is addressed
/// to the port.
#[must_use]
pub fn primary_transport_id(port: &str) -> String {
    artifact_guid("sendPort/primaryTransport", port)
}

/// `BTS.SPTransportBackupID` of a send port's backup transport.
#[must_use]
pub fn backup_transport_id(port: &str) -> String {
    artifact_guid("sendPort/backupTransport", port)
}

/// `BTS.SPGroupID` of a send port group: a message that has it promoted is addressed to the group.
#[must_use]
pub fn group_id(group: &str) -> String {
    artifact_guid("sendPortGroup", group)
}

/// The current states of ports and groups. Those it does not name have the state their artifact
/// declares: an operator's choice, where there is one, wins over the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct States {
    /// Send ports by name.
    pub send_ports: BTreeMap<SmolStr, PortState>,
    /// Send port groups by name.
    pub send_port_groups: BTreeMap<SmolStr, PortState>,
}

impl States {
    /// The state of a send port.
    #[must_use]
    pub fn of_port(&self, port: &SendPort) -> PortState {
        self.send_ports.get(&port.name).copied().unwrap_or(port.state)
    }

    /// The state of a send port group.
    #[must_use]
    pub fn of_group(&self, group: &SendPortGroup) -> PortState {
        self.send_port_groups.get(&group.name).copied().unwrap_or(group.state)
    }
}

/// A deployed send port as routing sees it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) state: PortState,
    pub(crate) priority: u8,
}

/// A deployed send port group as routing sees it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) state: PortState,
    /// Members in order of name, each once; only those that are deployed.
    pub(crate) members: Vec<SmolStr>,
}

/// Everything routing needs, fixed for one epoch.
#[derive(Debug, Default)]
pub struct RoutingTable {
    epoch: u64,
    pub(crate) ports: BTreeMap<SmolStr, Port>,
    pub(crate) groups: BTreeMap<SmolStr, Group>,
    /// Subscriptions of everything enlisted, in order of subscriber.
    pub(crate) subscriptions: Vec<Subscription>,
    /// What is deployed and not enlisted; only to explain routing failures.
    pub(crate) unenlisted: Vec<Subscription>,
    index: SubscriptionIndex,
}

/// One delivery of a message: becomes one service instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The send port.
    pub send_port: SmolStr,
    /// Its priority, 1 (highest) to 10.
    pub priority: u8,
    /// The group whose subscription matched, if it was a group's.
    pub via_group: Option<SmolStr>,
    /// Whether it is sent.
    pub state: DeliveryState,
}

/// Whether a delivery is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    /// As soon as possible.
    Ready,
    /// Captured and suspended, resumable, with [`code::PORT_STOPPED`]: the port or the group is stopped.
    Suspended(StoppedBy),
}

/// What holds a delivery back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoppedBy {
    /// The send port.
    Port,
    /// The send port group the message came by.
    Group,
}

/// Where a message goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Routing {
    /// The epoch of the table that decided; a commit must refuse it in another epoch.
    pub epoch: u64,
    /// The deliveries, at least one, in order of subscriber: ports by name, then groups by name with
    /// their members by name.
    pub deliveries: Vec<Delivery>,
}

/// Nobody subscribes to the message: a routing failure, [`code::NO_SUBSCRIPTION`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoSubscriber {
    /// The epoch of the table that decided.
    pub epoch: u64,
    /// What the message offered, which subscriptions came nearest and what they missed, what to do.
    pub explanation: String,
}

impl RoutingTable {
    /// Builds the table from what is deployed and in which state it is.
    #[must_use]
    pub fn build<'a>(applications: impl IntoIterator<Item = &'a Application> + Clone, states: &States, epoch: u64) -> Self {
        let mut table = Self { epoch, ..Self::default() };
        for port in applications.clone().into_iter().flat_map(|app| &app.send_ports) {
            let state = states.of_port(port);
            table.ports.insert(port.name.clone(), Port { state, priority: port.priority });
            let address = equals(bts::SP_TRANSPORT_ID, primary_transport_id(&port.name));
            let subscription = Subscription { subscriber: Subscriber::SendPort(port.name.clone()), filter: or(address, &port.filter) };
            table.file(subscription, state != PortState::Unenlisted);
        }
        for group in applications.into_iter().flat_map(|app| &app.send_port_groups) {
            let state = states.of_group(group);
            let mut members: Vec<SmolStr> = group.members.iter().filter(|m| table.ports.contains_key(*m)).cloned().collect();
            members.sort_unstable();
            members.dedup();
            let any_enlisted = members.iter().any(|m| table.ports[m].state != PortState::Unenlisted);
            table.groups.insert(group.name.clone(), Group { state, members });
            let address = equals(bts::SPG_ID, group_id(&group.name));
            let subscription =
                Subscription { subscriber: Subscriber::SendPortGroup(group.name.clone()), filter: or(address, &group.filter) };
            table.file(subscription, state != PortState::Unenlisted && any_enlisted);
        }
        table.subscriptions.sort_by(|a, b| a.subscriber.cmp(&b.subscriber));
        table.unenlisted.sort_by(|a, b| a.subscriber.cmp(&b.subscriber));
        table.index = SubscriptionIndex::build(&table.subscriptions);
        table
    }

    /// The epoch given to [`Self::build`].
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The state of a deployed send port.
    #[must_use]
    pub fn port_state(&self, port: &str) -> Option<PortState> {
        self.ports.get(port).map(|p| p.state)
    }

    /// The state of a deployed send port group.
    #[must_use]
    pub fn group_state(&self, group: &str) -> Option<PortState> {
        self.groups.get(group).map(|g| g.state)
    }

    /// The subscriptions that exist: those of everything enlisted.
    #[must_use]
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    fn file(&mut self, subscription: Subscription, exists: bool) {
        if exists { self.subscriptions.push(subscription) } else { self.unenlisted.push(subscription) }
    }

    fn deliver(&self, name: &SmolStr, via: Option<(&SmolStr, PortState)>) -> Option<Delivery> {
        let port = self.ports.get(name)?;
        let state = match (port.state, via.map(|(_, state)| state)) {
            (PortState::Unenlisted, _) | (_, Some(PortState::Unenlisted)) => return None,
            (PortState::Stopped, _) => DeliveryState::Suspended(StoppedBy::Port),
            (PortState::Started, Some(PortState::Stopped)) => DeliveryState::Suspended(StoppedBy::Group),
            (PortState::Started, Some(PortState::Started) | None) => DeliveryState::Ready,
        };
        Some(Delivery { send_port: name.clone(), priority: port.priority, via_group: via.map(|(group, _)| group.clone()), state })
    }
}

/// Decides where a message goes.
///
/// # Errors
/// [`NoSubscriber`] when no subscription matches; its explanation is worked out only then.
pub fn route(table: &RoutingTable, context: &Context, scratch: &mut Scratch) -> Result<Routing, NoSubscriber> {
    let mut deliveries = Vec::new();
    for position in table.index.matches(context, scratch) {
        match table.subscriptions.get(*position as usize).map(|s| &s.subscriber) {
            Some(Subscriber::SendPort(port)) => deliveries.extend(table.deliver(port, None)),
            Some(Subscriber::SendPortGroup(name)) => {
                if let Some(group) = table.groups.get(name) {
                    deliveries.extend(group.members.iter().filter_map(|port| table.deliver(port, Some((name, group.state)))));
                }
            }
            None => {}
        }
    }
    if deliveries.is_empty() {
        return Err(NoSubscriber { epoch: table.epoch, explanation: explain::no_subscriber(table, context) });
    }
    Ok(Routing { epoch: table.epoch, deliveries })
}

impl Delivery {
    /// The service instance of this delivery: ready, or suspended with the reason.
    #[must_use]
    pub fn instance(&self, id: InstanceId, message: MessageId, now: Timestamp) -> Instance {
        let ready = Instance {
            group: self.via_group.clone(),
            ..Instance::ready(id, Service::send_port(self.send_port.clone()), message, now, self.priority)
        };
        match self.state {
            DeliveryState::Ready => ready,
            DeliveryState::Suspended(by) => ready.suspended(true, MessageForm::Published, self.stopped(by, now)),
        }
    }

    fn stopped(&self, by: StoppedBy, at: Timestamp) -> Failure {
        let port = &self.send_port;
        let description = match (by, &self.via_group) {
            (StoppedBy::Group, Some(group)) => format!(
                "The send port group \"{group}\" is stopped, so its message for the send port \"{port}\" waits. It is sent when the group is started; resuming it sends it at once."
            ),
            _ => format!(
                "The send port \"{port}\" is stopped, so the message waits. It is sent when the port is started; resuming it sends it at once."
            ),
        };
        Failure { code: SmolStr::new_static(code::PORT_STOPPED.id), description, adapter: None, address: None, at }
    }
}

fn equals(property: portolan_model::Name, text: String) -> Statement {
    Statement { property, operator: Operator::Equal, value: Some(Value::string(text)) }
}

/// "Addressed to me, or my filter".
fn or(address: Statement, filter: &Filter) -> Filter {
    Filter { groups: std::iter::once(vec![address]).chain(filter.groups.iter().cloned()).collect() }
}
