//! The XML reader: tokens of a document, checked for well-formedness and limits.
//!
//! It is our own and not a crate's because three promises are needed together that no crate makes: text
//! of any length in bounded memory (crates hand out a text node whole), the exact bytes of every token
//! (documents are sliced out of the interchange), and refusal of everything that is not XML 1.0.

use super::{
    chars::{all_space, find_illegal, is_illegal_at, is_space, name_length, stops_text},
    error::XmlError,
    escape::{Reference, attribute_value, reference},
    input::Input,
    limits::Limits,
    names::{OpenElements, Scope, XML_NAMESPACE, XMLNS_NAMESPACE},
    tag::{BROKEN_REFERENCE, Parsed, Tag, entity_message},
};
use portolan_model::{Code, code};
use std::{borrow::Cow, ops::Range};

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

    fn start_tag(&mut self) -> Outcome {
        if self.place == Place::Epilog {
            return Err(self.syntax(self.start, "a second root element: an XML document has exactly one"));
        }
        let rest = &self.input.window()[self.start..];
        let parsed = self.tag.parse(rest, &self.limits);
        let too_long = format!("a start tag is longer than {} bytes (limit tag_bytes)", self.limits.tag_bytes);
        match parsed {
            Ok(Parsed::Done(length)) => {
                if length > self.limits.tag_bytes as usize {
                    return Err(self.limit(too_long));
                }
                self.end = self.start + length;
            }
            Ok(Parsed::Incomplete) => {
                if rest.len() > self.limits.tag_bytes as usize {
                    return Err(self.limit(too_long));
                }
                return self.more_or("the text ends inside a start tag");
            }
            Err(error) => return Err(self.error(error.code, self.start + error.at, error.message)),
        }
        let name = self.start + self.tag.name.start..self.start + self.tag.name.end;
        if !self.open.push(&self.input.window()[name], &self.limits) {
            return Err(self.limit(format!("elements are nested more than {} deep (limit depth)", self.limits.depth)));
        }
        self.place = Place::Content;
        self.closing = self.tag.is_empty;
        self.brackets = 0;
        self.text_bytes = 0;
        self.bind_namespaces()?;
        Ok(Some(Token::Start))
    }

    fn bind_namespaces(&mut self) -> Result<(), XmlError> {
        let Self { tag, scope, input, open, start, end, .. } = self;
        let tag_text = text_of(input.window(), *start..*end);
        for attribute in &tag.attributes {
            let name = &tag_text[attribute.name.clone()];
            let Some(rest) = name.strip_prefix("xmlns") else { continue };
            let prefix = match rest.strip_prefix(':') {
                Some(prefix) => prefix,
                None if rest.is_empty() => "",
                None => continue,
            };
            let uri = attribute_value(&tag_text[attribute.value.clone()]);
            let wrong = match (prefix, uri.as_ref()) {
                ("xml", XML_NAMESPACE) => continue,
                ("xml" | "xmlns", _) => Some(format!("the prefix \"{prefix}\" cannot be declared")),
                (_, XML_NAMESPACE | XMLNS_NAMESPACE) => Some(format!("the namespace \"{uri}\" cannot be declared")),
                (prefix, "") if !prefix.is_empty() => Some(format!("the prefix \"{prefix}\" is declared with an empty namespace")),
                _ => None,
            };
            if let Some(message) = wrong {
                return Err(input.error(code::XML_NOT_WELL_FORMED, *start + attribute.name.start, message));
            }
            scope.declare(prefix, &uri, open.depth());
        }
        self.check_names()
    }

    /// Prefixes are declared, and no attribute is there twice.
    fn check_names(&self) -> Result<(), XmlError> {
        let undeclared =
            |at: usize, prefix: &str| self.syntax(self.start + at, format!("the namespace prefix \"{prefix}\" is not declared"));
        let tag_text = text_of(self.input.window(), self.start..self.end);
        let (prefix, _) = split_name(&tag_text[self.tag.name.clone()]);
        if self.scope.resolve(prefix).is_none() {
            return Err(undeclared(self.tag.name.start, prefix));
        }
        if self.tag.attributes.is_empty() {
            return Ok(());
        }
        let mut seen: Vec<(&str, &str)> = Vec::new();
        let many = self.tag.attributes.len() > 16;
        for attribute in &self.tag.attributes {
            let name = &tag_text[attribute.name.clone()];
            let key = match split_name(name) {
                ("", local) => ("", local),
                ("xmlns", local) => (XMLNS_NAMESPACE, local),
                (prefix, local) => (self.scope.resolve(prefix).ok_or_else(|| undeclared(attribute.name.start, prefix))?, local),
            };
            if !many && seen.contains(&key) {
                return Err(self.syntax(self.start + attribute.name.start, format!("the attribute \"{name}\" is there twice")));
            }
            seen.push(key);
        }
        if many {
            seen.sort_unstable();
            if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(self.syntax(self.start, format!("the attribute \"{}\" is there twice", pair[0].1)));
            }
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Outcome {
        let rest = self.rest();
        let expected = self.open.top();
        let name_end = 2 + expected.len();
        let close = rest.get(name_end..).and_then(|tail| tail.iter().position(|b| !is_space(*b)).map(|at| name_end + at));
        if self.place == Place::Content
            && let Some(close) = close
            && rest[close] == b'>'
            && &rest[2..name_end] == expected
        {
            self.end = self.start + close + 1;
            self.closing = true;
            self.brackets = 0;
            self.text_bytes = 0;
            return Ok(Some(Token::End));
        }
        if close.is_none() && rest.len() <= 4096 + name_end && !rest.contains(&b'>') {
            return self.more_or("the text ends inside an end tag");
        }
        let found = String::from_utf8_lossy(&rest[2..2 + name_length(&rest[2..])]).into_owned();
        Err(self.syntax(
            self.start,
            match self.place {
                Place::Content if found.as_bytes() == expected => format!("the end tag \"{found}\" has more than a name"),
                Place::Content => format!("the end tag \"{found}\" does not match the start tag \"{}\"", String::from_utf8_lossy(expected)),
                _ => format!("the end tag \"{found}\" has no start tag"),
            },
        ))
    }

    fn reference(&mut self) -> Outcome {
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

    fn text(&mut self) -> Outcome {
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

    fn unclosed(&self, kind: Token) -> XmlError {
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
    fn delimited(&mut self, kind: Token, opening: usize) -> Outcome {
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

    fn instruction(&mut self) -> Outcome {
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

/// What the current token is.
impl Reader {
    /// Namespace (empty for none) and local name of the start tag.
    #[must_use]
    pub fn name(&self) -> (&str, &str) {
        let (prefix, local) = split_name(self.raw_name());
        (self.scope.resolve(prefix).unwrap_or(""), local)
    }

    /// Name of the start tag as written.
    #[must_use]
    pub fn raw_name(&self) -> &str {
        text_of(self.input.window(), self.start + self.tag.name.start..self.start + self.tag.name.end)
    }

    /// Whether the start tag is `<name/>`: no end tag follows.
    #[must_use]
    pub fn is_empty_element(&self) -> bool {
        self.tag.is_empty
    }

    /// Attributes of the start tag but namespace declarations: namespace, local name, value.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str, Cow<'_, str>)> {
        let tag_text = text_of(self.input.window(), self.start..self.end);
        self.tag.attributes.iter().filter_map(move |attribute| {
            let (prefix, local) = split_name(&tag_text[attribute.name.clone()]);
            let namespace = match prefix {
                "" if local == "xmlns" => return None,
                "xmlns" => return None,
                "" => "",
                prefix => self.scope.resolve(prefix).unwrap_or(""),
            };
            Some((namespace, local, attribute_value(&tag_text[attribute.value.clone()])))
        })
    }

    /// Whether the start tag has attributes or namespace declarations.
    #[must_use]
    pub fn has_attributes(&self) -> bool {
        !self.tag.attributes.is_empty()
    }

    /// Length in bytes of `<name`: where further attributes can be put in.
    #[must_use]
    pub fn name_end(&self) -> usize {
        self.tag.name.end
    }

    /// The namespace declarations in scope.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How many elements are open, the one of a start or end tag included.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.open.depth()
    }

    /// Characters of a text or CDATA token, line ends as they are; content of a comment or processing
    /// instruction.
    #[must_use]
    pub fn text_content(&self) -> &str {
        text_of(self.input.window(), self.content.clone())
    }

    /// The character of a reference.
    #[must_use]
    pub fn character(&self) -> char {
        self.character
    }

    /// The token as it stands in the text.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.input.window()[self.start..self.end]
    }

    /// Offset of the token in the text.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.input.offset() + self.start as u64
    }

    /// Offset of the end of the token in the text.
    #[must_use]
    pub fn end_offset(&self) -> u64 {
        self.input.offset() + self.end as u64
    }

    /// Line and column of the token.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        self.input.place(self.start)
    }

    /// An error at the token.
    #[must_use]
    pub fn error_here(&self, code: Code, message: impl Into<String>) -> XmlError {
        self.error(code, self.start, message)
    }

    /// The text being read.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

fn split_name(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// A stretch of the window as text; the window is UTF-8 and tokens end between characters.
fn text_of(window: &[u8], range: Range<usize>) -> &str {
    std::str::from_utf8(&window[range]).unwrap_or("")
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
