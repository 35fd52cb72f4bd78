//! The XML reader. Promises: no panic; every byte of the text belongs to exactly one token, in order;
//! elements balance; a refusal has a code and a place inside the text; paths compile or say why not.

use crate::campaign::Target;
use portolan_pipelines::{
    xml::{Input, Limits, Reader, Token, XmlError},
    xpath,
};
use portolan_sdk::body::{Body, SPOOL_MEMORY};
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// The target.
pub const TARGET: Target = Target { name: "xml", run, words: WORDS, longest: 16 << 10, short: 15_000 };

const WORDS: &[&str] = &[
    "<a>",
    "</a>",
    "<a/>",
    "<a b=\"c\">",
    "<x:a xmlns:x=\"urn:x\">",
    "</x:a>",
    " xmlns=\"\"",
    " xmlns=\"urn:y\"",
    " xmlns:x=\"urn:x\"",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
    "encoding=\"UTF-16\"",
    "encoding='ISO-8859-1'",
    "standalone=\"yes\"",
    "<!DOCTYPE a [",
    "<!ENTITY b \"c\">",
    "&b;",
    "&amp;",
    "&lt;",
    "&#0;",
    "&#x10FFFF;",
    "&#xD800;",
    "&#10;",
    "\u{feff}",
    "\u{fffe}",
    "\r\n",
    "\u{85}",
    "\u{0}",
    "]]",
    "--",
    "xml:",
    "xmlns:",
    ":",
    "'",
    "\"",
    "=",
    ">",
    "<",
    "/",
    "/*[local-name()='a' and namespace-uri()='urn:x']",
    "[1]",
    "/@*[local-name()='b']",
];

fn run(bytes: &[u8]) {
    let whole = read(Body::from_bytes(bytes.to_vec()), bytes);
    if let Err((code, words, line, _)) = &whole.outcome {
        assert!(portolan_model::code::ALL.iter().any(|known| known.id == *code) && !words.is_empty(), "an error without code or words");
        let lines = 1 + bytes.iter().filter(|b| **b == b'\n').count() as u64;
        assert!(*line <= lines, "line {line} of {lines}");
    }
    // A large body is read in pieces from a stream; the pieces must not show.
    let large = Some(SPOOL_MEMORY as u64 + 1);
    let pieces = read(Body::from_stream(Dripping(Cursor::new(bytes.to_vec())), large), bytes);
    assert_eq!(whole.outcome, pieces.outcome, "in memory and as a stream");
    // Where reading stopped, one may have handed out a little more than the other.
    if whole.outcome.is_ok() {
        assert_eq!(whole.tokens, pieces.tokens, "in memory and as a stream");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(xpath::parse(text));
    }
}

/// A source that gives a few bytes at a time.
pub(super) struct Dripping(pub(super) Cursor<Vec<u8>>);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = buffer.len().min(1 + self.0.position() as usize % 7);
        self.0.read(&mut buffer[..some])
    }
}

impl Seek for Dripping {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// What reading a text gave.
struct Reading {
    /// Tokens with their bytes; neighbours of one kind joined, because long ones come in pieces.
    tokens: Vec<(Token, Vec<u8>)>,
    /// Code, words, line and column of the refusal.
    outcome: Result<(), (&'static str, String, u64, u64)>,
}

fn read(body: Body, bytes: &[u8]) -> Reading {
    let mut tokens = Vec::new();
    let outcome = read_tokens(body, &mut tokens).map_err(|e| (e.code.id, e.message, e.line, e.column));
    if let (Ok(()), Ok(plain)) = (&outcome, std::str::from_utf8(bytes)) {
        let text: Vec<u8> = tokens.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        // Another character set may be declared; then the text is its conversion.
        let same = text == plain.strip_prefix('\u{feff}').unwrap_or(plain).as_bytes();
        assert!(same || plain.contains("encoding"), "the tokens are not the text");
    }
    Reading { tokens, outcome }
}

fn read_tokens(body: Body, tokens: &mut Vec<(Token, Vec<u8>)>) -> Result<(), XmlError> {
    let limits = Limits { depth: 256, attributes: 64, total_bytes: 1 << 20, ..Limits::default() };
    let input = Input::open(body, None, limits.total_bytes)?;
    let mut reader = Reader::new(input, limits);
    let (mut depth, mut end, mut roots) = (0usize, None, 0);
    loop {
        let token = reader.next_token()?;
        assert!(end.is_none_or(|end| end == reader.offset()), "a gap or overlap before offset {}", reader.offset());
        end = Some(reader.end_offset());
        match tokens.last_mut() {
            Some((last, bytes)) if *last == token && !matches!(token, Token::Start | Token::End | Token::Reference) => {
                bytes.extend_from_slice(reader.raw())
            }
            _ => tokens.push((token, reader.raw().to_vec())),
        }
        match token {
            Token::Start => {
                let (_, local) = reader.name();
                assert!(!local.is_empty() && !local.contains(':'), "local name {local}");
                assert!(reader.attributes().all(|(_, local, _)| !local.is_empty()), "an attribute without name");
                roots += usize::from(depth == 0);
                depth += usize::from(!reader.is_empty_element());
            }
            Token::End => depth = depth.checked_sub(1).expect("an end tag without start tag"),
            Token::Reference => assert!(reader.character() != '\0'),
            Token::Eof => break,
            Token::Text | Token::CData | Token::Comment | Token::Instruction | Token::Declaration => {
                assert!(reader.text_content().len() <= reader.raw().len());
            }
        }
    }
    assert!(depth == 0 && roots == 1, "accepted with {depth} open elements and {roots} roots");
    Ok(())
}
