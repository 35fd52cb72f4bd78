//! The output in its character set. A character that the set lacks becomes a reference; inside a CDATA
//! section the section is interrupted for it; in a comment or processing instruction the reference is
//! plain text; in a name there is no way and it is an error.

use crate::{
    stream::Output,
    xml::{Charset, Token},
};
use encoding_rs::{Encoder, EncoderResult};
use std::io::{self, Write};

/// Where a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    CData,
    Name,
}

/// Writes text in a character set.
pub struct Encoding {
    charset: Charset,
    encoder: Option<Encoder>,
    buffer: Vec<u8>,
}

/// Why text cannot be written.
#[derive(Debug)]
pub enum EncodeError {
    /// A name has a character that the set lacks.
    Name(char),
    /// The output cannot be kept.
    Io(io::Error),
}

impl From<io::Error> for EncodeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Encoding {
    /// For a character set.
    #[must_use]
    pub fn new(charset: Charset) -> Self {
        let encoder = match charset {
            Charset::Other(encoding) => Some(encoding.new_encoder()),
            _ => None,
        };
        Self { charset, encoder, buffer: Vec::new() }
    }

    /// Whether text goes out as it is.
    #[must_use]
    pub fn is_utf8(&self) -> bool {
        self.charset == Charset::Utf8
    }

    /// Writes a token.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn token(&mut self, kind: Token, raw: &[u8], output: &mut Output) -> Result<(), EncodeError> {
        if self.is_utf8() {
            return Ok(output.write_all(raw)?);
        }
        let text = std::str::from_utf8(raw).unwrap_or_default();
        match kind {
            Token::Start | Token::End => {
                let mut quote = None;
                let mut from = 0;
                for (at, byte) in raw.iter().enumerate().filter(|(_, b)| matches!(b, b'"' | b'\'')) {
                    if quote.is_none_or(|q| q == *byte) {
                        self.encode(&text[from..at], if quote.is_none() { Place::Name } else { Place::Text })?;
                        from = at;
                        quote = if quote.is_none() { Some(*byte) } else { None };
                    }
                }
                self.encode(&text[from..], Place::Name)?;
            }
            Token::CData => self.encode(text, Place::CData)?,
            _ => self.encode(text, Place::Text)?,
        }
        output.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the text: character sets with states return to the first.
    ///
    /// # Errors
    /// When the output cannot be kept.
    pub fn finish(&mut self, output: &mut Output) -> io::Result<()> {
        if let Some(encoder) = &mut self.encoder {
            let mut end = [0; 16];
            let (_, _, written) = encoder.encode_from_utf8_without_replacement("", &mut end, true);
            output.write_all(&end[..written])?;
        }
        Ok(())
    }

    fn encode(&mut self, text: &str, place: Place) -> Result<(), EncodeError> {
        let mut rest = text;
        while let Some((missing, after)) = self.run(rest) {
            if place == Place::Name {
                return Err(EncodeError::Name(missing));
            }
            let reference = format!("&#{};", u32::from(missing));
            match place {
                Place::CData => self.run(&format!("]]>{reference}<![CDATA[")),
                _ => self.run(&reference),
            };
            rest = &rest[after..];
        }
        Ok(())
    }

    /// Encodes up to the first character that the set lacks; returns it and where the text goes on.
    fn run(&mut self, text: &str) -> Option<(char, usize)> {
        let highest = match self.charset {
            Charset::Utf8 => {
                self.buffer.extend_from_slice(text.as_bytes());
                return None;
            }
            Charset::Utf16Le => {
                self.buffer.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
                return None;
            }
            Charset::Utf16Be => {
                self.buffer.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
                return None;
            }
            Charset::Latin1 => '\u{FF}',
            Charset::Ascii => '\u{7F}',
            Charset::Other(_) => return self.run_table(text),
        };
        for (at, c) in text.char_indices() {
            match u8::try_from(u32::from(c)) {
                Ok(byte) if c <= highest => self.buffer.push(byte),
                _ => return Some((c, at + c.len_utf8())),
            }
        }
        None
    }

    fn run_table(&mut self, text: &str) -> Option<(char, usize)> {
        let encoder = self.encoder.as_mut()?;
        let mut done = 0;
        loop {
            let from = self.buffer.len();
            let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len() - done).unwrap_or(64);
            self.buffer.resize(from + room, 0);
            let (result, read, written) = encoder.encode_from_utf8_without_replacement(&text[done..], &mut self.buffer[from..], false);
            self.buffer.truncate(from + written);
            done += read;
            match result {
                EncoderResult::InputEmpty => return None,
                EncoderResult::OutputFull => {}
                EncoderResult::Unmappable(c) => return Some((c, done)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn encode(label: &str, tokens: &[(Token, &str)]) -> Result<Vec<u8>, EncodeError> {
        let mut encoding = Encoding::new(Charset::for_label(label).unwrap());
        let mut output = Output::default();
        for (kind, raw) in tokens {
            encoding.token(*kind, raw.as_bytes(), &mut output)?;
        }
        encoding.finish(&mut output).unwrap();
        let mut all = Vec::new();
        output.finish().unwrap().read_to_end(&mut all).unwrap();
        Ok(all)
    }

    #[test]
    fn missing_characters_become_references_where_they_can() {
        let tokens =
            [(Token::Start, "<a b=\"é€'>\" c='\"€'>"), (Token::Text, "é€"), (Token::CData, "<![CDATA[1€2]]>"), (Token::End, "</a>")];
        let out = encode("iso-8859-1", &tokens).unwrap();
        assert_eq!(out, b"<a b=\"\xE9&#8364;'>\" c='\"&#8364;'>\xE9&#8364;<![CDATA[1]]>&#8364;<![CDATA[2]]></a>");
        let out = encode("us-ascii", &[(Token::Text, "é")]).unwrap();
        assert_eq!(out, b"&#233;");
        let out = encode("windows-1252", &[(Token::Text, "€λ😀")]).unwrap();
        assert_eq!(out, b"\x80&#955;&#128512;");
        assert!(matches!(encode("us-ascii", &[(Token::Start, "<é>")]), Err(EncodeError::Name('é'))));
    }

    #[test]
    fn unicode_and_stateful_sets_come_out_right() {
        assert_eq!(encode("utf-16be", &[(Token::Text, "a😀")]).unwrap(), b"\0a\xD8\x3D\xDE\x00");
        let out = encode("iso-2022-jp", &[(Token::Text, "あ€"), (Token::Text, "い")]).unwrap();
        let (text, _, broken) = encoding_rs::ISO_2022_JP.decode(&out);
        assert!(!broken);
        assert_eq!(text, "あ&#8364;い");
        assert!(out.ends_with(b"\x1B(B"));
    }
}
