//! Text, references, CDATA sections, comments and processing instructions: in pieces, however long.

use super::{Outcome, Place, Reader, Token, text_of};
use crate::xml::{
    chars::{all_space, find_illegal, is_illegal_at, is_space, name_length, stops_text},
    error::XmlError,
    escape::{Reference, reference},
    tag::{BROKEN_REFERENCE, entity_message},
};
use portolan_model::code;

impl Reader {
    pub(super) fn reference(&mut self) -> Outcome {
        if self.place != Place::Content {
            return Err(self.syntax(self.start, "a reference outside of the root element"));
        }
        match reference(self.rest()) {
            Reference::Character(character, length) => {
                self.character = character;
                self.end = self.start + length;
                self.brackets = 0;
                self.count_text(character.len_utf8())?;
                Ok(Some(Token::Reference))
            }
            Reference::Incomplete if self.rest().len() > 1 << 16 => Err(self.syntax(self.start, BROKEN_REFERENCE)),
            Reference::Incomplete => self.more_or(BROKEN_REFERENCE),
            Reference::Entity(name) => Err(self.error(code::XML_DTD_REFUSED, self.start, entity_message(name))),
            Reference::Broken => Err(self.syntax(self.start, BROKEN_REFERENCE)),
        }
    }

    pub(super) fn text(&mut self) -> Outcome {
        let window = self.input.window();
        let mut at = self.start;
        let mut brackets = std::mem::take(&mut self.brackets);
        loop {
            if brackets >= 2 && window.get(at) == Some(&b'>') {
                return Err(self.syntax(at, "\"]]>\" in text: write ]]&gt;"));
            }
            at += window[at..].iter().position(|b| stops_text(*b)).unwrap_or(window.len() - at);
            match window.get(at) {
                Some(b']') => {
                    let run = window[at..].iter().position(|b| *b != b']').unwrap_or(window.len() - at);
                    brackets = if at == self.start { brackets + run } else { run };
                    at += run;
                    if at == window.len() {
                        self.brackets = brackets.min(2);
                    }
                }
                Some(0xEF) if !is_illegal_at(window, at) => {
                    at += 3;
                    brackets = 0;
                }
                Some(b'<' | b'&') | None => break,
                Some(_) => return Err(self.syntax(at, "a character that XML does not allow")),
            }
        }
        self.end = at;
        if self.place != Place::Content {
            let text = &window[self.start..at];
            if !all_space(text) {
                let from = self.start + text.iter().position(|b| !is_space(*b)).unwrap_or(0);
                return Err(self.syntax(
                    from,
                    if self.place == Place::Prolog {
                        "this is not XML: text before the root element"
                    } else {
                        "text after the root element"
                    },
                ));
            }
        } else {
            self.count_text(at - self.start)?;
        }
        self.content = self.start..at;
        Ok(Some(Token::Text))
    }

    fn count_text(&mut self, bytes: usize) -> Result<(), XmlError> {
        self.text_bytes += bytes as u64;
        match self.limits.text_bytes {
            Some(limit) if self.text_bytes > limit => {
                Err(self.limit(format!("an element has more than {limit} bytes of text (limit text_bytes)")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn unclosed(&self, kind: Token) -> XmlError {
        self.syntax(
            self.start,
            match kind {
                Token::Comment => "a comment has no end (\"-->\")",
                Token::CData => "a CDATA section has no end (\"]]>\")",
                _ => "a processing instruction has no end (\"?>\")",
            },
        )
    }

    /// A piece of a comment, CDATA section or processing instruction, of which `opening` bytes precede
    /// the content.
    pub(super) fn delimited(&mut self, kind: Token, opening: usize) -> Outcome {
        let terminator: &[u8] = match kind {
            Token::Comment => b"--",
            Token::CData => b"]]>",
            _ => b"?>",
        };
        let window = self.input.window();
        let from = self.start + opening;
        let found = find(&window[from..], terminator).map(|at| from + at);
        let (content_end, end) = match found {
            Some(at) if kind != Token::Comment => (at, Some(at + terminator.len())),
            Some(at) => match window.get(at + 2) {
                Some(b'>') => (at, Some(at + 3)),
                Some(_) => return Err(self.syntax(at, "\"--\" inside a comment")),
                None => (at, None),
            },
            None => (char_boundary(window, window.len().saturating_sub(terminator.len() - 1).max(from)), None),
        };
        if end.is_none() && content_end <= from {
            if self.more()? {
                return Ok(None);
            }
            return Err(self.unclosed(kind));
        }
        if let Some(at) = find_illegal(&window[from..content_end]) {
            return Err(self.syntax(from + at, "a character that XML does not allow"));
        }
        self.content = from..content_end;
        self.end = end.unwrap_or(content_end);
        self.inside = if end.is_some() { None } else { Some(kind) };
        self.brackets = 0;
        if kind == Token::CData {
            self.count_text(content_end - from)?;
        }
        Ok(Some(kind))
    }

    pub(super) fn instruction(&mut self) -> Outcome {
        let rest = self.rest();
        let target = name_length(&rest[2..]);
        if target > self.limits.name_bytes as usize {
            return Err(self.limit(format!("a name is longer than {} bytes (limit name_bytes)", self.limits.name_bytes)));
        }
        let name = &rest[2..2 + target];
        match rest.get(2 + target..) {
            None | Some([] | [b'?']) => return self.more_or("the text ends inside a processing instruction"),
            Some([b'?', b'>', ..]) => {}
            Some([byte, ..]) if is_space(*byte) => {}
            Some(_) => return Err(self.syntax(self.start, "a processing instruction has no proper name")),
        }
        if target == 0 || name.contains(&b':') {
            return Err(self.syntax(self.start, "a processing instruction has no proper name"));
        }
        if !name.eq_ignore_ascii_case(b"xml") {
            return self.delimited(Token::Instruction, 2);
        }
        if name != b"xml" || self.offset() != 0 {
            return Err(self.syntax(self.start, "an XML declaration that is not at the very start"));
        }
        let Some(length) = find(rest, b"?>").map(|at| at + 2) else {
            if rest.len() > 1024 {
                return Err(self.syntax(self.start, "the XML declaration has no end (\"?>\")"));
            }
            return self.more_or("the XML declaration has no end (\"?>\")");
        };
        if !is_declaration(text_of(rest, 0..length)) {
            return Err(self.syntax(self.start, "the XML declaration is not one: expected <?xml version=\"1.0\" encoding=\"...\"?>"));
        }
        self.end = self.start + length;
        Ok(Some(Token::Declaration))
    }
}

fn char_boundary(window: &[u8], mut at: usize) -> usize {
    while at > 0 && window.get(at).is_some_and(|b| b & 0xC0 == 0x80) {
        at -= 1;
    }
    at
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = text.get(at..)?.iter().position(|b| *b == wanted[0]) {
        at += step;
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether this is `<?xml version="1.x" (encoding="...")? (standalone="...")? ?>`.
fn is_declaration(text: &str) -> bool {
    let Some(mut rest) = text.strip_prefix("<?xml").and_then(|t| t.strip_suffix("?>")) else { return false };
    let mut next = 0;
    while !rest.trim_start().is_empty() {
        let trimmed = rest.trim_start();
        let Some((name, after)) = trimmed.split_once('=') else { return false };
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|q| matches!(q, '"' | '\'')) else { return false };
        let Some((value, tail)) = after[1..].split_once(quote) else { return false };
        if trimmed.len() == rest.len() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return false;
        }
        let (order, ok) = match name.trim_end() {
            "version" => (1, value.strip_prefix("1.").is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()))),
            "encoding" => (2, value.starts_with(|c: char| c.is_ascii_alphabetic())),
            "standalone" => (3, matches!(value, "yes" | "no")),
            _ => (0, false),
        };
        if !ok || order <= next || (next == 0 && order != 1) {
            return false;
        }
        next = order;
        rest = tail;
    }
    next > 0
}
