//! The XML reader: tokens of a document, checked for well-formedness and limits.
//!
//! It is our own and not a crate's because three promises are needed together that no crate makes: text
//! of any length in bounded memory (crates hand out a text node whole), the exact bytes of every token
//! (documents are sliced out of the interchange), and refusal of everything that is not XML 1.0.

mod content;
mod tags;
mod view;

use super::{
    error::XmlError,
    input::Input,
    limits::Limits,
    names::{OpenElements, Scope},
    tag::Tag,
};
use portolan_model::{Code, code};
use std::ops::Range;

/// Kinds of token. Text, comments, CDATA sections and processing instructions may come in several
/// tokens of the same kind, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    /// The XML declaration.
    Declaration,
    /// A start tag; [`Reader::is_empty_element`] says whether the element ends with it.
    Start,
    /// An end tag.
    End,
    /// Characters.
    Text,
    /// A character reference or one of the five predefined entities: [`Reader::character`].
    Reference,
    /// Characters of a CDATA section.
    CData,
    /// A comment.
    Comment,
    /// A processing instruction.
    Instruction,
    /// The end of the text.
    Eof,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Prolog,
    Content,
    Epilog,
}

/// Reads tokens.
pub struct Reader {
    input: Input,
    limits: Limits,
    start: usize,
    end: usize,
    content: Range<usize>,
    tag: Tag,
    open: OpenElements,
    scope: Scope,
    place: Place,
    inside: Option<Token>,
    closing: bool,
    brackets: usize,
    text_bytes: u64,
    character: char,
}

/// A token, `None` when more text was read and it must be tried again.
type Outcome = Result<Option<Token>, XmlError>;

impl Reader {
    /// A reader at the start of a text.
    #[must_use]
    pub fn new(input: Input, limits: Limits) -> Self {
        Self {
            input,
            limits,
            start: 0,
            end: 0,
            content: 0..0,
            tag: Tag::default(),
            open: OpenElements::default(),
            scope: Scope::default(),
            place: Place::Prolog,
            inside: None,
            closing: false,
            brackets: 0,
            text_bytes: 0,
            character: '\0',
        }
    }

    /// Moves to the next token.
    ///
    /// # Errors
    /// [`XmlError`] with the place; the reader is of no use afterwards.
    pub fn next_token(&mut self) -> Result<Token, XmlError> {
        self.start = self.end;
        if self.closing {
            self.leave_element();
        }
        loop {
            let token = match (self.inside, self.input.window().get(self.start).copied()) {
                (Some(kind), Some(_)) => self.delimited(kind, 0)?,
                (Some(kind), None) if !self.more()? => return Err(self.unclosed(kind)),
                (None, Some(b'<')) => self.markup()?,
                (None, Some(b'&')) => self.reference()?,
                (None, Some(_)) => self.text()?,
                (None, None) if !self.more()? => return self.finish(),
                _ => None,
            };
            if let Some(token) = token {
                return Ok(token);
            }
        }
    }

    /// Reads more text; false when there is none.
    fn more(&mut self) -> Result<bool, XmlError> {
        Ok(match self.input.fill(self.start)? {
            Some(discarded) => {
                self.start -= discarded;
                true
            }
            None => false,
        })
    }

    /// Reads more text inside a token, or says that the token does not end.
    fn more_or(&mut self, message: &str) -> Outcome {
        if self.more()? { Ok(None) } else { Err(self.error(code::XML_NOT_WELL_FORMED, self.start, message)) }
    }

    fn rest(&self) -> &[u8] {
        &self.input.window()[self.start..]
    }

    fn error(&self, code: Code, at: usize, message: impl Into<String>) -> XmlError {
        self.input.error(code, at, message)
    }

    fn syntax(&self, at: usize, message: impl Into<String>) -> XmlError {
        self.error(code::XML_NOT_WELL_FORMED, at, message)
    }

    fn limit(&self, message: String) -> XmlError {
        self.error(code::XML_LIMIT, self.start, message)
    }

    fn finish(&self) -> Result<Token, XmlError> {
        match self.place {
            Place::Epilog => Ok(Token::Eof),
            Place::Prolog => Err(self.syntax(self.start, "the text ends without a root element")),
            Place::Content => {
                let name = String::from_utf8_lossy(self.open.top()).into_owned();
                Err(self.syntax(self.start, format!("the text ends inside the element \"{name}\", which has no end tag")))
            }
        }
    }

    fn leave_element(&mut self) {
        self.closing = false;
        self.scope.leave(self.open.depth());
        self.open.pop();
        if self.open.depth() == 0 {
            self.place = Place::Epilog;
        }
    }

    /// Markup at `<`; `None`: more text was read, try again.
    fn markup(&mut self) -> Outcome {
        match self.rest() {
            [_, b'?', ..] => self.instruction(),
            [_, b'/', ..] => self.end_tag(),
            [_, b'!', ..] => self.declaration_like(),
            [_, _, ..] => self.start_tag(),
            _ => self.more_or("the text ends after \"<\""),
        }
    }

    fn declaration_like(&mut self) -> Outcome {
        let rest = self.rest();
        if rest.starts_with(b"<!--") {
            return self.delimited(Token::Comment, 4);
        }
        if rest.starts_with(b"<![CDATA[") {
            if self.place != Place::Content {
                return Err(self.syntax(self.start, "a CDATA section outside of the root element"));
            }
            return self.delimited(Token::CData, 9);
        }
        if rest.len() >= 9 && rest[..9].eq_ignore_ascii_case(b"<!DOCTYPE") {
            let message = "the message has a document type definition (<!DOCTYPE ...>), which is not read because it can be used to attack the server";
            return Err(self.error(code::XML_DTD_REFUSED, self.start, message));
        }
        if [&b"<!--"[..], b"<![CDATA[", b"<!DOCTYPE"].iter().any(|m| m.starts_with(rest)) {
            return self.more_or("the text ends inside markup");
        }
        Err(self.syntax(self.start, "\"<!\" begins neither a comment nor a CDATA section"))
    }
}

fn split_name(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// A stretch of the window as text; the window is UTF-8 and tokens end between characters.
fn text_of(window: &[u8], range: Range<usize>) -> &str {
    std::str::from_utf8(&window[range]).unwrap_or("")
}
