//! Open envelopes: their fields, and where their documents are.

use super::{fields::Capture, plan::Plan};
use crate::xml::{Reader, Token, XmlError, chars::all_space};
use portolan_model::{Context, Kind, Property, code, time::TimeZone};
use std::sync::Arc;

/// An envelope whose end has not come.
pub struct Envelope {
    capture: Capture,
    /// Depth of its root element.
    depth: usize,
    /// Depth of the body node while inside it.
    body: Option<usize>,
    /// Whether a body node was there.
    seen_body: bool,
    /// Its number in the interchange, from 0.
    pub ordinal: usize,
    /// Context of its documents: that of the enclosing envelopes and its own fields. Made when the first
    /// document comes.
    merged: Option<Context>,
}

impl Envelope {
    /// Opens the envelope at its start tag.
    ///
    /// # Errors
    /// PTL0115 without a body expression; errors of its fields.
    pub fn open(plan: Arc<Plan>, zone: TimeZone, ordinal: usize, reader: &Reader) -> Result<Self, XmlError> {
        if plan.spec.body_xpath.is_none() {
            let message =
                format!("the envelope {} cannot be opened: its schema {} has no usable body_xpath", plan.spec.message_type, plan.spec.file);
            return Err(reader.error_here(code::XML_ENVELOPE, message));
        }
        let capture = Capture::new(plan, zone, Context::new());
        let mut envelope = Self { capture, depth: reader.depth(), body: None, seen_body: false, ordinal, merged: None };
        envelope.start(reader)?;
        Ok(envelope)
    }

    /// Whether a start tag at this depth is a document or envelope inside.
    #[must_use]
    pub fn is_child(&self, depth: usize) -> bool {
        self.body.is_some_and(|body| depth == body + 1)
    }

    /// Takes a start tag of the envelope itself.
    ///
    /// # Errors
    /// Errors of its fields.
    pub fn start(&mut self, reader: &Reader) -> Result<(), XmlError> {
        if self.capture.start(reader)? {
            self.body = Some(reader.depth());
            self.seen_body = true;
        }
        Ok(())
    }

    /// Takes the end of an element of the envelope; true when it was the envelope's own.
    ///
    /// # Errors
    /// PTL0115 when no body node was there; errors of its fields.
    pub fn end(&mut self, reader: &Reader, empty_tag: bool) -> Result<bool, XmlError> {
        self.capture.end(reader, empty_tag)?;
        if self.body == Some(reader.depth()) {
            self.body = None;
        }
        if reader.depth() > self.depth {
            return Ok(false);
        }
        if self.seen_body {
            return Ok(true);
        }
        let spec = &self.capture.plan().spec;
        let path = spec.body_xpath.as_deref().unwrap_or_default();
        let message = format!("the envelope {} has no body node: nothing is at {path}", spec.message_type);
        Err(reader.error_here(code::XML_ENVELOPE, message))
    }

    /// Takes characters of the envelope.
    ///
    /// # Errors
    /// PTL0115 for text between the documents, which would be lost.
    pub fn text(&mut self, token: Token, reader: &Reader) -> Result<(), XmlError> {
        let is_reference = token == Token::Reference;
        if self.body == Some(reader.depth()) && (is_reference || !all_space(reader.text_content().as_bytes())) {
            let spec = &self.capture.plan().spec;
            let message = format!("the body node of the envelope {} has text beside its documents", spec.message_type);
            return Err(reader.error_here(code::XML_ENVELOPE, message));
        }
        match is_reference {
            _ if !self.capture.wants_text() => Ok(()),
            true => self.capture.character(reader.character(), reader),
            false => self.capture.text(reader.text_content(), reader),
        }
    }

    /// Whether fields may still come after the documents.
    #[must_use]
    pub fn awaits_fields(&self) -> bool {
        self.merged.is_none() && !self.capture.is_complete()
    }

    /// The fields found so far.
    #[must_use]
    pub fn fields(&self) -> &Context {
        &self.capture.context
    }

    /// Context of the documents inside; `outer` is that of the enclosing envelopes, `fields` all fields of
    /// this one, if they are known beforehand.
    pub fn context(&mut self, outer: &Context, fields: Option<&Context>) -> &Context {
        let own = fields.unwrap_or(&self.capture.context);
        self.merged.get_or_insert_with(|| {
            let mut merged = outer.clone();
            own.iter().for_each(|property| put(&mut merged, property));
            merged
        })
    }

    /// As [`Envelope::context`], when it is known already.
    #[must_use]
    pub fn known_context(&self) -> Option<&Context> {
        self.merged.as_ref()
    }
}

/// Copies a property that a context already accepted once.
fn put(to: &mut Context, property: &Property) {
    match property.kind {
        Kind::Promoted => drop(to.promote(property.name.clone(), property.value.clone())),
        Kind::Written => to.write(property.name.clone(), property.value.clone()),
        Kind::Distinguished => to.distinguish(&property.name.local, property.value.as_str().unwrap_or_default()),
    }
}
