//! Demotion into the document: a field that is empty in the document gets the value its property has in
//! the context. Missing elements and attributes are not made (manual page "XML Assembler Pipeline
//! Component").

use crate::{
    disassembler::Plan,
    xml::{Reader, escape::escape_text},
    xpath::Matcher,
};
use portolan_model::Context;
use std::sync::Arc;

/// Fills the empty fields of one document.
pub struct Demotion {
    plan: Arc<Plan>,
    values: Vec<Option<String>>,
    matcher: Matcher,
    /// The field that was just opened, with its depth.
    open: Option<(usize, usize)>,
}

impl Demotion {
    /// For a document; `None` when the context has no value for any of its fields.
    #[must_use]
    pub fn new(plan: Arc<Plan>, context: &Context) -> Option<Self> {
        let value = |name| context.get(name).map(ToString::to_string).filter(|text: &String| !text.is_empty());
        let values: Vec<Option<String>> = plan.spec.promoted.iter().map(|field| value(&field.property)).collect();
        values.iter().any(Option::is_some).then(|| Self { plan, values, matcher: Matcher::default(), open: None })
    }

    /// Takes a start tag; returns start tag, text and end tag of the element filled, when it is `<f/>` and
    /// has a value.
    pub fn start(&mut self, reader: &Reader) -> Option<[String; 3]> {
        self.open = None;
        let reached = self.matcher.start(&self.plan.trie, || reader.name());
        let mut field = None;
        if reached {
            let plan = self.plan.clone();
            field = self.matcher.elements(&plan.trie).find(|number| self.values.get(*number).is_some_and(Option::is_some));
        }
        if !reader.is_empty_element() {
            self.open = field.map(|number| (number, reader.depth()));
            return None;
        }
        self.matcher.end();
        let value = self.take(field?)?;
        let raw = std::str::from_utf8(reader.raw()).ok()?;
        let tag = raw.strip_suffix("/>")?.trim_end();
        Some([format!("{tag}>"), escape_text(&value).into_owned(), format!("</{}>", reader.raw_name())])
    }

    /// Takes an end tag; returns the text to put before it, when the element is empty and has a value.
    pub fn end(&mut self, reader: &Reader) -> Option<String> {
        self.matcher.end();
        let (number, depth) = self.open.take()?;
        if depth != reader.depth() {
            return None;
        }
        self.take(number).map(|value| escape_text(&value).into_owned())
    }

    /// Takes anything else: the element is not empty.
    pub fn other(&mut self) {
        self.open = None;
    }

    /// A value is used once: the first of repeated fields counts, as in promotion.
    fn take(&mut self, number: usize) -> Option<String> {
        self.values.get_mut(number)?.take()
    }
}
