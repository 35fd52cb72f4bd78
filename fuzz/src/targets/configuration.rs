//! Configuration: a whole application file through loading, checking and printing. Promises: no panic; an
//! application that is refused comes with a mistake that has a code, words and a place; mistakes can be
//! printed.

use crate::campaign::Target;
use portolan::config::{self, diagnostic::Severity, render};
use portolan_sdk::Registry;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The target.
pub const TARGET: Target = Target { name: "configuration", run, words: WORDS, longest: 8 << 10, short: 1_000 };

const WORDS: &[&str] = &[
    "application: ",
    "receive_ports:\n",
    "send_ports:\n",
    "send_port_groups:\n",
    "pipelines:\n",
    "server:\n",
    "variables:\n",
    "locations:\n",
    "  - name: ",
    "    ",
    "file: ",
    "http: ",
    "folder: ",
    "url: ",
    "mask: ",
    "filter: ",
    "pipeline: ",
    "XMLReceive",
    "schedule: ",
    "retry: ",
    "backup: ",
    "members: ",
    "state: stopped",
    "BTS.MessageType == \"x\"",
    "${a}",
    "${",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "? ",
    "- ",
    ": ",
    "\n",
    "|\n",
    ">\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "~",
    "null",
    "true",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\u{feff}",
    "5m",
    "08:00",
    "Europe/Berlin",
    "2026-01-05",
];

fn run(bytes: &[u8]) {
    static FOLDER: OnceLock<Folder> = OnceLock::new();
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let folder = FOLDER.get_or_init(Folder::new);
    fs::write(folder.0.join(config::APPLICATION_FILE), bytes).expect("the temporary folder takes files");
    let loaded = config::load(&folder.0, None, REGISTRY.get_or_init(portolan::registry));
    let report = &loaded.report;
    assert_eq!(loaded.application.is_some(), report.count(Severity::Error) == 0, "an application if and only if there is no mistake");
    for diagnostic in &report.diagnostics {
        assert!(!diagnostic.message.is_empty() && !diagnostic.labels.is_empty(), "{}: without words or place", diagnostic.code);
        for label in &diagnostic.labels {
            let source = report.sources.get(label.span.file).expect("a place in a file that was read");
            assert!(
                label.span.start <= label.span.end && label.span.end <= source.text().len(),
                "place {:?} of {}",
                label.span,
                source.text().len()
            );
        }
    }
    drop(render::human(report, "", render::Style::Plain));
    drop(render::json(report));
}

/// A temporary folder, different for each process.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("portolan-fuzz-application-{}", std::process::id()));
        fs::create_dir_all(Path::new(&path)).expect("a temporary folder can be made");
        Self(path)
    }
}
