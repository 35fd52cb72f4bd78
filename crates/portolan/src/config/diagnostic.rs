//! What is wrong with a configuration, as data: a code with a page, words, the places it concerns and
//! what to do. Printing it is [`super::render`]'s work.

use super::source::{Sources, Span};
use portolan_model::Code;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A mistake: the application does not run.
    Error,
    /// Worth a look: the application runs.
    Warning,
}

/// A place that belongs to a mistake, with words to put beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A few words; may be empty.
    pub text: String,
}

/// One mistake or warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Error code with a page.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence. Never holds a secret.
    pub message: String,
    /// Where; the first is the mistake itself, the others explain it.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: visible(&message.into()),
            labels: vec![Label { span, text: String::new() }],
            help: None,
        }
    }

    /// A warning at a place.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Words beside the place itself.
    #[must_use]
    pub fn at(mut self, text: impl Into<String>) -> Self {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    /// A further place.
    #[must_use]
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// What to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    /// What to do, if there is something to say.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help =
            help.filter(|help| !help.is_empty()).map(|help| help.split('\n').map(visible).collect::<Vec<_>>().join("\n")).or(self.help);
        self
    }

    /// The place of the mistake.
    #[must_use]
    pub fn span(&self) -> Span {
        self.labels.first().map(|label| label.span).unwrap_or_default()
    }
}

/// Text with control characters written out: names from files must not steer the terminal.
fn visible(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Everything found, and the text it was found in.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Source files.
    pub sources: Sources,
    /// Mistakes and warnings; in order of file and place once [`Report::finish`] was called.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there were than are kept.
    pub left_out: usize,
}

/// Most mistakes and warnings kept.
const MAX_KEPT: usize = 1000;
/// From this many on, nobody looks for the nearest name any more.
const MANY: usize = 200;

impl Report {
    /// Whether so much is wrong that suggestions are not worth their time.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.diagnostics.len() > MANY
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether there is a mistake (a warning is none).
    #[must_use]
    pub fn failed(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|one| one.severity == severity).count()
    }

    /// Puts them in order of file and place and removes repetitions (an alias shows its anchor's
    /// mistakes again).
    pub fn finish(&mut self) {
        self.diagnostics.sort_by(|a, b| (a.span(), a.severity, a.code.id, &a.message).cmp(&(b.span(), b.severity, b.code.id, &b.message)));
        self.diagnostics.dedup();
        // Mistakes before warnings when there is no room for both.
        if self.diagnostics.len() > MAX_KEPT {
            self.left_out = self.diagnostics.len() - MAX_KEPT;
            self.diagnostics.sort_by_key(|one| one.severity);
            self.diagnostics.truncate(MAX_KEPT);
            self.diagnostics.sort_by_key(Diagnostic::span);
        }
    }
}
