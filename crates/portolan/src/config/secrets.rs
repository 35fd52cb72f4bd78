//! Secrets: `{ env: NAME }` and `{ file: PATH }` become the value they stand for; a literal is used
//! as it is, with a warning.
//!
//! **Invariant:** a value never appears in a message, and its text in a source file is masked.

use super::{
    diagnostic::{Diagnostic, Report},
    yaml::{Node, Secrecy, Text, Yaml},
};
use portolan_model::code;
use saphyr_parser::ScalarStyle;
use std::{fs, path::Path};

/// Largest secret file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Resolves every node that [`super::shape`] marked. `folder` is where relative paths start.
pub fn resolve(report: &mut Report, node: &mut Node, folder: &Path) {
    if node.secret == Secrecy::Public {
        match &mut node.value {
            Yaml::List(items) => items.iter_mut().for_each(|item| resolve(report, item, folder)),
            Yaml::Map(entries) => entries.iter_mut().for_each(|entry| resolve(report, &mut entry.value, folder)),
            _ => {}
        }
        return;
    }
    let found = match &node.value {
        Yaml::Text(text) => {
            report.sources.mask(node.span);
            text.variables.iter().for_each(|variable| report.sources.mask(*variable));
            if !text.value.is_empty() && node.secret == Secrecy::Secret {
                let warning = Diagnostic::warning(code::CONFIG_SECRET, node.span, "a secret stands in the configuration in clear text")
                    .at("readable by everyone who can read this file");
                report.push(
                    warning.help("keep it elsewhere: `{ env: NAME }` takes it from an environment variable, `{ file: PATH }` from a file"),
                );
            }
            return;
        }
        _ => match (node.get("env").and_then(Node::text), node.get("file").and_then(Node::text)) {
            (Some(name), _) => from_environment(name),
            (None, Some(path)) => from_file(&folder.join(path)),
            (None, None) => return,
        },
    };
    let value = found.unwrap_or_else(|(message, help)| {
        report.push(Diagnostic::error(code::CONFIG_SECRET, node.span, message).help(help));
        String::new()
    });
    node.value = Yaml::Text(Text::new(value, ScalarStyle::SingleQuoted));
}

type Problem = (String, String);

fn from_environment(name: &str) -> Result<String, Problem> {
    std::env::var(name).map_err(|error| match error {
        std::env::VarError::NotPresent => (
            format!("the environment variable `{name}` is not set"),
            format!("set it before starting Portolan, for example `export {name}=…`"),
        ),
        std::env::VarError::NotUnicode(_) => (format!("the environment variable `{name}` is not valid UTF-8"), "set it again".to_owned()),
    })
}

fn from_file(path: &Path) -> Result<String, Problem> {
    let shown = path.display();
    let cannot = |why: String| {
        (
            format!("the secret file {shown} cannot be read: {why}"),
            "create the file, and make it readable by the user that runs Portolan".to_owned(),
        )
    };
    let length = fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if !length.is_file() || length.len() > MAX_FILE {
        return Err(cannot("it is not a file of at most 64 KiB".to_owned()));
    }
    let text = fs::read(path).map_err(|error| cannot(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|_| cannot("it is not valid UTF-8".to_owned()))?;
    Ok(text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(&text).to_owned())
}
