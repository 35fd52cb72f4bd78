//! Start and end tags: namespaces bound, attributes unique, elements closed in order.

use super::{Outcome, Place, Reader, Token, split_name, text_of};
use crate::xml::{
    chars::{is_space, name_length},
    error::XmlError,
    escape::attribute_value,
    names::{XML_NAMESPACE, XMLNS_NAMESPACE},
    tag::Parsed,
};
use portolan_model::code;

impl Reader {
    pub(super) fn start_tag(&mut self) -> Outcome {
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
        let Self { tag, scope, input, open, start, end, limits, .. } = self;
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
        if scope.len() > limits.namespaces as usize {
            let message = format!("more than {} namespace declarations are in scope (limit namespaces)", limits.namespaces);
            return Err(input.error(code::XML_LIMIT, *start, message));
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

    pub(super) fn end_tag(&mut self) -> Outcome {
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
}
