//! Printing what [`super::load`] found: for people with the text and a caret under the mistake, for
//! programs as JSON.
//!
//! **Invariant:** source text is only ever taken from [`super::source::Source::shown`], where secrets
//! are masked.

use super::{
    diagnostic::{Diagnostic, Report, Severity},
    source::{Source, Span},
};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Most mistakes printed for people.
const MAX_SHOWN: usize = 100;
/// Longest line that is shown in an excerpt, in bytes.
const LONGEST_LINE: usize = 1000;

/// How to print for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// ASCII without colours: for files and pipes.
    Plain,
    /// Line drawing without colours.
    Lines,
    /// Line drawing with colours.
    Colours,
}

/// Everything found, for people. `prefix` goes before file names, so that a terminal can open them.
#[must_use]
pub fn human(report: &Report, prefix: &str, style: Style) -> String {
    let theme = match style {
        Style::Plain => GraphicalTheme::none(),
        Style::Lines => GraphicalTheme::unicode_nocolor(),
        Style::Colours => GraphicalTheme::unicode(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false).with_context_lines(1);
    let mut text = String::new();
    let mut texts: BTreeMap<usize, Arc<String>> = BTreeMap::new();
    for diagnostic in report.diagnostics.iter().take(MAX_SHOWN) {
        let shown = Shown::new(report, diagnostic, prefix, &mut texts);
        // Writing to a string cannot fail; a mistake that cannot be drawn is still named.
        if handler.render_report(&mut text, &shown).is_err() {
            text.push_str(&format!("{}: {}\n", diagnostic.code, diagnostic.message));
        }
        text.push('\n');
    }
    let more = report.diagnostics.len().saturating_sub(MAX_SHOWN) + report.left_out;
    if more > 0 {
        text.push_str(&format!("… and {more} more\n\n"));
    }
    // miette pads lines with blanks.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// `no mistakes`, `1 mistake`, `2 mistakes`.
#[must_use]
pub fn count(number: usize, one: &str) -> String {
    match number {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// `2 mistakes, 1 warning`.
#[must_use]
pub fn summary(report: &Report) -> String {
    let warnings = report.count(Severity::Warning);
    let mut text = count(report.count(Severity::Error) + report.left_out, "mistake");
    if warnings > 0 {
        text.push_str(&format!(", {}", count(warnings, "warning")));
    }
    text
}

/// Everything found, for programs.
#[must_use]
pub fn json(report: &Report) -> Value {
    let place = |span: Span| -> Value {
        let Some(source) = report.sources.get(span.file) else { return json!({}) };
        let (start, end) = (source.position(span.start), source.position(span.end));
        json!({ "file": source.name, "line": start.line, "column": start.column, "end_line": end.line, "end_column": end.column })
    };
    let one = |diagnostic: &Diagnostic| -> Value {
        let mut value = json!({
            "code": diagnostic.code.id,
            "severity": diagnostic.severity,
            "message": diagnostic.message,
            "help": diagnostic.help,
        });
        if let (Some(object), Value::Object(place)) = (value.as_object_mut(), place(diagnostic.span())) {
            object.extend(place);
        }
        let related = diagnostic.labels.iter().skip(1).map(|label| {
            let mut value = place(label.span);
            if let Some(object) = value.as_object_mut() {
                object.insert("label".to_owned(), json!(label.text));
            }
            value
        });
        value["related"] = related.collect();
        value
    };
    Value::Array(report.diagnostics.iter().map(one).collect())
}

/// A diagnostic in the form that miette draws.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    message: String,
    source: Option<NamedSource<Arc<String>>>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
}

impl<'a> Shown<'a> {
    fn new(report: &Report, diagnostic: &'a Diagnostic, prefix: &str, texts: &mut BTreeMap<usize, Arc<String>>) -> Self {
        let file = diagnostic.span().file;
        let own = diagnostic.labels.iter().map(|label| label.span).filter(|span| span.file == file);
        let (from, to) = own.fold((usize::MAX, 0), |(from, to), span| (from.min(span.start), to.max(span.start)));
        let fits = |source: &&Source| !source.text().is_empty() && source.longest_line(from, to) <= LONGEST_LINE;
        let source = report.sources.get(file).filter(fits);
        let mut help = diagnostic.help.clone();
        let mut labels = Vec::new();
        for (at, label) in diagnostic.labels.iter().enumerate() {
            if label.span.file != file {
                if let Some(other) = report.sources.get(label.span.file) {
                    let place = other.position(label.span.start);
                    let line = format!("{}: {prefix}{}:{}:{}", label.text, other.name, place.line, place.column);
                    help = Some(help.map_or(line.clone(), |help| format!("{help}\n{line}")));
                }
                continue;
            }
            let span = SourceSpan::from((label.span.start, first_line(report, label.span)));
            let text = Some(label.text.clone()).filter(|text| !text.is_empty());
            labels.push(if at == 0 { LabeledSpan::new_primary_with_span(text, span) } else { LabeledSpan::new_with_span(text, span) });
        }
        // Without text to show, the message itself must name the file.
        let message = match (&source, report.sources.get(file)) {
            (None, Some(source)) if source.text().is_empty() => format!("{prefix}{}: {}", source.name, diagnostic.message),
            (None, Some(source)) => {
                let at = source.position(diagnostic.span().start);
                format!("{prefix}{}:{}:{}: {}", source.name, at.line, at.column, diagnostic.message)
            }
            _ => diagnostic.message.clone(),
        };
        let source = source.map(|source| {
            NamedSource::new(format!("{prefix}{}", source.name), texts.entry(file).or_insert_with(|| Arc::new(source.shown())).clone())
        });
        Self { diagnostic, message, source, labels, help }
    }
}

/// Length of a span within its first line: a caret under many lines helps nobody.
fn first_line(report: &Report, span: Span) -> usize {
    let text = report.sources.get(span.file).and_then(|source| source.text().get(span.start..span.end)).unwrap_or("");
    text.lines().next().unwrap_or("").trim_end().len()
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref().map(|_| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
