//! Character sets of messages: their names, how one is recognised, and their decoders
//! (manual page "Character Encoding in XML Disassembler Pipeline Component").

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};

/// A character set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// UTF-16, little endian: what `utf-16` means when written.
    Utf16Le,
    /// UTF-16, big endian.
    Utf16Be,
    /// ISO 8859-1 proper: U+0000 to U+00FF, not windows-1252.
    Latin1,
    /// US-ASCII: a byte above 0x7F is an error, not a guess.
    Ascii,
    /// Any other that the WHATWG encoding standard knows (windows-125x, ISO 8859-x, Shift_JIS, ...).
    Other(&'static Encoding),
}

impl Charset {
    /// The character set of a name, as it stands in an XML declaration or a MIME header.
    #[must_use]
    pub fn for_label(label: &str) -> Option<Self> {
        let label = label.trim().to_ascii_lowercase();
        Some(match label.as_str() {
            "utf-8" | "utf8" => Self::Utf8,
            "utf-16" | "utf16" | "utf-16le" | "unicode" => Self::Utf16Le,
            "utf-16be" | "unicodefffe" => Self::Utf16Be,
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" | "l1" | "cp819" => Self::Latin1,
            "us-ascii" | "ascii" | "ansi_x3.4-1968" | "iso646-us" => Self::Ascii,
            _ => match Encoding::for_label_no_replacement(label.as_bytes())? {
                encoding if encoding == encoding_rs::UTF_8 => Self::Utf8,
                encoding if encoding == UTF_16LE => Self::Utf16Le,
                encoding if encoding == UTF_16BE => Self::Utf16Be,
                encoding => Self::Other(encoding),
            },
        })
    }

    /// The name for declarations and properties, in lower case, for example `windows-1252`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Utf8 => "utf-8".to_owned(),
            Self::Utf16Le => "utf-16".to_owned(),
            Self::Utf16Be => "utf-16be".to_owned(),
            Self::Latin1 => "iso-8859-1".to_owned(),
            Self::Ascii => "us-ascii".to_owned(),
            Self::Other(encoding) => encoding.name().to_ascii_lowercase(),
        }
    }

    /// The byte order mark, for the Unicode sets.
    #[must_use]
    pub fn byte_order_mark(self) -> &'static [u8] {
        match self {
            Self::Utf8 => b"\xEF\xBB\xBF",
            Self::Utf16Le => b"\xFF\xFE",
            Self::Utf16Be => b"\xFE\xFF",
            _ => b"",
        }
    }
}

/// How the character set of a message was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A byte order mark: not remembered in `XMLNORM.SourceCharset`.
    ByteOrderMark,
    /// The part's charset, the XML declaration, or the default: remembered.
    Named,
}

/// What the beginning of a message says of its character set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Detected {
    /// The character set.
    pub charset: Charset,
    /// How it was found.
    pub origin: Origin,
    /// Bytes of the byte order mark, to be skipped.
    pub skip: usize,
}

/// Finds the character set: byte order mark, then the part's charset, then an XML declaration in
/// single-byte characters, then UTF-8. Text that is plainly UTF-16 without a mark is taken as that, and
/// a declaration that says UTF-16 in single-byte characters is not believed. `head` is the first few
/// hundred bytes.
///
/// # Errors
/// The name that is not known, in words.
pub fn detect(head: &[u8], part_charset: Option<&str>) -> Result<Detected, String> {
    let named = |charset| Ok(Detected { charset, origin: Origin::Named, skip: 0 });
    let marked = |charset: Charset| Ok(Detected { charset, origin: Origin::ByteOrderMark, skip: charset.byte_order_mark().len() });
    match head {
        [0xEF, 0xBB, 0xBF, ..] => return marked(Charset::Utf8),
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err("UTF-32 is not supported: send UTF-8 or UTF-16".to_owned()),
        [0xFF, 0xFE, ..] => return marked(Charset::Utf16Le),
        [0xFE, 0xFF, ..] => return marked(Charset::Utf16Be),
        _ => {}
    }
    let shape = match head {
        [b'<', 0, next, 0, ..] if *next != 0 => Some(Charset::Utf16Le),
        [0, b'<', 0, next, ..] if *next != 0 => Some(Charset::Utf16Be),
        _ => None,
    };
    let is_utf16 = |charset| matches!(charset, Charset::Utf16Le | Charset::Utf16Be);
    if let Some(label) = part_charset.filter(|l| !l.trim().is_empty()) {
        let charset = Charset::for_label(label.trim_matches('"'))
            .ok_or_else(|| format!("the message part names the character set \"{label}\", which is not known"))?;
        return named(if is_utf16(charset) { shape.unwrap_or(charset) } else { charset });
    }
    if let Some(charset) = shape {
        return named(charset);
    }
    match declared_encoding(head) {
        None => named(Charset::Utf8),
        Some(label) => match Charset::for_label(&label) {
            Some(charset) if is_utf16(charset) => named(Charset::Utf8),
            Some(charset) => named(charset),
            None => Err(format!("the XML declaration names the character set \"{label}\", which is not known")),
        },
    }
}

/// The encoding that an XML declaration in single-byte characters names.
fn declared_encoding(head: &[u8]) -> Option<String> {
    // `<?xml-stylesheet encoding="..."?>` declares nothing.
    let rest = head.strip_prefix(b"<?xml").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))?;
    let end = rest.windows(2).position(|w| w == b"?>")?;
    let declaration: String = rest.get(..end)?.iter().map(|b| char::from(*b)).collect();
    let (_, after) = declaration.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|q| matches!(q, '"' | '\''))?;
    after.get(1..)?.split_once(quote).map(|(label, _)| label.to_owned())
}

/// Turns bytes of a character set into UTF-8, piece by piece.
pub enum Decoding {
    /// Nothing to convert: only checked.
    Utf8,
    /// ISO 8859-1 and ASCII.
    Bytes {
        /// The highest byte allowed.
        highest: u8,
    },
    /// By encoding_rs.
    Table(Box<Decoder>),
}

impl Decoding {
    /// A decoder from the start of the text, after its byte order mark.
    #[must_use]
    pub fn new(charset: Charset) -> Self {
        let table = |encoding: &'static Encoding| Self::Table(Box::new(encoding.new_decoder_without_bom_handling()));
        match charset {
            Charset::Utf8 => Self::Utf8,
            Charset::Latin1 => Self::Bytes { highest: 0xFF },
            Charset::Ascii => Self::Bytes { highest: 0x7F },
            Charset::Utf16Le => table(UTF_16LE),
            Charset::Utf16Be => table(UTF_16BE),
            Charset::Other(encoding) => table(encoding),
        }
    }

    /// Converts as much of `input` as is complete and appends it to `output`; returns how many bytes
    /// were taken. `last`: nothing follows.
    ///
    /// # Errors
    /// When the bytes are not of the character set; what is before them has been appended.
    pub fn decode(&mut self, input: &[u8], output: &mut Vec<u8>, last: bool) -> Result<usize, &'static str> {
        match self {
            Self::Utf8 => {
                let (valid, broken) = match std::str::from_utf8(input) {
                    Ok(_) => (input.len(), false),
                    Err(error) => (error.valid_up_to(), error.error_len().is_some() || last),
                };
                output.extend_from_slice(&input[..valid]);
                if broken { Err("bytes that are not UTF-8") } else { Ok(valid) }
            }
            Self::Bytes { highest } => {
                let valid = input.iter().position(|b| *b > *highest).unwrap_or(input.len());
                output.extend(input[..valid].iter().flat_map(|b| {
                    let mut buffer = [0; 2];
                    let length = char::from(*b).encode_utf8(&mut buffer).len();
                    buffer.into_iter().take(length)
                }));
                if valid < input.len() { Err("bytes above 0x7F, which US-ASCII does not have") } else { Ok(valid) }
            }
            Self::Table(decoder) => {
                let room = decoder.max_utf8_buffer_length_without_replacement(input.len()).unwrap_or(input.len() * 4 + 16);
                let from = output.len();
                output.resize(from + room, 0);
                let (result, read, written) = decoder.decode_to_utf8_without_replacement(input, &mut output[from..], last);
                output.truncate(from + written);
                match result {
                    DecoderResult::Malformed(..) => Err("bytes that are not of its character set"),
                    DecoderResult::InputEmpty | DecoderResult::OutputFull => Ok(read),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &[u8], part: Option<&str>) -> (String, Origin, usize) {
        let d = detect(head, part).unwrap();
        (d.charset.name(), d.origin, d.skip)
    }

    #[test]
    fn the_mark_beats_the_part_beats_the_declaration_beats_utf_8() {
        let declared = b"<?xml version='1.0' encoding='windows-1252'?><a/>";
        assert_eq!(found(b"\xEF\xBB\xBF<a/>", Some("us-ascii")), ("utf-8".into(), Origin::ByteOrderMark, 3));
        assert_eq!(found(b"\xFF\xFE<\0", None), ("utf-16".into(), Origin::ByteOrderMark, 2));
        assert_eq!(found(declared, Some("\"iso-8859-2\"")), ("iso-8859-2".into(), Origin::Named, 0));
        assert_eq!(found(declared, None), ("windows-1252".into(), Origin::Named, 0));
        assert_eq!(found(b"<a/>", None), ("utf-8".into(), Origin::Named, 0));
    }

    #[test]
    fn utf_16_is_judged_by_the_bytes() {
        assert_eq!(found(b"<\0a\0/\0>\0", None).0, "utf-16");
        assert_eq!(found(b"\0<\0a\0/\0>", Some("utf-16")).0, "utf-16be");
        assert_eq!(found(b"<?xml version='1.0' encoding=\"utf-16\"?><a/>", None).0, "utf-8");
    }

    #[test]
    fn only_the_xml_declaration_declares_an_encoding() {
        assert_eq!(found(b"<?xml\tversion='1.0' encoding='iso-8859-2'?><a/>", None).0, "iso-8859-2");
        assert_eq!(found(b"<?xml-stylesheet encoding='iso-8859-2'?><a/>", None).0, "utf-8");
        assert_eq!(found(b"<?xmlx encoding='iso-8859-2'?><a/>", None).0, "utf-8");
    }

    #[test]
    fn unknown_names_are_refused_by_name() {
        assert!(detect(b"<?xml version='1.0' encoding='klingon'?><a/>", None).unwrap_err().contains("klingon"));
        assert!(detect(b"<a/>", Some("klingon")).unwrap_err().contains("klingon"));
        assert!(detect(b"\xFF\xFE\0\0<\0\0\0", None).unwrap_err().contains("UTF-32"));
    }

    #[test]
    fn decoding_survives_any_cut_of_the_input() {
        let text = "aé€😀z";
        for (charset, bytes) in [
            (Charset::Utf8, text.as_bytes().to_vec()),
            (Charset::Utf16Le, text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            (Charset::Utf16Be, text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ] {
            for cut in 0..=bytes.len() {
                let (mut decoding, mut output) = (Decoding::new(charset), Vec::new());
                let taken = decoding.decode(&bytes[..cut], &mut output, false).unwrap();
                decoding.decode(&bytes[taken..], &mut output, true).unwrap();
                assert_eq!(String::from_utf8(output).unwrap(), text, "{charset:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn broken_text_is_refused() {
        let mut output = Vec::new();
        assert!(Decoding::new(Charset::Utf8).decode(b"a\xFF", &mut output, false).is_err());
        assert!(Decoding::new(Charset::Utf8).decode(b"a\xC3", &mut output, true).is_err());
        assert!(Decoding::new(Charset::Ascii).decode(b"a\x80", &mut output, false).is_err());
        assert!(Decoding::new(Charset::Utf16Le).decode(b"\x00\xD8a\0", &mut output, true).is_err());
        assert!(Decoding::new(Charset::Utf16Le).decode(b"a\0b", &mut output, true).is_err());
    }
}
