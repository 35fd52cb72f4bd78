//! `portolan new`: an application folder to start from. Never writes into a folder that holds anything.

use super::output::Output;
use crate::docs;
use clap::{Args, ValueEnum};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Make an application folder to start from.
#[derive(Args, Debug)]
pub struct New {
    /// Folder to make; must not exist or be empty. Its name becomes the name of the application.
    folder: PathBuf,
    /// What to put into it.
    #[arg(short, long, value_enum, default_value = "orders")]
    template: Template,
}

/// What a new application folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A small working application with schemas and sample messages: purchase orders from a folder,
    /// routed by content.
    Orders,
    /// Nothing but the frame.
    Empty,
}

macro_rules! template {
    ($folder:literal: $($from:literal => $to:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("../../templates/", $folder, "/", $from)))),*]
    };
}

impl Template {
    /// Paths with their content.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Orders => template!("orders":
                "application.yaml" => "application.yaml",
                "schemas/Orders.xsd" => "schemas/Orders.xsd",
                "schemas/PurchaseOrder.xsd" => "schemas/PurchaseOrder.xsd",
                "samples/order-germany.xml" => "samples/order-germany.xml",
                "samples/order-france-large.xml" => "samples/order-france-large.xml",
                "bindings/production.yaml" => "bindings/production.yaml",
                "gitignore" => ".gitignore",
                "README.md" => "README.md",
            ),
            Self::Empty => template!("empty": "application.yaml" => "application.yaml"),
        }
    }
}

impl New {
    /// Makes the folder.
    pub fn run(&self, output: &mut Output) -> Result<(), String> {
        create(&self.folder, self.template).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        output.line(&format!("made {}", self.folder.display()));
        for (path, _) in self.template.files() {
            output.line(&format!("  {path}"));
        }
        output.line(&format!("\nnext:\n  cd {}\n  portolan check\n  portolan run", self.folder.display()));
        Ok(())
    }
}

fn create(folder: &Path, template: Template) -> io::Result<()> {
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, "the folder is not empty; give another name"));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(folder)?,
        Err(error) => return Err(error),
    }
    let name =
        std::path::absolute(folder)?.file_name().map_or_else(|| "application".to_owned(), |name| name.to_string_lossy().trim().to_owned());
    let name: String = name.chars().filter(|c| !c.is_control()).take(256).collect();
    // JSON strings are YAML strings: a folder may be called `true` or `a: b`.
    let quoted = serde_json::to_string(&name)?;
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let plain = plain && !["true", "false", "null", "yes", "no", "on", "off"].contains(&name.to_lowercase().as_str());
    for (path, content) in template.files() {
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let shown = if plain || !path.ends_with(".yaml") { &name } else { &quoted };
        fs::write(target, content.replace("${APPLICATION}", shown))?;
    }
    fs::write(folder.join("application.schema.json"), docs::application_schema(&crate::registry()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn every_template_is_an_application_without_mistakes() {
        for template in [Template::Orders, Template::Empty] {
            for name in ["orders", "true", "a: b # c", "12"] {
                let folder = tempfile::tempdir().unwrap();
                let folder = folder.path().join(name);
                create(&folder, template).unwrap();
                let loaded = config::load(&folder, None, &crate::registry());
                assert_eq!(loaded.report.diagnostics, [], "{template:?}");
                assert_eq!(loaded.application.unwrap().name, name);
            }
        }
    }

    #[test]
    fn the_bindings_of_a_template_fit_it() {
        let folder = tempfile::tempdir().unwrap();
        create(&folder.path().join("orders"), Template::Orders).unwrap();
        let folder = folder.path().join("orders");
        for environment in config::environments(&folder) {
            let text = fs::read_to_string(folder.join(format!("bindings/{environment}.yaml"))).unwrap();
            // The folders of a real machine are not ours to make in a test.
            fs::write(folder.join(format!("bindings/{environment}.yaml")), text.replace("/srv/portolan", &folder.display().to_string()))
                .unwrap();
            let loaded = config::load(&folder, Some(&environment), &crate::registry());
            assert_eq!(loaded.report.diagnostics, [], "{environment}");
        }
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), "x").unwrap();
        assert!(create(folder.path(), Template::Orders).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
