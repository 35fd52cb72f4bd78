//! Start tags: name and attributes as byte ranges, checked for everything XML demands of a tag alone.
//! Namespaces are the reader's work.

use super::{
    chars::{is_illegal_at, is_space, name_length},
    escape::{Reference, reference},
    limits::Limits,
};
use portolan_model::{Code, code};
use std::ops::Range;

/// One attribute, as ranges from the `<` of its tag.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name as written.
    pub name: Range<usize>,
    /// The value as written, without quotes.
    pub value: Range<usize>,
}

/// A start tag, as ranges from its `<`. Reused from tag to tag.
#[derive(Default, Debug)]
pub struct Tag {
    /// The name as written.
    pub name: Range<usize>,
    /// Attributes in order, namespace declarations included.
    pub attributes: Vec<Attribute>,
    /// Whether it ends with `/>`.
    pub is_empty: bool,
}

/// What came of reading a tag.
#[derive(Debug)]
pub enum Parsed {
    /// The tag is read and so many bytes long.
    Done(usize),
    /// The text ends inside the tag.
    Incomplete,
}

/// A mistake in a tag.
#[derive(Debug)]
pub struct TagError {
    /// Code with a page.
    pub code: Code,
    /// Offset from the `<`.
    pub at: usize,
    /// In words.
    pub message: String,
}

impl TagError {
    fn new(code: Code, at: usize, message: impl Into<String>) -> Self {
        Self { code, at, message: message.into() }
    }
    fn syntax(at: usize, message: impl Into<String>) -> Self {
        Self::new(code::XML_NOT_WELL_FORMED, at, message)
    }
}

impl Tag {
    /// Reads the tag that starts with the `<` at the start of `text`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(&mut self, text: &[u8], limits: &Limits) -> Result<Parsed, TagError> {
        self.attributes.clear();
        let name = match self.name(text, 1, limits)? {
            Some(name) => name,
            None => return Ok(Parsed::Incomplete),
        };
        let mut at = name.end;
        self.name = name;
        loop {
            let spaces = spaces(&text[at..]);
            let before = at;
            at += spaces;
            match text.get(at) {
                None => return Ok(Parsed::Incomplete),
                Some(b'>') => {
                    self.is_empty = false;
                    return Ok(Parsed::Done(at + 1));
                }
                Some(b'/') => match text.get(at + 1) {
                    None => return Ok(Parsed::Incomplete),
                    Some(b'>') => {
                        self.is_empty = true;
                        return Ok(Parsed::Done(at + 2));
                    }
                    Some(_) => return Err(TagError::syntax(at, "\"/\" in a start tag is not followed by \">\"")),
                },
                Some(_) if spaces == 0 => return Err(TagError::syntax(before, "expected a blank, \">\" or \"/>\" in a start tag")),
                Some(_) => match self.attribute(text, at, limits)? {
                    Some(end) => at = end,
                    None => return Ok(Parsed::Incomplete),
                },
            }
        }
    }

    fn name(&self, text: &[u8], at: usize, limits: &Limits) -> Result<Option<Range<usize>>, TagError> {
        let length = name_length(&text[at..]);
        if length > limits.name_bytes as usize {
            let message = format!("a name is longer than {} bytes (limit name_bytes)", limits.name_bytes);
            return Err(TagError::new(code::XML_LIMIT, at, message));
        }
        if at + length == text.len() {
            return Ok(None);
        }
        if length == 0 {
            return Err(TagError::syntax(at, "expected a name"));
        }
        let name = &text[at..at + length];
        if let Some(colon) = name.iter().position(|b| *b == b':') {
            let local = &name[colon + 1..];
            if colon == 0 || local.is_empty() || local.contains(&b':') || name_length(local) != local.len() {
                let message = format!("\"{}\" is not a name with a namespace prefix", String::from_utf8_lossy(name));
                return Err(TagError::syntax(at, message));
            }
        }
        Ok(Some(at..at + length))
    }

    fn attribute(&mut self, text: &[u8], at: usize, limits: &Limits) -> Result<Option<usize>, TagError> {
        if self.attributes.len() >= limits.attributes as usize {
            let message = format!("an element has more than {} attributes (limit attributes)", limits.attributes);
            return Err(TagError::new(code::XML_LIMIT, at, message));
        }
        let Some(name) = self.name(text, at, limits)? else { return Ok(None) };
        let equals = name.end + spaces(&text[name.end..]);
        match text.get(equals) {
            None => return Ok(None),
            Some(b'=') => {}
            Some(_) => return Err(TagError::syntax(equals, "expected \"=\" after the name of an attribute")),
        }
        let open = equals + 1 + spaces(&text[equals + 1..]);
        let quote = match text.get(open) {
            None => return Ok(None),
            Some(quote @ (b'"' | b'\'')) => *quote,
            Some(_) => return Err(TagError::syntax(open, "the value of an attribute is not in quotes")),
        };
        let Some(end) = value_end(text, open + 1, quote)? else { return Ok(None) };
        self.attributes.push(Attribute { name, value: open + 1..end });
        Ok(Some(end + 1))
    }
}

/// Finds the closing quote and checks what is before it.
fn value_end(text: &[u8], from: usize, quote: u8) -> Result<Option<usize>, TagError> {
    let mut at = from;
    loop {
        let Some(step) = text[at..].iter().position(|b| *b < 0x20 || matches!(*b, b'"' | b'\'' | b'<' | b'&' | 0xEF)) else {
            return Ok(None);
        };
        at += step;
        match text[at] {
            byte if byte == quote => return Ok(Some(at)),
            b'<' => return Err(TagError::syntax(at, "\"<\" in the value of an attribute: write &lt;")),
            b'&' => match reference(&text[at..]) {
                Reference::Character(_, length) => at += length,
                Reference::Incomplete => return Ok(None),
                Reference::Entity(name) => {
                    return Err(TagError::new(code::XML_DTD_REFUSED, at, entity_message(name)));
                }
                Reference::Broken => return Err(TagError::syntax(at, BROKEN_REFERENCE)),
            },
            _ if is_illegal_at(text, at) => return Err(TagError::syntax(at, "a character that XML does not allow")),
            _ => at += 1,
        }
    }
}

/// Words for a reference that is none.
pub const BROKEN_REFERENCE: &str = "\"&\" does not begin a reference: write &amp;";

/// Words for a reference to an entity that XML does not define.
#[must_use]
pub fn entity_message(name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    format!("the entity \"&{shown};\" is not one of the five that XML defines, and document type definitions are not read")
}

fn spaces(text: &[u8]) -> usize {
    text.iter().position(|b| !is_space(*b)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_only_when_it_is_complete() {
        let text = b"<a:b x='1 > 0' y=\"&lt;'\" />rest";
        let mut tag = Tag::default();
        for cut in 1..text.len() - 4 {
            assert!(matches!(tag.parse(&text[..cut], &Limits::default()), Ok(Parsed::Incomplete)), "cut at {cut}");
        }
        assert!(matches!(tag.parse(text, &Limits::default()), Ok(Parsed::Done(27))));
        assert!(tag.is_empty);
        assert_eq!(&text[tag.name.clone()], b"a:b");
        assert_eq!(&text[tag.attributes[1].value.clone()], b"&lt;'");
    }

    #[test]
    fn mistakes_in_tags_are_found() {
        let limits = Limits { attributes: 2, name_bytes: 5, ..Limits::default() };
        for (text, id) in [
            ("<1a>", "PTL0110"),
            ("<a:b:c>", "PTL0110"),
            ("<:a>", "PTL0110"),
            ("<a:1>", "PTL0110"),
            ("<a b>", "PTL0110"),
            ("<a b=c>", "PTL0110"),
            ("<a b='<'>", "PTL0110"),
            ("<a b='& '>", "PTL0110"),
            ("<a b='\u{1}'>", "PTL0110"),
            ("<a b='1'c='2'>", "PTL0110"),
            ("<a / >", "PTL0110"),
            ("<a b='&x;'>", "PTL0113"),
            ("<a b='' c='' d=''>", "PTL0114"),
            ("<abcdef>", "PTL0114"),
        ] {
            let error = Tag::default().parse(text.as_bytes(), &limits).unwrap_err();
            assert_eq!(error.code.id, id, "{text}: {}", error.message);
        }
    }
}
