//! Source files and places in them. Every mistake points here: to a file, a line, a column, and the
//! text itself.
//!
//! **Invariant:** text that holds a secret is masked before anyone can print it (see [`Sources::mask`]).

use std::ops::Range;

/// A stretch of one source file, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file: its number in [`Sources`].
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The start of a file, for mistakes that concern it as a whole.
    #[must_use]
    pub fn file(file: usize) -> Self {
        Self { file, start: 0, end: 0 }
    }

    /// Whether `other` lies within.
    #[must_use]
    pub fn contains(&self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// A source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path relative to the application folder, with `/`.
    pub name: String,
    /// Its text.
    text: String,
    /// Byte offsets at which lines start.
    lines: Vec<usize>,
    masked: Vec<Range<usize>>,
    /// Whether a column is a byte, which spares counting characters.
    ascii: bool,
}

/// Line and column, both from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// All source files of an application.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file; gives its number.
    pub fn add(&mut self, name: impl Into<String>, text: String) -> usize {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let ascii = text.is_ascii();
        self.files.push(Source { name: name.into(), text, lines, masked: Vec::new(), ascii });
        self.files.len() - 1
    }

    /// The file of a number.
    #[must_use]
    pub fn get(&self, file: usize) -> Option<&Source> {
        self.files.get(file)
    }

    /// The number of the file of a name, if it was added.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.files.iter().position(|source| source.name == name)
    }

    /// Hides a stretch of text from everything that shows source text.
    pub fn mask(&mut self, span: Span) {
        if let Some(source) = self.files.get_mut(span.file) {
            source.masked.push(span.start..span.end);
        }
    }
}

impl Source {
    /// The text as it was read. Not for display: it may hold secrets.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with secrets replaced by asterisks, and control characters (which could steer the
    /// terminal) by question marks; byte offsets stay the same.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut bytes = self.text.clone().into_bytes();
        for (at, character) in self.text.char_indices().filter(|(_, c)| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
            bytes[at..at + character.len_utf8()].fill(b'?');
        }
        for range in &self.masked {
            let end = range.end.min(bytes.len());
            for byte in bytes.iter_mut().take(end).skip(range.start).filter(|byte| !byte.is_ascii_whitespace()) {
                *byte = b'*';
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Length in bytes of the longest of the lines from that of `from` to that of `to`, and their
    /// neighbours: what an excerpt shows.
    #[must_use]
    pub fn longest_line(&self, from: usize, to: usize) -> usize {
        let first = self.lines.partition_point(|start| *start <= from).saturating_sub(2);
        let last = (self.lines.partition_point(|start| *start <= to) + 1).min(self.lines.len());
        let ends = self.lines.iter().skip(1).copied().chain([self.text.len()]);
        let lines = self.lines.iter().copied().zip(ends).take(last).skip(first);
        lines.map(|(start, end)| end - start).max().unwrap_or(0)
    }

    /// Line and column of a byte offset.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        if self.ascii {
            return Position { line, column: offset - start + 1 };
        }
        Position { line, column: self.text.get(start..offset).map_or(0, |text| text.chars().count()) + 1 }
    }

    /// Byte offset of a line and column, both from 1; the end of the line when it is shorter.
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let Some(start) = self.lines.get(line.saturating_sub(1)).copied() else { return self.text.len() };
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        if self.ascii {
            return (start + column.saturating_sub(1)).min(end);
        }
        let text = self.text.get(start..end).unwrap_or("");
        text.char_indices().nth(column.saturating_sub(1)).map_or(end, |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_positions_agree_beyond_ascii() {
        let mut sources = Sources::default();
        let file = sources.add("a", "äöü: x\nb: ß\n".to_owned());
        let source = sources.get(file).unwrap();
        for (line, column) in [(1, 1), (1, 4), (2, 1), (2, 4)] {
            let offset = source.offset(line, column);
            assert_eq!(source.position(offset), Position { line, column });
        }
        assert_eq!(source.position(10_000).line, 3);
        assert_eq!(source.offset(99, 1), source.text().len());
    }

    #[test]
    fn masked_text_is_not_shown_and_keeps_its_length() {
        let mut sources = Sources::default();
        let file = sources.add("a", "password: hünter2\n".to_owned());
        sources.mask(Span { file, start: 10, end: 18 });
        let source = sources.get(file).unwrap();
        assert_eq!(source.shown(), "password: ********\n");
        let file = sources.add("b", "a: \u{1b}[31m\u{9b}\n".to_owned());
        assert_eq!(sources.get(file).unwrap().shown(), "a: ?[31m??\n");
    }
}
