//! Annotated XML schemas: what a folder of XSD files says about documents, envelopes, promoted and
//! distinguished fields, and the properties filters may name (manual pages "Promoting Properties",
//! "Envelope Schemas", "Property Schemas").
//!
//! **Must never** fetch anything, follow a path out of the folder, or stop at the first mistake: every
//! file is read and every problem reported. Validation of documents is not done here.

mod annotations;
mod content;
mod documents;
mod files;
mod index;
mod properties;
mod tree;

use portolan_sdk::Schemas;
use std::path::{Path, PathBuf};

/// A mistake in a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaProblem {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 when the problem is with the file as a whole.
    pub line: u64,
    /// Column in characters, from 1; 0 as above.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Only a warning: the schema can be used all the same.
    pub warning: bool,
}

/// Reads every XSD file of a folder and its sub-folders, in order of path. The system properties
/// (`BTS.ReceivePortName`, ...) are among the properties of the result. A folder that does not exist has
/// no schemas.
#[must_use]
pub fn load_schemas(folder: &Path) -> (Schemas, Vec<SchemaProblem>) {
    let mut problems = Problems::default();
    let trees = files::read_all(folder, &mut problems);
    let index = index::Index::build(&trees, &mut problems);
    let mut schemas = Schemas::default();
    let known = properties::load(&trees, &index, &mut schemas, &mut problems);
    documents::load(&trees, &index, &known, &mut schemas, &mut problems);
    problems.0.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    (schemas, problems.0)
}

/// Problems found so far.
#[derive(Default)]
struct Problems(Vec<SchemaProblem>);

impl Problems {
    fn error(&mut self, tree: &tree::Tree, node: usize, message: impl Into<String>, help: impl Into<String>) {
        self.at(tree, node, message.into(), help.into(), false);
    }

    fn warning(&mut self, tree: &tree::Tree, node: usize, message: impl Into<String>, help: impl Into<String>) {
        self.at(tree, node, message.into(), help.into(), true);
    }

    fn at(&mut self, tree: &tree::Tree, node: usize, message: String, help: String, warning: bool) {
        let (line, column) = tree.place(node);
        self.0.push(SchemaProblem { file: tree.path.clone(), line, column, message, help: Some(help), warning });
    }

    fn file(&mut self, file: &Path, message: impl Into<String>, help: Option<&str>, warning: bool) {
        let (file, message, help) = (file.to_owned(), message.into(), help.map(str::to_owned));
        self.0.push(SchemaProblem { file, line: 0, column: 0, message, help, warning });
    }
}
