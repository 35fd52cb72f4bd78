//! From what the file says to what it means: names are looked up, settings checked by their adapters
//! and components, filters parsed, schedules worked out. Every check works on what it can, so that
//! one mistake does not hide another.

mod filter;
mod pipelines;
mod ports;
mod schedule;
mod schemas;
mod transport;

use super::{
    Server,
    diagnostic::{Diagnostic, Report},
    format::{self, ApplicationFile},
    merge::name_span,
    source::Span,
    suggest,
    yaml::Node,
};
use pipelines::Pipelines;
use portolan_model::{
    Code, SmolStr,
    artifact::Application,
    code,
    system::{self, SystemProperty},
};
use portolan_sdk::{ComponentSpec, Registry, Schemas};
use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use transport::SettingsSchemas;

/// What every check needs.
struct Resolver<'a> {
    report: &'a mut Report,
    folder: &'a Path,
    registry: &'a Registry,
    schemas: Arc<Schemas>,
    pipelines: Pipelines,
    settings: SettingsSchemas,
    components: BTreeMap<&'static str, ComponentSpec>,
    system: Vec<SystemProperty>,
}

/// Turns a sound tree into artifacts. `file` was read from `tree`, so that their lists agree.
pub fn application(
    report: &mut Report,
    folder: &Path,
    registry: &Registry,
    tree: &Node,
    file: &ApplicationFile,
) -> (Arc<Schemas>, Application, Server) {
    let schemas = Arc::new(schemas::load(report, folder));
    let mut resolver = Resolver {
        report,
        folder,
        registry,
        schemas: schemas.clone(),
        pipelines: Pipelines::default(),
        settings: transport::settings_schemas(registry),
        components: registry.components().map(|component| component.spec()).map(|spec| (spec.name, spec)).collect(),
        system: system::all(),
    };
    resolver.define_pipelines(&file.pipelines, tree);
    resolver.name("application", &file.application, tree.get("application"));
    let receive_ports = resolver.receive_ports(&file.receive_ports, tree);
    let send_ports = resolver.send_ports(&file.send_ports, tree);
    let send_port_groups = resolver.groups(&file.send_port_groups, tree, &send_ports);
    resolver.warn_of_idle_ports(&send_ports, &send_port_groups, tree);
    let server = resolver.server(&file.server, tree.get("server").unwrap_or(tree));
    let application = Application { name: SmolStr::new(&file.application), receive_ports, send_ports, send_port_groups };
    (schemas, application, server)
}

/// Server settings when nothing can be read.
pub fn default_server(folder: &Path) -> Server {
    Server {
        management_address: SocketAddr::from(([127, 0, 0, 1], super::MANAGEMENT_PORT)),
        data_folder: folder.join(format::DATA_FOLDER),
        stop_timeout: Duration::from_secs(30),
    }
}

impl Resolver<'_> {
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Diagnostic::error(code, span, message).help(help));
    }

    /// Names appear in tables, file names and addresses: no control characters, no blanks around.
    fn name(&mut self, kind: &str, name: &str, node: Option<&Node>) {
        let Some(node) = node else { return };
        if name.chars().any(char::is_control) {
            self.error(
                code::CONFIG_VALUE,
                node.span,
                format!("the name of this {kind} has a line break or another control character"),
                "use printable characters",
            );
        } else if name.trim() != name {
            self.error(code::CONFIG_VALUE, node.span, format!("the name `{name}` begins or ends with a blank"), "remove the blank");
        }
    }

    /// Reports artifacts of the same name.
    fn unique<'n>(&mut self, kind: &str, artifacts: impl IntoIterator<Item = &'n Node>) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for artifact in artifacts {
            let Some(name) = artifact.get("name").and_then(Node::text) else { continue };
            let span = name_span(artifact);
            match seen.get(name) {
                Some(first) => {
                    let mistake = Diagnostic::error(code::CONFIG_DUPLICATE, span, format!("there are two {kind}s with the name `{name}`"));
                    self.report.push(mistake.at("again here").and(*first, "first here").help("give one of them another name"));
                }
                None => {
                    seen.insert(name, span);
                }
            }
        }
    }

    fn maps(&mut self, maps: &[String], node: &Node) -> Vec<SmolStr> {
        for (map, at) in maps.iter().zip(node.get("maps").map(Node::items).unwrap_or_default()) {
            if self.registry.map(map).is_none() {
                self.error(
                    code::CONFIG_REFERENCE,
                    at.span,
                    format!("there is no map `{map}`"),
                    "maps are not read from files yet: an application can name those that the installation registers",
                );
            }
        }
        maps.iter().map(SmolStr::new).collect()
    }

    fn server(&mut self, server: &format::Server, node: &Node) -> Server {
        let mut result = default_server(self.folder);
        if let Some(address) = &server.management_address {
            let span = node.nearest(["management_address"]).span;
            match address.parse::<SocketAddr>() {
                Ok(address) => {
                    result.management_address = address;
                    if !address.ip().is_loopback() {
                        let warning = Diagnostic::warning(
                            code::CONFIG_VALUE,
                            span,
                            format!("the management API at {address} can be reached from other machines"),
                        );
                        self.report.push(
                            warning.help(
                                "its token is sent without encryption: listen on 127.0.0.1 and put a reverse proxy with TLS before it",
                            ),
                        );
                    }
                }
                Err(_) => self.error(
                    code::CONFIG_VALUE,
                    span,
                    format!("`{address}` is no address to listen on"),
                    "write an IP address and a port, for example `127.0.0.1:4180`",
                ),
            }
        }
        if let Some(folder) = &server.data_folder {
            result.data_folder = self.folder.join(folder);
        }
        if let Some(text) = &server.stop_timeout
            && let Some(timeout) = self.duration(text, node.nearest(["stop_timeout"]).span, Duration::from_secs(86_400))
        {
            result.stop_timeout = timeout;
        }
        result
    }

    /// A length of time such as `30s` or `1h30m`.
    fn duration(&mut self, text: &str, span: Span, longest: Duration) -> Option<Duration> {
        let help = format::DURATION_HINT;
        let days = text
            .trim()
            .strip_suffix(['d', 'D'])
            .and_then(|days| days.trim().parse::<u64>().ok())
            .and_then(|days| days.checked_mul(86_400))
            .map(Duration::from_secs);
        let parsed =
            days.or_else(|| text.trim().parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok()));
        match parsed {
            Some(duration) if duration > longest => {
                self.error(
                    code::CONFIG_VALUE,
                    span,
                    format!("`{text}` is too long: at most {} days are allowed", longest.as_secs() / 86_400),
                    help,
                );
                None
            }
            Some(duration) => Some(duration),
            None => {
                self.error(code::CONFIG_VALUE, span, format!("`{text}` is no length of time"), help);
                None
            }
        }
    }

    /// What to say about a name that does not exist.
    fn unknown(&mut self, span: Span, what: &str, name: &str, kind: &str, names: &[&str]) {
        let help = if self.report.is_long() { String::new() } else { suggest::unknown(name, kind, names) };
        self.error(code::CONFIG_REFERENCE, span, format!("there is no {what} `{name}`"), help);
    }
}
