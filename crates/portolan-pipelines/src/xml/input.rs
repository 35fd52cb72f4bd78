//! The text of a message as a window of UTF-8 that moves forward. A message in memory is one window and
//! is never copied; a stream is read and converted in pieces.

use super::{
    charset::{Charset, Decoding, Detected, Origin, detect},
    error::XmlError,
};
use crate::stream::{Piece, Section};
use bytes::Bytes;
use portolan_model::code;
use portolan_sdk::{Body, body::SPOOL_MEMORY};
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes read from a stream at once.
const CHUNK: usize = 64 << 10;
/// A body in memory that needs conversion is converted at once up to this size.
const CONVERT_WHOLE: usize = 8 << 20;

/// A stretch of a text in memory is copied up to this size when it is less than half of the text.
const COPY_SMALL: usize = 1 << 20;

/// Where the text comes from.
enum Source {
    /// All of it is in memory.
    Whole(Bytes),
    /// It is read piece by piece.
    Stream { section: Section, raw: Vec<u8>, decoding: Decoding, finished: bool },
}

/// The text of a message.
pub struct Input {
    source: Source,
    original: Piece,
    window: Vec<u8>,
    detected: Detected,
    discarded: u64,
    lines: u64,
    columns: u64,
    limit: u64,
}

impl Input {
    /// Opens a body from its start. `limit` is the most bytes of text that are read.
    ///
    /// # Errors
    /// PTL0117 for a character set that is unknown or wrong, PTL0114 for a body over the limit.
    pub fn open(mut body: Body, part_charset: Option<&str>, limit: u64) -> Result<Self, XmlError> {
        body.rewind().map_err(|e| XmlError::unreadable(&e))?;
        let body = load_small(body).map_err(|e| XmlError::unreadable(&e))?;
        match body {
            Body::Bytes(cursor) => Self::from_bytes(cursor.into_inner(), part_charset, limit),
            Body::Stream { stream, .. } => {
                let section = Section::whole(stream).map_err(|e| XmlError::unreadable(&e))?;
                Self::from_section(section, part_charset, limit)
            }
        }
    }

    fn from_bytes(bytes: Bytes, part_charset: Option<&str>, limit: u64) -> Result<Self, XmlError> {
        let detected = find_charset(&bytes, part_charset)?;
        let text = bytes.slice(detected.skip..);
        let original = Piece::Bytes(bytes.clone());
        let new = |source| Self { source, original, window: Vec::new(), detected, discarded: 0, lines: 0, columns: 0, limit };
        let input = if detected.charset == Charset::Utf8 {
            let broken = std::str::from_utf8(&text).err().map(|e| e.valid_up_to());
            let input = new(Source::Whole(text));
            if let Some(at) = broken {
                return Err(input.wrong_charset(at, "bytes that are not UTF-8"));
            }
            input
        } else if text.len() > CONVERT_WHOLE {
            let section = Section::whole(Box::new(io::Cursor::new(bytes))).map_err(|e| XmlError::unreadable(&e))?;
            return Self::from_section(section, part_charset, limit);
        } else {
            let mut converted = Vec::with_capacity(text.len() + text.len() / 8);
            let result = Decoding::new(detected.charset).decode(&text, &mut converted, true);
            let length = converted.len();
            let input = new(Source::Whole(converted.into()));
            if let Err(what) = result {
                return Err(input.wrong_charset(length, what));
            }
            input
        };
        input.check_limit()?;
        Ok(input)
    }

    fn from_section(section: Section, part_charset: Option<&str>, limit: u64) -> Result<Self, XmlError> {
        let mut head = vec![0; 1024];
        let mut first = section.part(0, head.len() as u64);
        let length = read_full(&mut first, &mut head).map_err(|e| XmlError::unreadable(&e))?;
        let detected = find_charset(&head[..length], part_charset)?;
        Ok(Self::stream(section, detected, limit))
    }

    fn stream(section: Section, detected: Detected, limit: u64) -> Self {
        let text = section.part(detected.skip as u64, section.length());
        let source = Source::Stream { section: text, raw: Vec::new(), decoding: Decoding::new(detected.charset), finished: false };
        Self { source, original: Piece::Section(section), window: Vec::new(), detected, discarded: 0, lines: 0, columns: 0, limit }
    }

    /// The same text from its start again, to be read independently of this one.
    #[must_use]
    pub fn again(&self) -> Self {
        match (&self.source, &self.original) {
            (Source::Whole(bytes), original) => {
                let (source, original) = (Source::Whole(bytes.clone()), original.clone());
                let (detected, limit) = (self.detected, self.limit);
                Self { source, original, window: Vec::new(), detected, discarded: 0, lines: 0, columns: 0, limit }
            }
            (Source::Stream { .. }, Piece::Section(section)) => Self::stream(section.clone(), self.detected, self.limit),
            (Source::Stream { section, .. }, Piece::Bytes(_)) => Self::stream(section.clone(), self.detected, self.limit),
        }
    }

    /// The body as it came, byte order mark and all.
    #[must_use]
    pub fn original(&self) -> Piece {
        self.original.clone()
    }

    /// The text from the last discarded byte on, as far as it has been read.
    #[inline]
    #[must_use]
    pub fn window(&self) -> &[u8] {
        match &self.source {
            Source::Whole(bytes) => bytes,
            Source::Stream { .. } => &self.window,
        }
    }

    /// Reads more text, discarding the first `consumed` bytes of the window; returns how many were
    /// discarded, or `None` when there is no more text (nothing is discarded then).
    ///
    /// # Errors
    /// When the body cannot be read, is not of its character set, or exceeds the limit.
    pub fn fill(&mut self, consumed: usize) -> Result<Option<usize>, XmlError> {
        let Source::Stream { section, raw, decoding, finished } = &mut self.source else { return Ok(None) };
        if *finished {
            return Ok(None);
        }
        let (old, kept) = self.window.split_at(consumed);
        advance_place(old, &mut self.lines, &mut self.columns);
        let kept = kept.len();
        self.window.drain(..consumed);
        self.discarded += consumed as u64;
        // Reading as much again as is kept makes the work on one long token linear.
        let wanted = CHUNK.max(kept);
        let mut failure = None;
        while self.window.len() == kept && !*finished {
            let before = raw.len();
            raw.resize(before + wanted, 0);
            let read = read_full(section, &mut raw[before..]).map_err(|e| XmlError::unreadable(&e))?;
            raw.truncate(before + read);
            *finished = read < wanted;
            match decoding.decode(raw, &mut self.window, *finished) {
                Ok(taken) => drop(raw.drain(..taken)),
                Err(what) => {
                    failure = Some(what);
                    break;
                }
            }
        }
        if let Some(what) = failure {
            return Err(self.wrong_charset(self.window.len(), what));
        }
        self.check_limit()?;
        Ok(Some(consumed))
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Stream { section, .. } => section.length() == 0,
        }
    }

    /// The character set, if it is one that `XMLNORM.SourceCharset` remembers.
    #[must_use]
    pub fn source_charset(&self) -> Option<Charset> {
        (self.detected.origin == Origin::Named).then_some(self.detected.charset)
    }

    /// Offset of the window in the text.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.discarded
    }

    /// A stretch of the text without reading it again; `None` when the text is converted as it is read.
    #[must_use]
    pub fn piece(&self, from: u64, to: u64) -> Option<Piece> {
        match &self.source {
            Source::Whole(bytes) => {
                let piece = bytes.slice(usize::try_from(from).ok()?..usize::try_from(to).ok()?);
                // A small document must not keep a large interchange in memory.
                let copied = piece.len() <= COPY_SMALL && piece.len() < bytes.len() / 2;
                Some(Piece::Bytes(if copied { Bytes::copy_from_slice(&piece) } else { piece }))
            }
            Source::Stream { section, .. } => (self.detected.charset == Charset::Utf8).then(|| Piece::Section(section.part(from, to))),
        }
    }

    /// Line and column (in characters), both from 1, of a byte of the window.
    #[must_use]
    pub fn place(&self, at: usize) -> (u64, u64) {
        let (mut lines, mut columns) = (self.lines, self.columns);
        let window = self.window();
        advance_place(&window[..at.min(window.len())], &mut lines, &mut columns);
        (lines + 1, columns + 1)
    }

    /// An error at a byte of the window.
    #[must_use]
    pub fn error(&self, code: portolan_model::Code, at: usize, message: impl Into<String>) -> XmlError {
        let (line, column) = self.place(at);
        XmlError { code, message: message.into(), line, column }
    }

    fn wrong_charset(&self, at: usize, what: &str) -> XmlError {
        let name = self.detected.charset.name();
        self.error(code::XML_CHARSET, at, format!("the message is read as {name} but has {what}"))
    }

    fn check_limit(&self) -> Result<(), XmlError> {
        if self.discarded + self.window().len() as u64 <= self.limit {
            return Ok(());
        }
        let message = format!("the message has more than {} bytes of text (limit total_bytes)", self.limit);
        Err(XmlError::placeless(code::XML_LIMIT, message))
    }
}

fn find_charset(head: &[u8], part_charset: Option<&str>) -> Result<Detected, XmlError> {
    detect(head.get(..1024).unwrap_or(head), part_charset).map_err(|message| XmlError::placeless(code::XML_CHARSET, message))
}

/// Takes a short stream into memory: everything is faster there.
fn load_small(body: Body) -> io::Result<Body> {
    let Body::Stream { mut stream, length } = body else { return Ok(body) };
    if length.is_some_and(|l| l > SPOOL_MEMORY as u64) {
        return Ok(Body::Stream { stream, length });
    }
    let mut start = Vec::with_capacity(length.map_or(0, |l| l as usize));
    (&mut *stream).take(SPOOL_MEMORY as u64 + 1).read_to_end(&mut start)?;
    if start.len() <= SPOOL_MEMORY {
        return Ok(Body::from_bytes(start));
    }
    stream.seek(SeekFrom::Start(0))?;
    Ok(Body::Stream { stream, length })
}

fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn advance_place(text: &[u8], lines: &mut u64, columns: &mut u64) {
    let last = match text.iter().rposition(|b| *b == b'\n') {
        Some(at) => {
            *lines += text[..=at].iter().filter(|b| **b == b'\n').count() as u64;
            *columns = 0;
            &text[at + 1..]
        }
        None => text,
    };
    *columns += last.iter().filter(|b| **b & 0xC0 != 0x80).count() as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(io::Cursor<Vec<u8>>);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = buffer.len().min(1000);
            self.0.read(&mut buffer[..end])
        }
    }
    impl Seek for Slow {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn drain(mut input: Input) -> Result<String, XmlError> {
        let mut all = input.window().to_vec();
        while input.fill(input.window().len())?.is_some() {
            all.extend_from_slice(input.window());
        }
        Ok(String::from_utf8(all).unwrap())
    }

    #[test]
    fn a_long_stream_comes_out_whole_in_any_charset() {
        let text = "häß€😀\n".repeat(100_000);
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        for bytes in [text.clone().into_bytes(), utf16] {
            let length = Some(bytes.len() as u64);
            let input = Input::open(Body::from_stream(Slow(io::Cursor::new(bytes)), length), None, u64::MAX).unwrap();
            assert_eq!(drain(input).unwrap(), text);
        }
    }

    #[test]
    fn places_are_lines_and_characters_even_far_into_a_stream() {
        let text = "ä\n".repeat(1_000_000) + "äb\u{0}";
        let mut input = Input::open(Body::from_stream(io::Cursor::new(text.into_bytes()), None), None, u64::MAX).unwrap();
        while input.fill(input.window().len()).unwrap().is_some() {}
        assert_eq!(input.place(input.window().len() - 1), (1_000_001, 3));
    }

    #[test]
    fn wrong_bytes_are_reported_with_their_place_and_limits_hold() {
        let error = Input::open(Body::from_bytes(&b"<a>\nab\xFFc"[..]), None, 100).err().unwrap();
        assert_eq!((error.code.id, error.line, error.column), ("PTL0117", 2, 3));
        let error = Input::open(Body::from_bytes(vec![b' '; 101]), None, 100).err().unwrap();
        assert_eq!(error.code.id, "PTL0114");
    }
}
