//! The interchange as it streams by: documents are cut out one at a time.

use super::{
    document::Document,
    envelope::Envelope,
    fields::Capture,
    resolve::{Resolved, Resolver},
};
use crate::{
    stream::Output,
    xml::{Reader, Token, XmlError},
};
use portolan_model::{Context, SmolStr, code, time::TimeZone};
use portolan_sdk::{Body, ComponentError};
use std::{io::Write, sync::Arc};

/// A document that was cut out.
pub struct Cut {
    /// Its context: properties of the interchange, its envelopes, and its own.
    pub context: Context,
    /// Its text.
    pub body: Body,
    /// Whether the body is the message as it came, not converted.
    pub unchanged: bool,
}

/// Splits one interchange.
pub struct Splitter {
    reader: Reader,
    resolver: Arc<Resolver>,
    zone: TimeZone,
    base: Context,
    envelopes: Vec<Envelope>,
    document: Option<Document>,
    /// Where the prolog that goes with the document begins.
    prolog: u64,
    /// The prolog itself, when the text is converted while it is read.
    prolog_copy: Option<Output>,
    /// The only document of an interchange without envelopes waits for the end of the text.
    finished: Option<Cut>,
    documents: u64,
    opened: usize,
    /// Bytes of namespace declarations passed on to documents.
    passed_on: u64,
    /// Fields of every envelope, found beforehand.
    known: Option<Vec<Context>>,
    /// Only the fields of envelopes are wanted.
    scan: Option<Vec<Context>>,
    outermost: SmolStr,
    message_type: String,
}

impl Splitter {
    /// A splitter at the start of an interchange. `base` is the context that every document inherits.
    #[must_use]
    pub fn new(reader: Reader, resolver: Arc<Resolver>, zone: TimeZone, base: Context) -> Self {
        let copies = reader.input().piece(0, 0).is_none();
        Self {
            reader,
            resolver,
            zone,
            base,
            envelopes: Vec::new(),
            document: None,
            prolog: 0,
            prolog_copy: copies.then(Output::default),
            finished: None,
            documents: 0,
            opened: 0,
            passed_on: 0,
            known: None,
            scan: None,
            outermost: SmolStr::default(),
            message_type: String::new(),
        }
    }

    /// The next document, or `None` at the end of the interchange.
    ///
    /// # Errors
    /// The first mistake in the interchange; the splitter is of no use afterwards.
    pub fn next_document(&mut self) -> Result<Option<Cut>, ComponentError> {
        loop {
            let token = self.reader.next_token()?;
            let cut = match token {
                Token::Eof => return self.finish(),
                _ if self.document.is_some() => self.in_document(token)?,
                _ if self.envelopes.is_empty() => self.outside(token)?,
                _ => self.in_envelope(token)?,
            };
            if let Some(cut) = cut {
                if !self.envelopes.is_empty() {
                    return Ok(Some(cut));
                }
                self.finished = Some(cut);
            }
        }
    }

    fn finish(&mut self) -> Result<Option<Cut>, ComponentError> {
        if self.documents == 0 && !self.resolver.effective.allow_empty_envelope {
            let message = format!("the envelope {} contains no document (allow_empty_envelope would let it pass)", self.outermost);
            return Err(self.reader.error_here(code::XML_NO_DATA, message).into());
        }
        Ok(self.finished.take())
    }

    /// Before and after the root element.
    fn outside(&mut self, token: Token) -> Result<Option<Cut>, ComponentError> {
        match token {
            Token::Start => return self.root(),
            Token::Declaration => self.prolog = self.reader.end_offset(),
            Token::Text if self.prolog == self.reader.offset() => self.prolog = self.reader.end_offset(),
            _ => {
                if let Some(copy) = &mut self.prolog_copy {
                    copy.write_all(self.reader.raw()).map_err(|e| XmlError::unreadable(&e))?;
                }
            }
        }
        Ok(None)
    }

    /// A start tag that is the root of a document or envelope.
    fn root(&mut self) -> Result<Option<Cut>, ComponentError> {
        let (namespace, local) = self.reader.name();
        self.message_type.clear();
        if !namespace.is_empty() {
            self.message_type.push_str(namespace);
            self.message_type.push('#');
        }
        self.message_type.push_str(local);
        let resolved = self.resolver.resolve(&self.message_type, self.envelopes.len());
        match resolved.map_err(|error| placed(error, &self.reader))? {
            Resolved::Envelope(plan) => {
                self.count()?;
                if self.envelopes.is_empty() {
                    self.outermost = plan.spec.message_type.clone();
                    // What stands before an envelope is not kept.
                    self.prolog_copy = self.prolog_copy.take().map(|_| Output::default());
                } else {
                    self.prepare_context()?;
                }
                let envelope = Envelope::open(plan, self.zone.clone(), self.opened, &self.reader)?;
                self.opened += 1;
                self.envelopes.push(envelope);
                if self.reader.is_empty_element() {
                    self.envelope_end(true)?;
                }
                Ok(None)
            }
            Resolved::Document(plan) => {
                let message_type = plan.spec.message_type.clone();
                self.open_document(Some(plan), message_type)
            }
            Resolved::Unrecognized => {
                let message_type = SmolStr::new(&self.message_type);
                self.open_document(None, message_type)
            }
        }
    }

    fn open_document(&mut self, plan: Option<Arc<super::plan::Plan>>, message_type: SmolStr) -> Result<Option<Cut>, ComponentError> {
        self.count()?;
        self.documents += 1;
        let inside = !self.envelopes.is_empty();
        self.prepare_context()?;
        let mut context = self.envelopes.last().and_then(Envelope::known_context).unwrap_or(&self.base).clone();
        let whole = !inside && plan.is_none();
        let capture = plan.map(|plan| Capture::new(plan, self.zone.clone(), std::mem::take(&mut context)));
        let prolog = if inside { None } else { Some((self.prolog, self.prolog_copy.take())) };
        let skip = self.scan.is_some();
        let mut document = Document::open(&self.reader, capture, context, message_type, prolog, skip, whole)?;
        self.passed_on += document.passed_on;
        if self.passed_on > self.reader.limits().total_bytes {
            let message =
                "the namespace declarations of the envelopes, which every document inherits, are too many bytes (limit total_bytes)";
            return Err(self.reader.error_here(code::XML_LIMIT, message).into());
        }
        let is_empty = self.reader.is_empty_element();
        document.start(&self.reader)?;
        self.document = Some(document);
        if is_empty { self.document_end(true) } else { Ok(None) }
    }

    /// Makes the context of the innermost envelope ready for its first child.
    fn prepare_context(&mut self) -> Result<(), ComponentError> {
        if self.scan.is_none() && self.known.is_none() && self.envelopes.iter().any(Envelope::awaits_fields) {
            self.known = Some(self.look_ahead()?);
        }
        let mut outer = &self.base;
        for envelope in &mut self.envelopes {
            let fields = self.known.as_ref().and_then(|known| known.get(envelope.ordinal));
            outer = envelope.context(outer, fields);
        }
        Ok(())
    }

    /// Reads the whole interchange once for the fields of its envelopes, of which some stand after the
    /// documents.
    fn look_ahead(&self) -> Result<Vec<Context>, ComponentError> {
        let reader = Reader::new(self.reader.input().again(), self.reader.limits().clone());
        let mut scanner = Self::new(reader, self.resolver.clone(), self.zone.clone(), Context::new());
        scanner.scan = Some(Vec::new());
        while scanner.next_document()?.is_some() {}
        Ok(scanner.scan.unwrap_or_default())
    }

    fn count(&self) -> Result<(), ComponentError> {
        let limit = self.reader.limits().documents;
        if self.documents + self.opened as u64 >= limit {
            let message = format!("the interchange has more than {limit} documents and envelopes (limit documents)");
            return Err(self.reader.error_here(code::XML_LIMIT, message).into());
        }
        Ok(())
    }

    fn in_envelope(&mut self, token: Token) -> Result<Option<Cut>, ComponentError> {
        let Some(envelope) = self.envelopes.last_mut() else { return Ok(None) };
        match token {
            Token::Start if envelope.is_child(self.reader.depth()) => return self.root(),
            Token::Start => {
                envelope.start(&self.reader)?;
                if self.reader.is_empty_element() {
                    self.envelope_end(true)?;
                }
            }
            Token::End => self.envelope_end(false)?,
            Token::Text | Token::CData | Token::Reference => envelope.text(token, &self.reader)?,
            _ => {}
        }
        Ok(None)
    }

    fn envelope_end(&mut self, empty_tag: bool) -> Result<(), ComponentError> {
        let Some(envelope) = self.envelopes.last_mut() else { return Ok(()) };
        if envelope.end(&self.reader, empty_tag)? {
            if let Some(scan) = &mut self.scan {
                scan.resize_with(scan.len().max(envelope.ordinal + 1), Context::new);
                scan[envelope.ordinal] = envelope.fields().clone();
            }
            self.envelopes.pop();
        }
        Ok(())
    }

    fn in_document(&mut self, token: Token) -> Result<Option<Cut>, ComponentError> {
        let Some(document) = &mut self.document else { return Ok(None) };
        match token {
            Token::Start => {
                document.start(&self.reader)?;
                if self.reader.is_empty_element() {
                    document.end(&self.reader, true)?;
                }
            }
            Token::End => {
                if self.reader.depth() == document.depth {
                    return self.document_end(false);
                }
                document.end(&self.reader, false)?;
            }
            token => document.other(token, &self.reader)?,
        }
        Ok(None)
    }

    fn document_end(&mut self, empty_tag: bool) -> Result<Option<Cut>, ComponentError> {
        let Some(mut document) = self.document.take() else { return Ok(None) };
        document.end(&self.reader, empty_tag)?;
        if self.scan.is_some() { Ok(None) } else { Ok(Some(document.finish(&self.reader)?)) }
    }
}

/// Adds the place to an error about a root element.
fn placed(error: ComponentError, reader: &Reader) -> ComponentError {
    reader.error_here(error.code, error.message).into()
}
