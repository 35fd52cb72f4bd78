//! Promotion while the document streams by (manual pages "Property Promotion in Disassembler Pipeline
//! Components", "Distinguished Fields in Disassembler Pipeline Components").
//!
//! Of a field that occurs more than once the first counts. An empty element gives its schema's default
//! when it is `<f/>`; without a default it gives empty text, or nothing when the property is not text.
//! A field with `xsi:nil` gives nothing.

use super::plan::{BODY, Plan};
use crate::{
    xml::{Reader, XmlError},
    xpath::Matcher,
};
use portolan_model::{Context, Value, ValueType, code, time::TimeZone};
use portolan_sdk::PromotedField;
use std::sync::Arc;

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A field whose element is open.
struct Open {
    number: usize,
    depth: usize,
    text: String,
    after_return: bool,
    nil: bool,
}

/// Collects the fields of one document or envelope into a context.
pub struct Capture {
    plan: Arc<Plan>,
    zone: TimeZone,
    matcher: Matcher,
    taken: Vec<bool>,
    open: Vec<Open>,
    /// The fields found.
    pub context: Context,
}

impl Capture {
    /// Starts at the root of a document; fields are put into `context`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, zone: TimeZone, context: Context) -> Self {
        let taken = vec![false; plan.fields()];
        Self { plan, zone, matcher: Matcher::default(), taken, open: Vec::new(), context }
    }

    /// The specification's plan.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Whether every field has been found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.taken.iter().all(|taken| *taken)
    }

    /// Whether text is wanted now.
    #[inline]
    #[must_use]
    pub fn wants_text(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a start tag; returns whether it is the body node. An empty element must be ended too.
    ///
    /// # Errors
    /// PTL0105 for a value that does not fit, PTL0114 for one that is too long.
    pub fn start(&mut self, reader: &Reader) -> Result<bool, XmlError> {
        if !self.matcher.start(&self.plan.trie, || reader.name()) {
            return Ok(false);
        }
        let plan = self.plan.clone();
        let mut is_body = false;
        for number in self.matcher.elements(&plan.trie) {
            if number == BODY {
                is_body = true;
            } else if !self.taken[number] {
                self.taken[number] = true;
                let nil = reader.has_attributes() && is_nil(reader);
                self.open.push(Open { number, depth: reader.depth(), text: String::new(), after_return: false, nil });
            }
        }
        if reader.has_attributes() {
            let mut found = Vec::new();
            for (test, number) in self.matcher.attributes(&plan.trie) {
                let value = reader.attributes().find(|(namespace, local, _)| test.accepts(namespace, local));
                if let (false, Some((_, _, value))) = (self.taken[number], value) {
                    found.push((number, value.into_owned()));
                }
            }
            for (number, value) in found {
                self.taken[number] = true;
                self.check_length(value.len(), number, reader)?;
                self.keep(number, &value, false, reader)?;
            }
        }
        Ok(is_body)
    }

    /// Takes characters of a text or CDATA token.
    ///
    /// # Errors
    /// PTL0114 when a field grows over the limit.
    pub fn text(&mut self, text: &str, reader: &Reader) -> Result<(), XmlError> {
        for at in 0..self.open.len() {
            let field = &mut self.open[at];
            append(&mut field.text, text, &mut field.after_return);
            let (length, number) = (field.text.len(), field.number);
            self.check_length(length, number, reader)?;
        }
        Ok(())
    }

    /// Takes the character of a reference.
    ///
    /// # Errors
    /// PTL0114 when a field grows over the limit.
    pub fn character(&mut self, c: char, reader: &Reader) -> Result<(), XmlError> {
        for at in 0..self.open.len() {
            let field = &mut self.open[at];
            field.text.push(c);
            field.after_return = false;
            let (length, number) = (field.text.len(), field.number);
            self.check_length(length, number, reader)?;
        }
        Ok(())
    }

    /// Takes the end of an element; `empty_tag`: it was `<f/>`.
    ///
    /// # Errors
    /// PTL0105 for a value that does not fit.
    pub fn end(&mut self, reader: &Reader, empty_tag: bool) -> Result<(), XmlError> {
        self.matcher.end();
        while self.open.last().is_some_and(|field| field.depth == reader.depth()) {
            if let Some(field) = self.open.pop()
                && !field.nil
            {
                self.keep(field.number, &field.text, empty_tag, reader)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, number: usize, text: &str, empty_tag: bool, reader: &Reader) -> Result<(), XmlError> {
        let plan = self.plan.clone();
        let Some(field) = plan.spec.promoted.get(number) else {
            if let Some(xpath) = plan.spec.distinguished.get(number - plan.spec.promoted.len()) {
                self.context.distinguish(xpath, text);
            }
            return Ok(());
        };
        let text = match (&field.default, text.is_empty()) {
            (Some(default), true) if empty_tag => default,
            (Some(_), true) => return Ok(()),
            (None, true) if field.value_type != ValueType::String => return Ok(()),
            _ => text,
        };
        let value = Value::parse(field.value_type, text, &self.zone).map_err(|error| match plan.sensitive.get(number) {
            Some(true) => refused(field, reader, &format!("its value, which is not shown, is not of type {:?}", field.value_type)),
            _ => refused(field, reader, &error.to_string()),
        })?;
        self.context.promote(field.property.clone(), value).map_err(|error| refused(field, reader, &error.to_string()))
    }

    fn check_length(&self, length: usize, number: usize, reader: &Reader) -> Result<(), XmlError> {
        let limit = reader.limits().field_bytes;
        if length <= limit as usize {
            return Ok(());
        }
        let spec = &self.plan.spec;
        let what = match spec.promoted.get(number) {
            Some(field) => format!("the promoted property {}", field.property),
            None => format!("the distinguished field {}", spec.distinguished.get(number - spec.promoted.len()).map_or("", String::as_str)),
        };
        Err(reader.error_here(code::XML_LIMIT, format!("{what} is longer than {limit} bytes (limit field_bytes)")))
    }
}

fn refused(field: &PromotedField, reader: &Reader, why: &str) -> XmlError {
    let message = format!("the field at {} cannot be promoted to the property {}: {why}", field.xpath, field.property);
    reader.error_here(code::PROPERTY_INVALID, message)
}

fn is_nil(reader: &Reader) -> bool {
    reader.attributes().any(|(namespace, local, value)| namespace == XSI && local == "nil" && matches!(value.trim(), "true" | "1"))
}

/// Appends characters with XML's line ends: CR LF and CR become LF, also across pieces.
fn append(to: &mut String, text: &str, after_return: &mut bool) {
    let mut rest = text;
    if std::mem::take(after_return) {
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    while let Some(at) = rest.find('\r') {
        to.push_str(&rest[..at]);
        to.push('\n');
        rest = &rest[at + 1..];
        if rest.is_empty() {
            *after_return = true;
        }
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    to.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_the_same_however_the_text_is_cut() {
        let text = "a\r\nb\rc\n\r\r\nd\r";
        for cut in 0..=text.len() {
            let (mut all, mut after_return) = (String::new(), false);
            append(&mut all, &text[..cut], &mut after_return);
            append(&mut all, &text[cut..], &mut after_return);
            assert_eq!(all, "a\nb\nc\n\n\nd\n", "cut at {cut}");
        }
    }
}
