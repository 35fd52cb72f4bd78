//! One message through the assembler.

use super::{
    demotion::Demotion,
    encode::{EncodeError, Encoding},
    prolog::{declaration, keeps_instructions, new_instructions},
    settings::{Effective, Settings},
    skeleton::Skeleton,
};
use crate::{
    disassembler::{Plans, looks_like_xml, shorten, without_charset},
    stream::Output,
    xml::{Input, Reader, Token, XmlError},
};
use portolan_model::{SmolStr, code};
use portolan_sdk::{Body, ComponentError, DocumentSpec, PipelineContext, PipelineMessage, Schemas};
use std::{io::Write, sync::Arc};

/// What is known of the document when its root comes.
enum Recognized {
    Schema(Arc<DocumentSpec>),
    /// Deployed more than once, so that no schema can be chosen.
    Ambiguous,
    No,
}

/// Builds the output.
///
/// # Errors
/// PTL0116 without data, PTL0111 without a schema, PTL0112 for a type that is not listed, PTL0118 when the
/// output cannot be written, and the reader's errors.
pub fn assemble(
    settings: &Settings,
    plans: &Plans,
    context: &PipelineContext,
    mut message: PipelineMessage,
) -> Result<PipelineMessage, ComponentError> {
    let effective = Effective::new(settings, &message.context)?;
    let input = match message.body() {
        None => None,
        Some(part) => {
            let body = std::mem::replace(&mut part.body, Body::from_bytes(Vec::new()));
            Some(Input::open(body, part.charset.as_deref(), settings.limits.total_bytes)?)
        }
    };
    let Some(mut input) = input.filter(|input| !input.is_empty()) else {
        if effective.allow_unrecognized {
            return Ok(message);
        }
        return Err(ComponentError::new(code::XML_NO_DATA, "the message has no body or an empty one"));
    };
    if effective.allow_unrecognized {
        input.fill(0)?;
        if !looks_like_xml(input.window(), Some("utf-8")) {
            return unchanged(message, &input);
        }
    }
    let reader = Reader::new(input, settings.limits.clone());
    let mut build =
        Build { reader, effective: &effective, encoding: Encoding::new(effective.charset), output: Output::default(), prolog: Vec::new() };
    let schema = match build.prolog(&context.schemas)? {
        Recognized::No => return unchanged(message, build.reader.input()),
        Recognized::Ambiguous => None,
        Recognized::Schema(spec) => Some(spec),
    };
    let demotion = match schema {
        Some(spec) => Demotion::new(plans.of(&spec, &context.schemas)?, &message.context),
        None => None,
    };
    let skeletons = skeletons(&effective, &context.schemas, &message)?;
    build.head(&skeletons)?;
    build.document(demotion)?;
    let body = build.tail(&skeletons)?;
    if let Some(part) = message.body() {
        part.body = body;
        part.charset = Some(effective.charset.name().into());
        part.content_type = part.content_type.as_deref().map(without_charset);
    }
    Ok(message)
}

fn unchanged(mut message: PipelineMessage, input: &Input) -> Result<PipelineMessage, ComponentError> {
    let mut output = Output::default();
    output.piece(input.original()).map_err(|e| XmlError::unreadable(&e))?;
    if let Some(part) = message.body() {
        part.body = output.finish().map_err(|e| XmlError::unreadable(&e))?;
    }
    Ok(message)
}

fn skeletons(effective: &Effective, schemas: &Schemas, message: &PipelineMessage) -> Result<Vec<Skeleton>, ComponentError> {
    let build = |name: &String| {
        let spec = schemas.by_name(name).ok_or_else(|| format!("no envelope schema is named \"{name}\""))?;
        Skeleton::new(spec, &message.context)
    };
    let all: Result<_, String> = effective.envelopes.iter().map(build).collect();
    all.map_err(|error| ComponentError::new(code::ASSEMBLER_FAILED, error))
}

struct Build<'e> {
    reader: Reader,
    effective: &'e Effective,
    encoding: Encoding,
    output: Output,
    prolog: Vec<u8>,
}

impl Build<'_> {
    /// Reads up to the root element, keeping what stays of the prolog.
    fn prolog(&mut self, schemas: &Schemas) -> Result<Recognized, ComponentError> {
        loop {
            match self.reader.next_token()? {
                Token::Start => return self.recognize(schemas),
                Token::Comment => self.prolog.extend_from_slice(self.reader.raw()),
                Token::Instruction if keeps_instructions(self.effective) => self.prolog.extend_from_slice(self.reader.raw()),
                _ => {}
            }
            let limit = self.reader.limits().tag_bytes;
            if self.prolog.len() > limit as usize {
                let message = format!("there are more than {limit} bytes before the root element (limit tag_bytes)");
                return Err(self.reader.error_here(code::XML_LIMIT, message).into());
            }
        }
    }

    fn recognize(&self, schemas: &Schemas) -> Result<Recognized, ComponentError> {
        let message_type = match self.reader.name() {
            ("", local) => local.to_owned(),
            (namespace, local) => format!("{namespace}#{local}"),
        };
        let listed = &self.effective.documents;
        if !listed.is_empty() {
            let found = listed.iter().filter_map(|name| schemas.by_name(name)).find(|spec| spec.message_type == message_type);
            return found.map(|spec| Recognized::Schema(spec.clone())).ok_or_else(|| {
                let message =
                    format!("the message type {} is not among the assembler's schemas: {}", shorten(&message_type), listed.join(", "));
                self.reader.error_here(code::XML_NOT_EXPECTED, message).into()
            });
        }
        match schemas.by_type(&message_type) {
            [] if self.effective.allow_unrecognized => Ok(Recognized::No),
            [] => {
                let message = format!(
                    "no schema is deployed for the message type {} (XMLNORM.AllowUnrecognizedMessage on the message would let it pass)",
                    shorten(&message_type)
                );
                Err(self.reader.error_here(code::XML_NO_SCHEMA, message).into())
            }
            [one] => Ok(Recognized::Schema(one.clone())),
            _ => Ok(Recognized::Ambiguous),
        }
    }

    fn markup(&mut self, text: &str) -> Result<(), ComponentError> {
        self.raw(Token::Instruction, text.as_bytes())
    }

    fn raw(&mut self, kind: Token, raw: &[u8]) -> Result<(), ComponentError> {
        self.encoding.token(kind, raw, &mut self.output).map_err(|error| encode_error(&error, self.effective))
    }

    fn head(&mut self, skeletons: &[Skeleton]) -> Result<(), ComponentError> {
        let effective = self.effective;
        if effective.mark {
            self.output.write_all(effective.charset.byte_order_mark()).map_err(|e| XmlError::unreadable(&e))?;
        }
        if effective.declaration {
            self.markup(&declaration(effective.charset, effective.mark))?;
        }
        let (before_envelope, before_document) = new_instructions(effective);
        self.markup(before_envelope)?;
        for skeleton in skeletons {
            self.raw(Token::Text, skeleton.head.as_bytes())?;
        }
        let prolog = std::mem::take(&mut self.prolog);
        self.raw(Token::Instruction, &prolog)?;
        self.markup(before_document)
    }

    /// The document from its root start tag to its root end tag; then the rest of the text, which must be
    /// well-formed and is not kept.
    fn document(&mut self, mut demotion: Option<Demotion>) -> Result<(), ComponentError> {
        let slices = self.encoding.is_utf8() && self.reader.input().piece(0, 0).is_some();
        let mut from = self.reader.offset();
        let mut token = Token::Start;
        loop {
            let ends = self.reader.depth() == 1 && (token == Token::End || (token == Token::Start && self.reader.is_empty_element()));
            let (mut before, mut instead) = (None, None);
            match (&mut demotion, token) {
                (Some(demotion), Token::Start) => instead = demotion.start(&self.reader),
                (Some(demotion), Token::End) => before = demotion.end(&self.reader),
                (Some(demotion), _) => demotion.other(),
                (None, _) => {}
            }
            if slices && (before.is_some() || instead.is_some() || ends) {
                let to = if ends && before.is_none() && instead.is_none() { self.reader.end_offset() } else { self.reader.offset() };
                self.slice(from, to)?;
                from = if instead.is_some() { self.reader.end_offset() } else { to };
            }
            if let Some(text) = &before {
                self.raw(Token::Text, text.as_bytes())?;
            }
            match &instead {
                Some([start, text, end]) => {
                    self.raw(Token::Start, start.as_bytes())?;
                    self.raw(Token::Text, text.as_bytes())?;
                    self.raw(Token::End, end.as_bytes())?;
                }
                None if !slices => self.copy(token)?,
                None if ends && before.is_some() => self.copy(token)?,
                None => {}
            }
            if ends {
                break;
            }
            token = self.reader.next_token()?;
        }
        while self.reader.next_token()? != Token::Eof {}
        Ok(())
    }

    fn slice(&mut self, from: u64, to: u64) -> Result<(), ComponentError> {
        if let Some(piece) = self.reader.input().piece(from, to) {
            self.output.piece(piece).map_err(|e| XmlError::unreadable(&e))?;
        }
        Ok(())
    }

    fn copy(&mut self, token: Token) -> Result<(), ComponentError> {
        let raw = self.reader.raw();
        self.encoding.token(token, raw, &mut self.output).map_err(|error| encode_error(&error, self.effective))
    }

    fn tail(mut self, skeletons: &[Skeleton]) -> Result<Body, ComponentError> {
        for skeleton in skeletons.iter().rev() {
            self.raw(Token::Text, skeleton.tail.as_bytes())?;
        }
        self.encoding.finish(&mut self.output).map_err(|e| XmlError::unreadable(&e))?;
        Ok(self.output.finish().map_err(|e| XmlError::unreadable(&e))?)
    }
}

fn encode_error(error: &EncodeError, effective: &Effective) -> ComponentError {
    match error {
        EncodeError::Name(c) => {
            let message = format!(
                "a name has the character \"{c}\", which the output character set {} lacks",
                SmolStr::from(effective.charset.name())
            );
            ComponentError::new(code::ASSEMBLER_FAILED, message)
        }
        EncodeError::Io(error) => XmlError::unreadable(error).into(),
    }
}
