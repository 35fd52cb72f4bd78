//! One document being cut out of the interchange: its text, without copying where that is possible, and
//! its fields.

use super::{fields::Capture, split::Cut};
use crate::{
    stream::Output,
    xml::{Reader, Token, XmlError, escape::escape_attribute},
};
use portolan_model::{Context, SmolStr, Value, code, system::bts};
use std::io::Write;

/// Where the text of the document comes from.
enum Text {
    /// It is not wanted: only envelopes are looked at.
    Skipped,
    /// The body as it came.
    Original,
    /// From an offset of the text to the end of the document, after what is in the output.
    Slice { from: u64, output: Output },
    /// Copied token by token, because the text is converted while it is read.
    Copied(Output),
}

/// A document whose end has not come.
pub struct Document {
    /// Depth of its root element.
    pub depth: usize,
    /// Bytes of namespace declarations that its root has from the envelopes.
    pub passed_on: u64,
    capture: Option<Capture>,
    /// What it inherits, when there is no capture to put fields over it.
    context: Context,
    message_type: SmolStr,
    text: Text,
}

impl Document {
    /// Begins at the start tag of the document's root. `context` is what it inherits, when there is no
    /// `capture` that has it. `prolog`: what goes
    /// before the root, as offset and, when the text must be copied, as text; `None` inside an envelope,
    /// whose namespace declarations are then copied to the root.
    ///
    /// # Errors
    /// When the text cannot be kept.
    pub fn open(
        reader: &Reader,
        capture: Option<Capture>,
        context: Context,
        message_type: SmolStr,
        prolog: Option<(u64, Option<Output>)>,
        skip: bool,
        whole: bool,
    ) -> Result<Self, XmlError> {
        let copies = reader.input().piece(0, 0).is_none();
        let mut text = match prolog {
            _ if skip => Text::Skipped,
            _ if whole => Text::Original,
            Some((_, Some(output))) => Text::Copied(output),
            Some((from, None)) => Text::Slice { from, output: Output::default() },
            None if copies => Text::Copied(Output::default()),
            None => Text::Slice { from: reader.offset(), output: Output::default() },
        };
        let inherited = reader.scope().inherited(reader.depth());
        let mut passed_on = 0;
        if !inherited.is_empty()
            && let Text::Slice { output, .. } | Text::Copied(output) = &mut text
        {
            let (name, rest) = reader.raw().split_at(reader.name_end());
            let mut tag = name.to_vec();
            for (prefix, uri) in inherited {
                let colon = if prefix.is_empty() { "" } else { ":" };
                tag.extend_from_slice(format!(" xmlns{colon}{prefix}=\"{}\"", escape_attribute(uri)).as_bytes());
            }
            passed_on = (tag.len() - name.len()) as u64;
            tag.extend_from_slice(rest);
            write(output, &tag)?;
            if let Text::Slice { from, .. } = &mut text {
                *from = reader.end_offset();
            }
        } else if let Text::Copied(output) = &mut text {
            write(output, reader.raw())?;
        }
        Ok(Self { depth: reader.depth(), passed_on, capture, context, message_type, text })
    }

    /// Takes a start tag.
    ///
    /// # Errors
    /// Errors of fields, or when the text cannot be kept.
    pub fn start(&mut self, reader: &Reader) -> Result<(), XmlError> {
        if reader.depth() > self.depth {
            self.copy(reader)?;
        }
        match &mut self.capture {
            Some(capture) => capture.start(reader).map(drop),
            None => Ok(()),
        }
    }

    /// Takes the end of an element; `empty_tag`: it was `<f/>`.
    ///
    /// # Errors
    /// Errors of fields, or when the text cannot be kept.
    pub fn end(&mut self, reader: &Reader, empty_tag: bool) -> Result<(), XmlError> {
        if !empty_tag {
            self.copy(reader)?;
        }
        match &mut self.capture {
            Some(capture) => capture.end(reader, empty_tag),
            None => Ok(()),
        }
    }

    /// Takes any other token.
    ///
    /// # Errors
    /// Errors of fields, or when the text cannot be kept.
    pub fn other(&mut self, token: Token, reader: &Reader) -> Result<(), XmlError> {
        self.copy(reader)?;
        match &mut self.capture {
            Some(capture) if capture.wants_text() => match token {
                Token::Text | Token::CData => capture.text(reader.text_content(), reader),
                Token::Reference => capture.character(reader.character(), reader),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn copy(&mut self, reader: &Reader) -> Result<(), XmlError> {
        match &mut self.text {
            Text::Copied(output) => write(output, reader.raw()),
            _ => Ok(()),
        }
    }

    /// The finished document, at the token that ends it.
    ///
    /// # Errors
    /// PTL0105 when the message type is too long to be promoted; when the text cannot be kept.
    pub fn finish(self, reader: &Reader) -> Result<Cut, XmlError> {
        let unchanged = matches!(self.text, Text::Original);
        let output = match self.text {
            Text::Skipped => Output::default(),
            Text::Copied(output) => output,
            Text::Original => {
                let mut output = Output::default();
                output.piece(reader.input().original()).map_err(|e| XmlError::unreadable(&e))?;
                output
            }
            Text::Slice { from, mut output } => {
                if let Some(piece) = reader.input().piece(from, reader.end_offset()) {
                    output.piece(piece).map_err(|e| XmlError::unreadable(&e))?;
                }
                output
            }
        };
        let mut context = self.capture.map_or(self.context, |capture| capture.context);
        // Last, so that no field of the document can pass for its type.
        context
            .promote(bts::MESSAGE_TYPE, Value::String(self.message_type))
            .map_err(|error| reader.error_here(code::PROPERTY_INVALID, error.to_string()))?;
        let body = output.finish().map_err(|e| XmlError::unreadable(&e))?;
        Ok(Cut { context, body, unchanged })
    }
}

fn write(output: &mut Output, bytes: &[u8]) -> Result<(), XmlError> {
    output.write_all(bytes).map_err(|e| XmlError::unreadable(&e))
}
