//! `portolan check`: every mistake of an application folder at once.

use super::output::Output;
use crate::config::{self, Loaded, render};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check an application folder and report every mistake at once.
#[derive(Args, Debug)]
pub struct Check {
    /// Application folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Lay `bindings/<ENVIRONMENT>.yaml` over the application.
    #[arg(short, long, env = "PORTOLAN_ENVIRONMENT")]
    environment: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Whether there is no mistake.
    pub fn run(&self, output: &mut Output) -> bool {
        let loaded = config::load(&self.folder, self.environment.as_deref(), &crate::registry());
        if self.json {
            output.json(&json!({
                "ok": !loaded.report.failed(),
                "folder": self.folder,
                "environment": self.environment,
                "environments": loaded.environments,
                "diagnostics": render::json(&loaded.report),
            }));
        } else {
            output.text(&render::human(&loaded.report, &prefix(&self.folder), output.style));
            output.line(&self.summary(&loaded));
        }
        !loaded.report.failed()
    }

    fn summary(&self, loaded: &Loaded) -> String {
        let mut text = format!("{}: {}", self.folder.display(), render::summary(&loaded.report));
        if let Some(application) = &loaded.application {
            let locations: usize = application.receive_ports.iter().map(|port| port.locations.len()).sum();
            let parts = [
                render::count(locations, "receive location"),
                render::count(application.send_ports.len(), "send port"),
                render::count(application.send_port_groups.len(), "send port group"),
            ];
            text.push_str(&format!("; {}", parts.join(", ")));
        }
        if self.environment.is_none() && !loaded.environments.is_empty() {
            text.push_str(&format!("\nchecked without bindings; --environment takes {}", loaded.environments.join(", ")));
        }
        text
    }
}

/// What to put before file names, so that they can be opened from where the command runs.
fn prefix(folder: &Path) -> String {
    if folder == Path::new(".") { String::new() } else { format!("{}/", folder.display().to_string().trim_end_matches('/')) }
}
