//! Receive ports with their locations, send ports and send port groups.

use super::{super::format, Resolver};
use crate::config::{
    diagnostic::{Diagnostic, Severity},
    merge::name_span,
    source::Span,
    yaml::{Node, Yaml},
};
use portolan_model::{
    SmolStr,
    artifact::{ReceiveLocation, ReceivePort, RetryPolicy, SendPort, SendPortGroup, SendTransport},
    code,
};
use portolan_sdk::Direction;
use std::{collections::BTreeMap, time::Duration};

/// Longest retry interval: 525,600 minutes (manual page "How to Configure Transport Advanced Options
/// for a Send Port").
const LONGEST_RETRY: Duration = Duration::from_secs(525_600 * 60);

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

impl Resolver<'_> {
    pub(super) fn receive_ports(&mut self, ports: &[format::ReceivePort], tree: &Node) -> Vec<ReceivePort> {
        let nodes = list(tree, "receive_ports");
        self.unique("receive port", nodes);
        self.unique("receive location", nodes.iter().flat_map(|port| list(port, "locations")));
        let mut addresses = BTreeMap::new();
        let ports = ports.iter().zip(nodes);
        ports.map(|(port, node)| self.receive_port(port, node, &mut addresses)).collect()
    }

    fn receive_port(&mut self, port: &format::ReceivePort, node: &Node, addresses: &mut BTreeMap<String, (String, Span)>) -> ReceivePort {
        self.name("receive port", &port.name, node.get("name"));
        let primary = self.primary(port, node);
        let locations = port.locations.iter().zip(list(node, "locations")).enumerate();
        let locations = locations.filter_map(|(at, (location, node))| self.location(location, node, at == primary, addresses));
        let locations = locations.collect();
        ReceivePort { name: SmolStr::new(&port.name), description: port.description.clone(), maps: self.maps(&port.maps, node), locations }
    }

    /// Which location is the primary one: exactly one per port.
    fn primary(&mut self, port: &format::ReceivePort, node: &Node) -> usize {
        let mut named =
            port.locations.iter().zip(list(node, "locations")).enumerate().filter(|(_, (location, _))| location.primary == Some(true));
        let (first, second) = (named.next(), named.next());
        if let (Some((_, (_, first))), Some((_, (_, second)))) = (&first, &second) {
            let span = second.nearest(["primary"]).span;
            let mistake =
                Diagnostic::error(code::CONFIG_VALUE, span, format!("receive port `{}` has two primary locations", port.name)).at("second");
            self.report.push(mistake.and(first.nearest(["primary"]).span, "first").help("a port has exactly one primary location"));
        }
        first.map_or(0, |(at, _)| at)
    }

    fn location(
        &mut self,
        location: &format::ReceiveLocation,
        node: &Node,
        primary: bool,
        addresses: &mut BTreeMap<String, (String, Span)>,
    ) -> Option<ReceiveLocation> {
        self.name("receive location", &location.name, node.get("name"));
        let pipeline = self.pipeline(location.pipeline.as_ref(), node, format::PipelineKind::Receive);
        let schedule = self.schedule(location.schedule.as_ref(), node);
        let placed = self.transport(node, Direction::Receive)?;
        let transport = placed.transport;
        if !transport.address.is_empty() {
            let own = (location.name.clone(), placed.span);
            if let Some((other, span)) = addresses.insert(transport.address.clone(), own) {
                let message = format!("receive locations `{other}` and `{}` have the same address {}", location.name, transport.address);
                let mistake = Diagnostic::error(code::CONFIG_DUPLICATE, placed.span, message).at("again here").and(span, "first here");
                self.report
                    .push(mistake.help("two locations at one place would take each other's messages: give one of them another address"));
            }
        }
        Some(ReceiveLocation {
            name: SmolStr::new(&location.name),
            description: location.description.clone(),
            primary,
            enabled: location.enabled,
            transport,
            pipeline: pipeline?,
            schedule,
        })
    }

    pub(super) fn send_ports(&mut self, ports: &[format::SendPort], tree: &Node) -> Vec<SendPort> {
        let nodes = list(tree, "send_ports");
        self.unique("send port", nodes);
        ports.iter().zip(nodes).filter_map(|(port, node)| self.send_port(port, node)).collect()
    }

    fn send_port(&mut self, port: &format::SendPort, node: &Node) -> Option<SendPort> {
        self.name("send port", &port.name, node.get("name"));
        let filter = self.filter(port.filter.as_deref(), node);
        let maps = self.maps(&port.maps, node);
        let pipeline = self.pipeline(port.pipeline.as_ref(), node, format::PipelineKind::Send);
        let primary = self.send_transport(&port.retry, port.schedule.as_ref(), node);
        let backup = port.backup.as_ref().zip(node.get("backup").filter(|backup| matches!(backup.value, Yaml::Map(_))));
        let backup = backup.and_then(|(backup, node)| self.send_transport(&backup.retry, backup.schedule.as_ref(), node));
        Some(SendPort {
            name: SmolStr::new(&port.name),
            description: port.description.clone(),
            state: port.state,
            filter,
            maps,
            pipeline: pipeline?,
            primary: primary?,
            backup,
            priority: port.priority,
            concurrency: port.concurrency,
        })
    }

    fn send_transport(&mut self, retry: &format::Retry, schedule: Option<&format::Schedule>, node: &Node) -> Option<SendTransport> {
        let default = RetryPolicy::default();
        let interval =
            retry.interval.as_deref().and_then(|text| self.duration(text, node.nearest(["retry", "interval"]).span, LONGEST_RETRY));
        let retry = RetryPolicy { count: retry.count.unwrap_or(default.count), interval: interval.unwrap_or(default.interval) };
        let schedule = self.schedule(schedule, node);
        let transport = self.transport(node, Direction::Send)?.transport;
        Some(SendTransport { transport, retry, schedule })
    }

    pub(super) fn groups(&mut self, groups: &[format::SendPortGroup], tree: &Node, _: &[SendPort]) -> Vec<SendPortGroup> {
        let nodes = list(tree, "send_port_groups");
        self.unique("send port group", nodes);
        // All ports the file names, also those that have mistakes of their own.
        let names: Vec<&str> = list(tree, "send_ports").iter().filter_map(|port| port.get("name")?.text()).collect();
        groups.iter().zip(nodes).map(|(group, node)| self.group(group, node, &names)).collect()
    }

    fn group(&mut self, group: &format::SendPortGroup, node: &Node, names: &[&str]) -> SendPortGroup {
        self.name("send port group", &group.name, node.get("name"));
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (member, at) in group.members.iter().zip(list(node, "members")) {
            if !names.contains(&member.as_str()) {
                self.unknown(at.span, "send port", member, "send ports", names);
            }
            if let Some(first) = seen.insert(member, at.span) {
                let mistake = Diagnostic::error(code::CONFIG_DUPLICATE, at.span, format!("send port `{member}` is in the group twice"));
                self.report.push(mistake.at("again here").and(first, "first here").help("remove one of them"));
            }
        }
        if group.members.is_empty() && node.get("members").is_none_or(|members| members.items().is_empty()) {
            let warning = Diagnostic::warning(
                code::CONFIG_VALUE,
                name_span(node),
                format!("send port group `{}` has no members: it subscribes to nothing", group.name),
            );
            self.report.push(warning.help("list its send ports under `members`"));
        }
        let filter = self.filter(group.filter.as_deref(), node);
        SendPortGroup {
            name: SmolStr::new(&group.name),
            description: group.description.clone(),
            state: group.state,
            filter,
            members: group.members.iter().map(SmolStr::new).collect(),
        }
    }

    /// A port without a filter and outside every group never gets a message.
    pub(super) fn warn_of_idle_ports(&mut self, _: &[SendPort], groups: &[SendPortGroup], tree: &Node) {
        for port in list(tree, "send_ports") {
            let Some(name) = port.get("name").and_then(Node::text) else { continue };
            let sound = !self.report.diagnostics.iter().any(|one| one.severity == Severity::Error && port.span.contains(one.span()));
            if sound && port.get("filter").is_none() && !groups.iter().any(|group| group.members.iter().any(|member| member == name)) {
                let warning = Diagnostic::warning(
                    code::CONFIG_VALUE,
                    name_span(port),
                    format!("send port `{name}` never gets a message: it has no filter and is in no group"),
                );
                self.report.push(
                    warning.help("add a `filter`, for example `BTS.ReceivePortName == \"…\"`, or make it a member of a send port group"),
                );
            }
        }
    }
}
