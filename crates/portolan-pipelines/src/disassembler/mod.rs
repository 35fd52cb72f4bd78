//! The XML disassembler (manual page "XML Disassembler Pipeline Component"): recognises documents by
//! namespace and root element, opens envelopes, promotes properties, and hands on every document as
//! UTF-8 without XML declaration.
//!
//! **Must never** hold a document whole in memory that did not come so, copy a document that needs no
//! change, or drop data without an error. It does not number documents: that is the engine's work.

mod document;
mod envelope;
mod fields;
mod plan;
mod resolve;
mod settings;
mod split;

pub use settings::Settings;

pub(crate) use plan::{Plan, Plans};
pub(crate) use resolve::shorten;
pub(crate) use settings::{Effective, boolean, check_names, spec_names};

use crate::{
    stream::{Output, Piece, Section},
    xml::{Input, Reader, XmlError, chars::is_space, charset},
};
use portolan_model::{SmolStr, Value, artifact::Stage, code, system::xmlnorm};
use portolan_sdk::{
    Body, ComponentError, ComponentFactory, ComponentSpec, Disassembler, PipelineContext, PipelineMessage, PipelinePart, Prepared, Schemas,
    StageComponent,
};
use resolve::Resolver;
use split::{Cut, Splitter};
use std::{
    io::{Read, Seek, SeekFrom},
    sync::Arc,
};

/// Catalogue name.
pub const NAME: &str = "xml-disassembler";

/// Makes XML disassemblers.
pub struct XmlDisassemblerFactory;

impl ComponentFactory for XmlDisassemblerFactory {
    fn spec(&self) -> ComponentSpec {
        ComponentSpec {
            name: NAME,
            summary: "Recognises XML documents, opens envelopes and promotes properties.",
            stages: &[Stage::Disassemble],
            settings: schemars::schema_for!(Settings).into(),
        }
    }

    fn prepare(&self, settings: &serde_json::Value, schemas: &Schemas) -> Result<Arc<dyn Prepared>, String> {
        let settings: Settings = crate::catalog::settings(settings)?;
        settings.check(schemas)?;
        Ok(Arc::new(PreparedDisassembler { settings: Arc::new(settings), plans: Arc::default() }))
    }
}

struct PreparedDisassembler {
    settings: Arc<Settings>,
    plans: Arc<Plans>,
}

impl Prepared for PreparedDisassembler {
    fn instantiate(&self) -> StageComponent {
        StageComponent::Disassembler(Box::new(XmlDisassembler {
            settings: self.settings.clone(),
            plans: self.plans.clone(),
            work: Work::Nothing,
        }))
    }
}

/// What is left to hand on.
enum Work {
    Nothing,
    /// The message as it is.
    Pass(Box<PipelineMessage>),
    Split(Box<Splitting>),
}

struct Splitting {
    splitter: Splitter,
    parts: Vec<PartTemplate>,
    body_index: usize,
}

struct XmlDisassembler {
    settings: Arc<Settings>,
    plans: Arc<Plans>,
    work: Work,
}

impl Disassembler for XmlDisassembler {
    /// Judges by format: text that begins with `<`, in any character set. Messages without data are taken
    /// too, because the settings say what becomes of them.
    fn probe(&mut self, _: &PipelineContext, message: &mut PipelineMessage) -> Result<Option<bool>, ComponentError> {
        let Some(part) = message.body() else { return Ok(Some(true)) };
        let mut head = Vec::new();
        part.body.rewind().map_err(|e| XmlError::unreadable(&e))?;
        (&mut part.body).take(1024).read_to_end(&mut head).map_err(|e| XmlError::unreadable(&e))?;
        part.body.seek(SeekFrom::Start(0)).map_err(|e| XmlError::unreadable(&e))?;
        Ok(Some(looks_like_xml(&head, part.charset.as_deref())))
    }

    fn disassemble(&mut self, context: &PipelineContext, mut message: PipelineMessage) -> Result<(), ComponentError> {
        let effective = Effective::new(&self.settings, &message.context);
        let body_index = message.body_index;
        let input = match message.body() {
            None => None,
            Some(part) => {
                let body = std::mem::replace(&mut part.body, Body::from_bytes(Vec::new()));
                Some(Input::open(body, part.charset.as_deref(), self.settings.limits.total_bytes)?)
            }
        };
        let Some(input) = input.filter(|input| !input.is_empty()) else {
            if !effective.allow_unrecognized {
                return Err(ComponentError::new(code::XML_NO_DATA, "the message has no body or an empty one"));
            }
            self.work = Work::Pass(Box::new(message));
            return Ok(());
        };
        let mut base = message.context;
        if let Some(charset) = input.source_charset() {
            base.write(xmlnorm::SOURCE_CHARSET, Value::string(charset.name()));
        }
        let parts = templates(message.parts, body_index).map_err(|e| XmlError::unreadable(&e))?;
        let resolver = Arc::new(Resolver { schemas: context.schemas.clone(), plans: self.plans.clone(), effective });
        let reader = Reader::new(input, self.settings.limits.clone());
        let splitter = Splitter::new(reader, resolver, context.time_zone.clone(), base);
        self.work = Work::Split(Box::new(Splitting { splitter, parts, body_index }));
        Ok(())
    }

    fn next(&mut self, _: &PipelineContext) -> Result<Option<PipelineMessage>, ComponentError> {
        match std::mem::replace(&mut self.work, Work::Nothing) {
            Work::Nothing => Ok(None),
            Work::Pass(message) => Ok(Some(*message)),
            Work::Split(mut splitting) => {
                let cut = splitting.splitter.next_document()?;
                let message = cut.map(|cut| splitting.message(cut)).transpose()?;
                if message.is_some() {
                    self.work = Work::Split(splitting);
                }
                Ok(message)
            }
        }
    }
}

impl Splitting {
    fn message(&self, cut: Cut) -> Result<PipelineMessage, ComponentError> {
        let Cut { context, body, unchanged } = cut;
        let mut body = Some(body);
        let mut parts = Vec::with_capacity(self.parts.len());
        for (index, template) in self.parts.iter().enumerate() {
            let converted = index == self.body_index && !unchanged;
            let body = match body.take_if(|_| index == self.body_index) {
                Some(body) => body,
                None => template.body().map_err(|e| XmlError::unreadable(&e))?,
            };
            parts.push(PipelinePart {
                name: template.name.clone(),
                content_type: if converted { template.content_type.as_deref().map(without_charset) } else { template.content_type.clone() },
                charset: if converted { Some(SmolStr::new_static("utf-8")) } else { template.charset.clone() },
                body,
            });
        }
        Ok(PipelineMessage { context, parts, body_index: self.body_index })
    }
}

/// A part of which every document gets a copy.
struct PartTemplate {
    name: SmolStr,
    content_type: Option<SmolStr>,
    charset: Option<SmolStr>,
    piece: Option<Piece>,
}

impl PartTemplate {
    fn body(&self) -> std::io::Result<Body> {
        let mut output = Output::default();
        if let Some(piece) = &self.piece {
            output.piece(piece.clone())?;
        }
        output.finish()
    }
}

fn templates(parts: Vec<PipelinePart>, body_index: usize) -> std::io::Result<Vec<PartTemplate>> {
    let template = |(index, part): (usize, PipelinePart)| {
        let piece = match part.body {
            _ if index == body_index => None,
            Body::Bytes(cursor) => Some(Piece::Bytes(cursor.into_inner())),
            Body::Stream { stream, .. } => Some(Piece::Section(Section::whole(stream)?)),
        };
        Ok(PartTemplate { name: part.name, content_type: part.content_type, charset: part.charset, piece })
    };
    parts.into_iter().enumerate().map(template).collect()
}

/// Whether text begins with `<`.
pub(crate) fn looks_like_xml(head: &[u8], part_charset: Option<&str>) -> bool {
    // A character set that is unknown is reported when the message is read.
    let Ok(detected) = charset::detect(head, part_charset) else { return true };
    let mut text = Vec::new();
    let bytes = &head[detected.skip.min(head.len())..];
    // What was decoded before a broken or cut character is enough to judge by.
    let _ = charset::Decoding::new(detected.charset).decode(bytes, &mut text, false);
    text.iter().find(|b| !is_space(**b)).is_none_or(|b| *b == b'<')
}

/// A content type without its charset parameter, which no longer holds.
pub(crate) fn without_charset(content_type: &str) -> SmolStr {
    let keep = |parameter: &&str| !parameter.trim_start().get(..8).is_some_and(|start| start.eq_ignore_ascii_case("charset="));
    let kept: Vec<&str> = content_type.split(';').filter(keep).collect();
    kept.join(";").into()
}
