//! Splits the text of a filter into tokens. Never fails: what it does not understand becomes a
//! token that says so, and the parser reports it with its place.

use std::ops::Range;

/// A token with its place in the text (bytes).
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Token<'t> {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind<'t>,
}

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind<'t> {
    /// A name, keyword, number or anything else without quotes; `{namespace}name` is one word.
    Word(&'t str),
    /// A string literal, escapes resolved.
    Text(String),
    /// A run of `=`, `!`, `<`, `>`, `&`, `|`: an operator, or a mistaken one.
    Operator(&'t str),
    /// `(` or `)`.
    Parenthesis,
    /// Something wrong in itself: what and what to do.
    Wrong(&'static str, &'static str),
}

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, kind) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '"' | '\'' => literal(rest, c),
            '(' | ')' => (1, Kind::Parenthesis),
            '{' => qualified(rest),
            c if is_operator(c) => {
                let length = run(rest, is_operator);
                (length, Kind::Operator(&rest[..length]))
            }
            _ => {
                let length = run(rest, is_word);
                (length, Kind::Word(&rest[..length]))
            }
        };
        tokens.push(Token { span: at..at + length, kind });
        at += length;
    }
    tokens
}

fn is_operator(c: char) -> bool {
    matches!(c, '=' | '!' | '<' | '>' | '&' | '|' | '≠' | '≤' | '≥')
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !is_operator(c) && !matches!(c, '(' | ')' | '"' | '\'')
}

/// Length in bytes of the run of characters at the start that `belongs`.
fn run(text: &str, belongs: fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// `{namespace}name`. A namespace may hold any character but `}`.
fn qualified(text: &str) -> (usize, Kind<'_>) {
    match text.find('}') {
        None => (text.len(), Kind::Wrong("the namespace has no closing brace", "write {namespace}name, for example {urn:orders}Country")),
        Some(close) => {
            let length = close + 1 + run(&text[close + 1..], is_word);
            (length, Kind::Word(&text[..length]))
        }
    }
}

/// A string literal in `quote`s, with backslash escapes.
fn literal(text: &str, quote: char) -> (usize, Kind<'_>) {
    let mut value = String::new();
    let mut wrong = None;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return (at + 1, wrong.unwrap_or(Kind::Text(value)));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next().map(|(_, c)| c) {
            Some(c @ ('"' | '\'' | '\\')) => value.push(c),
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some('u') => match code_point(&mut chars) {
                Some(c) => value.push(c),
                None => {
                    wrong = Some(Kind::Wrong(
                        "an escape \\u{…} names no character",
                        "write the hexadecimal code point in braces, for example \\u{e9}",
                    ))
                }
            },
            _ => {
                wrong = Some(Kind::Wrong(
                    "a backslash begins an escape that does not exist",
                    "write \\\\ for a backslash; there are also \\\" \\' \\n \\r \\t \\u{…}",
                ))
            }
        }
    }
    (text.len(), Kind::Wrong("the text has no closing quote", "end it with the quote it began with"))
}

/// The `{hex}` of an escape. Reads no further than it must, so that a closing quote is never lost.
fn code_point(chars: &mut (impl Iterator<Item = (usize, char)> + Clone)) -> Option<char> {
    let mut ahead = chars.clone();
    if ahead.next()?.1 != '{' {
        return None;
    }
    let mut number = 0_u32;
    for digits in 0..=6 {
        match ahead.next()?.1 {
            '}' if digits > 0 => {
                *chars = ahead;
                return char::from_u32(number);
            }
            digit => number = number * 16 + digit.to_digit(16).filter(|_| digits < 6)?,
        }
    }
    None
}
