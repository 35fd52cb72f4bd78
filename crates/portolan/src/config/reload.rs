//! What changed between two versions of an application: which locations and ports the running server
//! must start, stop or exchange. Pure; carrying it out is the runtime's work.
//!
//! **Invariant:** names identify artifacts. A renamed port is one removed and one added: its messages
//! in progress belong to the removed one and become visible as suspended.

use portolan_model::{SmolStr, artifact::Application};

/// Names of what changed, each list in the order of the files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changed {
    /// In the new version only.
    pub added: Vec<SmolStr>,
    /// In the old version only.
    pub removed: Vec<SmolStr>,
    /// In both, and different.
    pub changed: Vec<SmolStr>,
}

/// The difference of two versions of an application.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// Receive locations. One changes with its port's name, maps or description, and when it moves to
    /// another port.
    pub receive_locations: Changed,
    /// Send ports.
    pub send_ports: Changed,
    /// Send port groups.
    pub send_port_groups: Changed,
}

impl Changed {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn between<T: PartialEq>(old: &[(SmolStr, T)], new: &[(SmolStr, T)]) -> Self {
        let find = |list: &[(SmolStr, T)], name: &SmolStr| list.iter().position(|(known, _)| known == name);
        let mut result = Self::default();
        for (name, artifact) in new {
            match find(old, name).and_then(|at| old.get(at)) {
                None => result.added.push(name.clone()),
                Some((_, before)) if before != artifact => result.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        result.removed = old.iter().filter(|(name, _)| find(new, name).is_none()).map(|(name, _)| name.clone()).collect();
        result
    }
}

impl Difference {
    /// What changed from `old` to `new`.
    #[must_use]
    pub fn between(old: &Application, new: &Application) -> Self {
        fn locations(application: &Application) -> Vec<(SmolStr, impl PartialEq)> {
            let ports = application.receive_ports.iter();
            ports
                .flat_map(|port| port.locations.iter().map(move |l| (l.name.clone(), (l, &port.name, &port.description, &port.maps))))
                .collect()
        }
        fn send_ports(application: &Application) -> Vec<(SmolStr, impl PartialEq)> {
            application.send_ports.iter().map(|port| (port.name.clone(), port)).collect()
        }
        fn groups(application: &Application) -> Vec<(SmolStr, impl PartialEq)> {
            application.send_port_groups.iter().map(|group| (group.name.clone(), group)).collect()
        }
        Self {
            receive_locations: Changed::between(&locations(old), &locations(new)),
            send_ports: Changed::between(&send_ports(old), &send_ports(new)),
            send_port_groups: Changed::between(&groups(old), &groups(new)),
        }
    }

    /// Whether nothing changed. Schemas are not part of it: they are exchanged as a whole.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receive_locations.is_empty() && self.send_ports.is_empty() && self.send_port_groups.is_empty()
    }
}

impl std::fmt::Display for Difference {
    /// One line for people: `send ports: +France -Italy ~Germany`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("receive locations", &self.receive_locations),
            ("send ports", &self.send_ports),
            ("send port groups", &self.send_port_groups),
        ];
        let mut texts = Vec::new();
        for (kind, changed) in parts.into_iter().filter(|(_, changed)| !changed.is_empty()) {
            let signs = [("+", &changed.added), ("-", &changed.removed), ("~", &changed.changed)];
            let names = signs.into_iter().flat_map(|(sign, names)| names.iter().map(move |name| format!(" {sign}{name}")));
            texts.push(format!("{kind}:{}", names.collect::<String>()));
        }
        f.write_str(&if texts.is_empty() { "no changes".to_owned() } else { texts.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_model::{
        artifact::{PipelineRef, PortState, ReceiveLocation, ReceivePort, RetryPolicy, SendPort, SendPortGroup, SendTransport, Transport},
        filter::Filter,
        schedule::Schedule,
    };

    fn transport(address: &str) -> Transport {
        Transport { adapter: "file".into(), address: address.to_owned(), settings: serde_json::json!({ "folder": address }) }
    }

    fn pipeline() -> PipelineRef {
        PipelineRef { name: "PassThru".into(), components: Vec::new() }
    }

    fn receive_port(name: &str, maps: &[&str], locations: &[(&str, &str)]) -> ReceivePort {
        let location = |(name, address): &(&str, &str)| ReceiveLocation {
            name: (*name).into(),
            description: None,
            primary: false,
            enabled: true,
            transport: transport(address),
            pipeline: pipeline(),
            schedule: Schedule::default(),
        };
        let maps = maps.iter().map(SmolStr::new).collect();
        ReceivePort { name: name.into(), description: None, maps, locations: locations.iter().map(location).collect() }
    }

    fn send_port(name: &str, address: &str) -> SendPort {
        let primary = SendTransport { transport: transport(address), retry: RetryPolicy::default(), schedule: Schedule::default() };
        SendPort {
            name: name.into(),
            description: None,
            state: PortState::Started,
            filter: Filter::default(),
            maps: Vec::new(),
            pipeline: pipeline(),
            primary,
            backup: None,
            priority: 5,
            concurrency: 1,
        }
    }

    fn group(name: &str, members: &[&str]) -> SendPortGroup {
        let members = members.iter().map(SmolStr::new).collect();
        SendPortGroup { name: name.into(), description: None, state: PortState::Started, filter: Filter::default(), members }
    }

    #[test]
    fn the_same_application_has_no_difference() {
        let application = Application {
            name: "a".into(),
            receive_ports: vec![receive_port("R", &[], &[("l", "in")])],
            send_ports: vec![send_port("S", "out")],
            send_port_groups: vec![group("G", &["S"])],
        };
        let difference = Difference::between(&application, &application.clone());
        assert!(difference.is_empty());
        assert_eq!(difference.to_string(), "no changes");
    }

    #[test]
    fn what_was_added_removed_and_changed_is_named() {
        let old = Application {
            name: "a".into(),
            receive_ports: vec![
                receive_port("R", &[], &[("same", "1"), ("moved", "2"), ("gone", "3")]),
                receive_port("Maps", &[], &[("mapped", "4")]),
            ],
            send_ports: vec![send_port("Germany", "a"), send_port("Italy", "b"), send_port("Spain", "c")],
            send_port_groups: vec![group("Europe", &["Germany"])],
        };
        let new = Application {
            name: "a".into(),
            receive_ports: vec![
                receive_port("R", &[], &[("same", "1"), ("new", "3")]),
                receive_port("Maps", &["m"], &[("mapped", "4"), ("moved", "2")]),
            ],
            send_ports: vec![send_port("Spain", "c"), send_port("Germany", "x"), send_port("France", "d")],
            send_port_groups: vec![group("Europe", &["Germany", "France"])],
        };
        let difference = Difference::between(&old, &new);
        assert_eq!(
            difference.to_string(),
            "receive locations: +new -gone ~mapped ~moved; send ports: +France -Italy ~Germany; send port groups: ~Europe"
        );
    }
}
