//! Tables for people: plain text in columns, bold headings on a terminal.

use super::output::Output;
use crate::config::render::Style;
use comfy_table::{ContentArrangement, Table, presets};

/// Prints a table; says so when it is empty.
pub fn print(output: &mut Output, heads: &[&str], rows: Vec<Vec<String>>, nothing: &str) {
    if rows.is_empty() {
        output.line(nothing);
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for (at, line) in table.to_string().lines().enumerate() {
        let line = line.trim_end();
        match output.style {
            Style::Colours if at == 0 => output.line(&format!("\x1b[1m{line}\x1b[0m")),
            _ => output.line(line),
        }
    }
}

/// Text cut to one line of at most `max` characters.
#[must_use]
pub fn short(text: &str, max: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max { line } else { line.chars().take(max - 1).chain(['…']).collect() }
}
