//! Configuration: an application folder is read, checked and turned into the artifacts of a running
//! application. [`load`] reports every mistake at once, each with its file, line and column.
//!
//! The way: text → [`yaml`] tree → bindings [`merge`]d → [`variables`] replaced → [`shape`] checked
//! against the [`schema`] → [`mod@format`] structs → [`resolve`]d into artifacts. Each step works on what
//! the step before left sound.
//!
//! **Invariant:** with a mistake there is no application; a warning never prevents one.

pub mod diagnostic;
pub mod format;
mod locate;
mod mask;
mod merge;
pub mod reload;
pub mod render;
mod resolve;
pub mod schema;
mod secrets;
pub mod shape;
pub mod source;
pub mod suggest;
mod variables;
pub mod yaml;

use diagnostic::{Diagnostic, Report};
use format::ApplicationFile;
use portolan_model::{artifact::Application, code};
use portolan_sdk::{Registry, Schemas};
use serde::Deserialize;
use source::Span;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use yaml::{Node, Yaml};

/// Name of the main file of an application folder.
pub const APPLICATION_FILE: &str = "application.yaml";
/// Where the management API listens unless told otherwise, or if it is taken, anywhere else on loopback.
pub const MANAGEMENT_PORT: u16 = 4180;
/// Largest configuration file, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What [`load`] found.
pub struct Loaded {
    /// The application; `None` when there is a mistake.
    pub application: Option<Application>,
    /// Its schemas.
    pub schemas: Arc<Schemas>,
    /// Settings of the process.
    pub server: Server,
    /// Environments that the folder has bindings for, by name.
    pub environments: Vec<String>,
    /// Mistakes and warnings, and the sources they are in.
    pub report: Report,
}

/// Settings of the process that runs the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Where the management API listens.
    pub management_address: std::net::SocketAddr,
    /// Folder of the MessageBox, absolute if the application folder is.
    pub data_folder: PathBuf,
    /// How long a stopping server lets work under way finish.
    pub stop_timeout: Duration,
}

/// Reads and checks the application in `folder`, with the bindings of `environment` if one is given.
/// Secrets in the result are resolved; it must not be shown.
#[must_use]
pub fn load(folder: &Path, environment: Option<&str>, registry: &Registry) -> Loaded {
    let mut report = Report::default();
    let environments = environments(folder);
    let tree = read_tree(&mut report, folder, environment, &environments, registry);
    let (schemas, application, server) = match tree {
        Some(tree) => {
            let file: ApplicationFile = match ApplicationFile::deserialize(tree.json()) {
                Ok(file) => file,
                Err(error) => {
                    report.push(Diagnostic::error(code::CONFIG_SHAPE, tree.span, error.to_string()));
                    ApplicationFile::default()
                }
            };
            resolve::application(&mut report, folder, registry, &tree, &file)
        }
        None => (Arc::default(), Application::default(), resolve::default_server(folder)),
    };
    report.finish();
    let application = (!report.failed()).then_some(application);
    Loaded { application, schemas, server, environments, report }
}

/// The application's tree: merged, variables replaced, without its structurally wrong parts.
fn read_tree(report: &mut Report, folder: &Path, environment: Option<&str>, environments: &[String], registry: &Registry) -> Option<Node> {
    let application = read_file(report, folder, APPLICATION_FILE);
    let bindings = environment.and_then(|name| read_bindings(report, folder, name, environments));
    let mut tree = application?;
    if !matches!(tree.value, Yaml::Map(_) | Yaml::Null) {
        report.push(Diagnostic::error(
            code::CONFIG_SHAPE,
            tree.span,
            format!("an application is a group of keys, not {}", tree.describe()),
        ));
        return None;
    }
    if matches!(tree.value, Yaml::Null) {
        tree.value = Yaml::Map(Vec::new());
    }
    if let Some(bindings) = bindings {
        let specs: Vec<_> = registry.adapters().map(|adapter| adapter.spec().name).collect();
        merge::merge(report, &mut tree, &bindings, &specs);
    }
    variables::replace(report, &mut tree);
    check_shape(report, &schema::skeleton(registry), tree, "the application")
}

fn read_bindings(report: &mut Report, folder: &Path, environment: &str, environments: &[String]) -> Option<Node> {
    if !environments.iter().any(|known| known == environment) {
        let names: Vec<&str> = environments.iter().map(String::as_str).collect();
        let file = report.sources.find(APPLICATION_FILE).unwrap_or_default();
        let mistake = Diagnostic::error(code::CONFIG_REFERENCE, Span::file(file), format!("there is no environment `{environment}`"));
        let help = suggest::unknown(environment, "environments", &names);
        report.push(mistake.at("").help(format!("{help}\nan environment is a file bindings/<environment>.yaml")));
        return None;
    }
    let tree = read_file(report, folder, &format!("bindings/{environment}.yaml"))?;
    if matches!(tree.value, Yaml::Null) {
        return None;
    }
    check_shape(report, &schema::bindings(), tree, "the bindings")
}

/// Checks a tree and moves what was found into the report.
fn check_shape(report: &mut Report, schema: &serde_json::Value, node: Node, what: &str) -> Option<Node> {
    let checked = shape::check(schema, node, what);
    report.diagnostics.extend(checked.diagnostics);
    checked.masked.into_iter().for_each(|span| report.sources.mask(span));
    checked.node
}

fn read_file(report: &mut Report, folder: &Path, name: &str) -> Option<Node> {
    let path = folder.join(name);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(error) => {
            let file = report.sources.add(name, String::new());
            let yml = path.with_extension("yml");
            let help = match error.kind() {
                io::ErrorKind::NotFound if yml.is_file() => {
                    format!("it is named {} here: rename it to {APPLICATION_FILE}", yml.file_name().unwrap_or_default().display())
                }
                io::ErrorKind::NotFound => {
                    format!("an application is a folder with a file {APPLICATION_FILE}; `portolan new FOLDER` makes one")
                }
                _ => "make the file readable, as UTF-8 text of at most 4 MiB".to_owned(),
            };
            report.push(
                Diagnostic::error(code::CONFIG_SYNTAX, Span::file(file), format!("the file cannot be read: {error}")).at("").help(help),
            );
            return None;
        }
    };
    let file = report.sources.add(name, text);
    yaml::parse(report, file)
}

fn read_text(path: &Path) -> io::Result<String> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        // Reading a pipe would wait for ever.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    if about.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    let bytes = fs::read(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(io::ErrorKind::InvalidData, format!("it is not UTF-8 text (byte {at})"))
    })
}

/// Names of the environments a folder has bindings for, in order.
#[must_use]
pub fn environments(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("bindings")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}
