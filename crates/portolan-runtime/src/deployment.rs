//! A deployment: one application made ready to run, with the states operators gave its artifacts.
//! Immutable; a change makes a new one in a new epoch.

use crate::pipeline::Pipeline;
use portolan_engine::routing::{RoutingTable, States};
use portolan_model::{
    Context, SmolStr, Value,
    artifact::{Application, PortState, ReceiveLocation, SendPort, SendTransport},
    id::artifact_guid,
    property::PropertyError,
    system::bts,
    time::TimeZone,
};
use portolan_sdk::{Map, PipelineContext, Registry, Schemas, SendAdapter, Setup};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// What a deployment is made of.
#[derive(Clone)]
pub struct Blueprint {
    /// The checked application.
    pub application: Application,
    /// Its schemas.
    pub schemas: Arc<Schemas>,
    /// Folder that relative paths start from.
    pub base: PathBuf,
    /// Zone of date-times that carry none.
    pub time_zone: TimeZone,
}

/// What operators chose, over what the application says. Kept in the store.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Send port states.
    pub send_ports: BTreeMap<SmolStr, PortState>,
    /// Send port group states.
    pub groups: BTreeMap<SmolStr, PortState>,
    /// Receive locations: enabled or not.
    pub locations: BTreeMap<SmolStr, bool>,
}

/// An application ready to run.
pub struct Deployment {
    /// Counts changes; the store refuses routing decisions of another epoch.
    pub epoch: u64,
    /// What it was made of.
    pub blueprint: Blueprint,
    /// What operators chose.
    pub choices: Choices,
    /// Who gets which message.
    pub table: RoutingTable,
    /// Receive locations by name.
    pub locations: BTreeMap<SmolStr, Arc<Location>>,
    /// Send ports by name.
    pub ports: BTreeMap<SmolStr, Arc<Port>>,
}

/// A receive location ready to run.
pub struct Location {
    /// Name of its receive port.
    pub port: SmolStr,
    /// The artifact.
    pub artifact: ReceiveLocation,
    /// `BTS.InboundTransportType`.
    pub transport_type: SmolStr,
    /// Its pipeline.
    pub pipeline: Pipeline,
    /// Inbound maps of the port.
    pub maps: Vec<Arc<dyn Map>>,
    /// Properties every message of this location has.
    pub template: Context,
}

/// A send port ready to run.
pub struct Port {
    /// The artifact.
    pub artifact: SendPort,
    /// Its pipeline.
    pub pipeline: Pipeline,
    /// Its outbound maps.
    pub maps: Vec<Arc<dyn Map>>,
    /// Primary transport.
    pub primary: Arc<dyn SendAdapter>,
    /// Backup transport.
    pub backup: Option<Arc<dyn SendAdapter>>,
}

impl Deployment {
    /// Makes an application ready to run.
    ///
    /// # Errors
    /// Every reason why it cannot run, in words.
    pub fn build(blueprint: Blueprint, registry: &Registry, choices: Choices, epoch: u64) -> Result<Self, Vec<String>> {
        let mut builder = Builder { blueprint: &blueprint, registry, problems: Vec::new() };
        let mut locations = BTreeMap::new();
        for port in &blueprint.application.receive_ports {
            let maps = builder.maps(&port.maps, &port.name);
            for location in &port.locations {
                if let Some(ready) = builder.location(&port.name, location, &maps) {
                    locations.insert(location.name.clone(), Arc::new(ready));
                }
            }
        }
        let mut ports = BTreeMap::new();
        for port in &blueprint.application.send_ports {
            if let Some(ready) = builder.send_port(port) {
                ports.insert(port.name.clone(), Arc::new(ready));
            }
        }
        if !builder.problems.is_empty() {
            return Err(builder.problems);
        }
        let table = Self::table(&blueprint, &choices, epoch);
        Ok(Self { epoch, table, blueprint, choices, locations, ports })
    }

    /// The same deployment after operators chose otherwise.
    #[must_use]
    pub fn with_choices(&self, choices: Choices, epoch: u64) -> Self {
        Self {
            epoch,
            table: Self::table(&self.blueprint, &choices, epoch),
            blueprint: self.blueprint.clone(),
            choices,
            locations: self.locations.clone(),
            ports: self.ports.clone(),
        }
    }

    fn table(blueprint: &Blueprint, choices: &Choices, epoch: u64) -> RoutingTable {
        let states = States { send_ports: choices.send_ports.clone(), send_port_groups: choices.groups.clone() };
        RoutingTable::build([&blueprint.application], &states, epoch)
    }

    /// State of a send port.
    #[must_use]
    pub fn port_state(&self, name: &str) -> Option<PortState> {
        let port = self.ports.get(name)?;
        Some(self.choices.send_ports.get(name).copied().unwrap_or(port.artifact.state))
    }

    /// State of a send port group.
    #[must_use]
    pub fn group_state(&self, name: &str) -> Option<PortState> {
        let group = self.blueprint.application.send_port_groups.iter().find(|g| g.name == name)?;
        Some(self.choices.groups.get(name).copied().unwrap_or(group.state))
    }

    /// Whether operators want a receive location to receive.
    #[must_use]
    pub fn location_enabled(&self, name: &str) -> Option<bool> {
        let location = self.locations.get(name)?;
        Some(self.choices.locations.get(name).copied().unwrap_or(location.artifact.enabled))
    }
}

impl Port {
    /// The transport of a role; the primary when there is no backup.
    #[must_use]
    pub fn transport(&self, role: portolan_model::instance::TransportRole) -> (&SendTransport, &Arc<dyn SendAdapter>) {
        match (role, &self.artifact.backup, &self.backup) {
            (portolan_model::instance::TransportRole::Backup, Some(transport), Some(sender)) => (transport, sender),
            _ => (&self.artifact.primary, &self.primary),
        }
    }
}

struct Builder<'a> {
    blueprint: &'a Blueprint,
    registry: &'a Registry,
    problems: Vec<String>,
}

impl Builder<'_> {
    fn maps(&mut self, names: &[SmolStr], port: &str) -> Vec<Arc<dyn Map>> {
        let mut maps = Vec::new();
        for name in names {
            match self.registry.map(name) {
                Some(map) => maps.push(map.clone()),
                None => self.problems.push(format!("port {port}: there is no map \"{name}\"")),
            }
        }
        maps
    }

    fn pipeline(&mut self, reference: &portolan_model::artifact::PipelineRef, artifact: &str) -> Option<Pipeline> {
        let context = PipelineContext {
            pipeline: reference.name.clone(),
            schemas: self.blueprint.schemas.clone(),
            time_zone: self.blueprint.time_zone.clone(),
        };
        Pipeline::prepare(reference, self.registry, &self.blueprint.schemas, context)
            .map_err(|problem| self.problems.push(format!("{artifact}: {problem}")))
            .ok()
    }

    fn location(&mut self, port: &SmolStr, location: &ReceiveLocation, maps: &[Arc<dyn Map>]) -> Option<Location> {
        let Some(adapter) = self.registry.adapter(&location.transport.adapter) else {
            self.problems.push(format!("receive location {}: there is no adapter \"{}\"", location.name, location.transport.adapter));
            return None;
        };
        let transport_type = SmolStr::new_static(adapter.spec().transport_type);
        let template = template(port, location, &transport_type)
            .map_err(|problem| self.problems.push(format!("receive location {}: {problem}", location.name)))
            .ok()?;
        let pipeline = self.pipeline(&location.pipeline, &format!("receive location {}", location.name))?;
        Some(Location { port: port.clone(), artifact: location.clone(), transport_type, pipeline, maps: maps.to_vec(), template })
    }

    fn send_port(&mut self, port: &SendPort) -> Option<Port> {
        let maps = self.maps(&port.maps, &port.name);
        let pipeline = self.pipeline(&port.pipeline, &format!("send port {}", port.name));
        let primary = self.sender(port, &port.primary);
        let backup = match &port.backup {
            Some(backup) => Some(self.sender(port, backup)?),
            None => None,
        };
        Some(Port { artifact: port.clone(), pipeline: pipeline?, maps, primary: primary?, backup })
    }

    fn sender(&mut self, port: &SendPort, transport: &SendTransport) -> Option<Arc<dyn SendAdapter>> {
        let Some(adapter) = self.registry.adapter(&transport.transport.adapter) else {
            self.problems.push(format!("send port {}: there is no adapter \"{}\"", port.name, transport.transport.adapter));
            return None;
        };
        let setup = Setup { artifact: port.name.clone(), base: self.blueprint.base.clone() };
        adapter
            .sender(&transport.transport.settings, setup)
            .map_err(|problem| self.problems.push(format!("send port {}: {problem}", port.name)))
            .ok()
    }
}

fn template(port: &SmolStr, location: &ReceiveLocation, transport_type: &SmolStr) -> Result<Context, PropertyError> {
    let mut context = Context::new();
    context.promote(bts::INBOUND_TRANSPORT_LOCATION, Value::string(location.transport.address.as_str()))?;
    context.promote(bts::INBOUND_TRANSPORT_TYPE, Value::String(transport_type.clone()))?;
    context.promote(bts::RECEIVE_PORT_ID, Value::string(artifact_guid("receivePort", port)))?;
    context.promote(bts::RECEIVE_PORT_NAME, Value::String(port.clone()))?;
    context.write(bts::RECEIVE_LOCATION_NAME, Value::String(location.name.clone()));
    Ok(context)
}
