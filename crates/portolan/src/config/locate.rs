//! Where a stretch of a text's value stands in the file: quotes, escapes, folded lines, indentation
//! and variables lie between the two.

use super::{
    source::{Source, Span},
    yaml::{Node, Text, Yaml},
};
use saphyr_parser::ScalarStyle;
use std::ops::Range;

/// The place of bytes `range` of the value of text `node`; the whole node when it cannot be told.
#[must_use]
pub fn within(source: &Source, node: &Node, range: Range<usize>) -> Span {
    let Yaml::Text(text) = &node.value else { return node.span };
    let Some(written) = source.text().get(node.span.start..node.span.end) else { return node.span };
    let raw = text.raw.as_ref().unwrap_or(&text.value);
    let start = before_variables(text, range.start, false);
    let end = before_variables(text, range.end.max(range.start), true).max(start);
    match (align(written, text.style, raw, start), align_end(written, text.style, raw, start, end)) {
        (Some(start), Some(end)) => Span { file: node.span.file, start: node.span.start + start, end: node.span.start + end.max(start) },
        _ => node.span,
    }
}

/// An offset in the value, as an offset in the text before variables were replaced. Inside of what a
/// variable gave, it is the start or the end of the variable.
fn before_variables(text: &Text, offset: usize, end: bool) -> usize {
    let mut shifted = offset;
    for (new_start, new_end, old_start, old_end) in &text.replaced {
        if offset >= *new_end && !(end && offset == *new_start) {
            shifted = offset - new_end + old_end;
        } else if offset > *new_start || !end && offset == *new_start {
            return if end { *old_end } else { *old_start };
        } else {
            break;
        }
    }
    shifted
}

/// The end of a stretch is one past its last character, not the start of the next: those may be on
/// different lines.
fn align_end(written: &str, style: ScalarStyle, raw: &str, start: usize, end: usize) -> Option<usize> {
    let Some((last, character)) = raw.get(start..end)?.char_indices().next_back() else { return align(written, style, raw, end) };
    let at = align(written, style, raw, start + last)?;
    Some(at + spelling(written, style, at, character)?)
}

/// The offset in the written form of the character at `offset` of the value.
fn align(written: &str, style: ScalarStyle, raw: &str, offset: usize) -> Option<usize> {
    let mut at = match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        // The span of a block begins with its first line of text.
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => 0,
    };
    for (value_at, character) in raw.char_indices() {
        if !character.is_whitespace() {
            at = visible(written, style, at)?;
        }
        if value_at >= offset {
            return Some(at);
        }
        if character.is_whitespace() && !written.get(at..)?.starts_with([character, '\n', '\r', '\\']) {
            // A line break that was folded away: found again at the next visible character.
            continue;
        }
        at += spelling(written, style, at, character)?;
    }
    Some(at.min(written.len()))
}

/// The next visible character at or after `at`.
fn visible(written: &str, style: ScalarStyle, mut at: usize) -> Option<usize> {
    loop {
        let rest = written.get(at..)?;
        at += rest.len() - rest.trim_start().len();
        let rest = written.get(at..)?;
        // A backslash at the end of a line joins it with the next.
        if style == ScalarStyle::DoubleQuoted && (rest.starts_with("\\\n") || rest.starts_with("\\\r\n")) {
            at += 1;
        } else {
            return Some(at);
        }
    }
}

/// How many bytes `character` takes in the written form at `at`; `None` when something else is there.
fn spelling(written: &str, style: ScalarStyle, at: usize, character: char) -> Option<usize> {
    let rest = written.get(at..)?;
    let first = rest.chars().next()?;
    if style == ScalarStyle::SingleQuoted && rest.starts_with("''") {
        return Some(2);
    }
    if style == ScalarStyle::DoubleQuoted && first == '\\' {
        let escape = rest.chars().nth(1)?;
        return Some(match escape {
            'x' => 4,
            'u' => 6,
            'U' => 10,
            _ => 1 + escape.len_utf8(),
        });
    }
    (first == character || first.is_whitespace() && character.is_whitespace()).then(|| first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{diagnostic::Report, variables, yaml},
        *,
    };

    /// The written form of `word` in the value of key `f`.
    fn find(yaml: &str, word: &str) -> (String, usize) {
        let mut report = Report::default();
        let file = report.sources.add("a", yaml.to_owned());
        let mut tree = yaml::parse(&mut report, file).unwrap();
        variables::replace(&mut report, &mut tree);
        let node = tree.get("f").unwrap();
        let value = node.text().unwrap();
        let start = value.find(word).unwrap_or_else(|| panic!("{word:?} not in {value:?}"));
        let source = report.sources.get(file).unwrap();
        let span = within(source, node, start..start + word.len());
        (source.text()[span.start..span.end].to_owned(), source.position(span.start).line)
    }

    #[test]
    fn a_word_is_found_in_every_style() {
        assert_eq!(find("f: a.b == 1 and cc.d", "cc.d"), ("cc.d".to_owned(), 1));
        assert_eq!(find("f: a.b == 1\n  and\n\n  cc.d", "cc.d"), ("cc.d".to_owned(), 4));
        assert_eq!(find("f: 'it''s == cc.d'", "cc.d"), ("cc.d".to_owned(), 1));
        assert_eq!(find("f: 'it''s == cc.d'", "it's"), ("it''s".to_owned(), 1));
        assert_eq!(find("f: \"ä \\\"x\\\" \\u00e4 cc.d \\\\\"", "cc.d"), ("cc.d".to_owned(), 1));
        assert_eq!(find("f: \"a\n  b \\\n  cc.d\"", "cc.d"), ("cc.d".to_owned(), 3));
        assert_eq!(find("f: |\n  a == 1\n  and cc.d\n", "cc.d"), ("cc.d".to_owned(), 3));
        assert_eq!(find("f: >-\n  a == 1\n\n  and\n    cc.d\n  or e\n", "cc.d"), ("cc.d".to_owned(), 5));
        assert_eq!(find("f: >\n  a == 1\n  and ä.ö\n  or e\n", "ä.ö\nor".split('\n').next().unwrap()), ("ä.ö".to_owned(), 3));
    }

    #[test]
    fn a_word_is_found_behind_and_inside_variables() {
        let head = "variables: {v: looong, w: ''}\n";
        assert_eq!(find(&format!("{head}f: x ${{v}} and ${{w}}cc.d ${{v}}"), "cc.d"), ("cc.d".to_owned(), 2));
        assert_eq!(find(&format!("{head}f: x ${{v}} and"), "ooo"), ("${v}".to_owned(), 2));
        assert_eq!(find(&format!("{head}f: ${{v}}"), "ooo"), ("${v}".to_owned(), 2));
        assert_eq!(find(&format!("{head}f: \"x $${{v}} and cc.d\""), "cc.d"), ("cc.d".to_owned(), 2));
    }
}
