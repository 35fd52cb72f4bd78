//! `portolan explain`, `schema` and `example`: reference at hand, without a network.

use super::output::Output;
use crate::{docs, explain};
use clap::{Args, Subcommand};

/// Explain an error code; without one, list them all.
#[derive(Args, Debug)]
pub struct Explain {
    /// Code such as PTL0102, its digits, or the status code of the reference product (0xC0C01680).
    code: Option<String>,
}

/// Print the JSON Schema of application.yaml for editors.
#[derive(Args, Debug)]
#[command(after_help = "Write it beside application.yaml and name it in the first line:\n\n  \
    portolan schema > application.schema.json\n  # yaml-language-server: $schema=application.schema.json\n\n\
    Editors with a YAML language server then complete and check while you type.")]
pub struct Schema {
    /// Print the schema of `bindings/<environment>.yaml` instead.
    #[arg(long)]
    bindings: bool,
}

/// Show what to write.
#[derive(Subcommand, Debug)]
pub enum Example {
    /// Every setting of an adapter, with its explanation.
    Adapter {
        /// Name of the adapter, for example `file`.
        name: String,
        /// For a send port instead of a receive location.
        #[arg(long)]
        send: bool,
    },
}

impl Explain {
    /// Prints the page, or the list.
    pub fn run(&self, output: &mut Output) -> Result<(), String> {
        match &self.code {
            Some(code) => output.text(&explain::page(explain::find(code)?, output.style)),
            None => output.text(&explain::list(output.style)),
        }
        Ok(())
    }
}

impl Schema {
    /// Prints the schema.
    pub fn run(&self, output: &mut Output) -> Result<(), String> {
        if self.bindings {
            output.json(&crate::config::schema::bindings());
        } else {
            output.text(&docs::application_schema(&crate::registry()));
        }
        Ok(())
    }
}

impl Example {
    /// Prints the example.
    pub fn run(&self, output: &mut Output) -> Result<(), String> {
        let Self::Adapter { name, send } = self;
        let registry = crate::registry();
        let Some(text) = docs::example(&registry, name, *send) else {
            let names: Vec<&str> = registry.adapters().map(|adapter| adapter.spec().name).collect();
            if names.contains(&name.as_str()) {
                let direction = if *send { "send" } else { "receive" };
                return Err(format!("the adapter `{name}` does not {direction}"));
            }
            return Err(format!("there is no adapter `{name}`: {}", crate::config::suggest::unknown(name, "adapters", &names)));
        };
        output.text(&text);
        Ok(())
    }
}
