//! Standard output: colours only on a terminal and only if nobody objects; a closed pipe is no failure.

use crate::config::render::Style;
use std::io::{self, IsTerminal, Write};

/// Where a command writes its result.
pub struct Output {
    writer: Box<dyn Write>,
    /// How to print for people.
    pub style: Style,
}

impl Output {
    /// The standard output of this process.
    #[must_use]
    pub fn stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let style = match (io::stdout().is_terminal(), refused) {
            (false, _) => Style::Plain,
            (true, true) => Style::Lines,
            (true, false) => Style::Colours,
        };
        Self { writer: Box::new(io::BufWriter::new(io::stdout().lock())), style }
    }

    /// Writes text.
    pub fn text(&mut self, text: &str) {
        // The reader may have gone (`portolan explain | head`): not our failure, and nobody to tell.
        let _ = self.writer.write_all(text.as_bytes());
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) {
        self.text(line);
        self.text("\n");
    }

    /// Writes JSON, indented.
    pub fn json(&mut self, value: &serde_json::Value) {
        self.line(&format!("{value:#}"));
    }

    /// Writes what is still buffered.
    pub fn finish(&mut self) {
        let _ = self.writer.flush();
    }
}
