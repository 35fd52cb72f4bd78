//! What the current token is.

use super::{Reader, split_name, text_of};
use crate::xml::{error::XmlError, escape::attribute_value, input::Input, limits::Limits, names::Scope};
use portolan_model::Code;
use std::borrow::Cow;

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
