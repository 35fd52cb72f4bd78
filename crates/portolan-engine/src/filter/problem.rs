//! What is wrong with a filter, in words, and the property that was probably meant.

use portolan_model::ValueType;
use std::{fmt, ops::Range};

/// Longest name for which suggestions are worked out, in characters: the work grows with its square.
const SUGGESTED_MAX: usize = 120;

/// How bad a problem is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// The filter means something, but not what its author hopes.
    Warning,
    /// The filter cannot be used.
    Error,
}

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterProblem {
    /// How bad it is.
    pub level: Level,
    /// Its place in the text, in bytes, on character boundaries.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for FilterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {}): {}", self.message, self.span.start, self.help)
    }
}

/// A type in words.
pub(super) fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "text",
        ValueType::Boolean => "true or false",
        ValueType::SByte => "a whole number from -128 to 127",
        ValueType::Byte => "a whole number from 0 to 255",
        ValueType::Int16 => "a whole number from -32768 to 32767",
        ValueType::UInt16 => "a whole number from 0 to 65535",
        ValueType::Int32 => "a whole number from -2147483648 to 2147483647",
        ValueType::UInt32 => "a whole number from 0 to 4294967295",
        ValueType::Decimal => "a decimal number",
        ValueType::Single | ValueType::Double => "a floating-point number",
        ValueType::DateTime => "a date-time",
    }
}

/// How values of a type are written.
pub(super) fn example(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "write text in quotes, for example \"DE\"",
        ValueType::Boolean => "write true or false",
        ValueType::SByte | ValueType::Byte | ValueType::Int16 | ValueType::UInt16 | ValueType::Int32 | ValueType::UInt32 => {
            "write digits only, for example 100"
        }
        ValueType::Decimal => "write digits with a point, for example 1000.50",
        ValueType::Single | ValueType::Double => "write for example 1000.5 or 1e3",
        ValueType::DateTime => "write for example \"2026-05-04T12:00:00Z\" or \"2026-05-04\"",
    }
}

/// The known name that was probably meant: the same but for case, the same without its alias, or one
/// that a few typing mistakes away.
pub(super) fn nearest<'k, S: AsRef<str>>(word: &str, known: &'k [S]) -> Option<&'k str> {
    if word.chars().count() > SUGGESTED_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 4).max(1);
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let without_alias = name.rsplit(['.', '}']).next().unwrap_or(&name);
        if name == word || without_alias == word { 0 } else { edits(&word, &name) }
    };
    let near = known.iter().map(AsRef::as_ref).filter(|name| name.chars().count() <= SUGGESTED_MAX);
    near.map(|name| (distance(name), name)).filter(|(edits, _)| *edits <= allowed).min().map(|(_, name)| name)
}

/// Insertions, removals and replacements that turn one text into the other.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
