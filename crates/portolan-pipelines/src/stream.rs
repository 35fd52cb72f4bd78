//! Bodies made of pieces of other bodies, so that a large document passes through without being copied.
//!
//! **Must never** read a piece before somebody asks for its bytes.

use bytes::Bytes;
use portolan_sdk::{
    Body,
    body::{ReadSeek, SPOOL_MEMORY, Spool},
};
use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// A stretch of a stream that others read too: each has its own position.
#[derive(Clone)]
pub struct Section {
    stream: Arc<Mutex<Box<dyn ReadSeek>>>,
    start: u64,
    length: u64,
    position: u64,
}

impl Section {
    /// The whole of a stream.
    ///
    /// # Errors
    /// When its length cannot be found.
    pub fn whole(mut stream: Box<dyn ReadSeek>) -> io::Result<Self> {
        let length = stream.seek(SeekFrom::End(0))?;
        Ok(Self { stream: Arc::new(Mutex::new(stream)), start: 0, length, position: 0 })
    }

    /// A stretch of this one, cut where this one ends.
    #[must_use]
    pub fn part(&self, from: u64, to: u64) -> Self {
        let from = from.min(self.length);
        let to = to.clamp(from, self.length);
        Self { stream: self.stream.clone(), start: self.start + from, length: to - from, position: 0 }
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.seek(SeekFrom::Start(self.start + position))?;
        stream.read(&mut buffer[..wanted])
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(self.position, buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = target(to, self.position, self.length)?;
        Ok(self.position)
    }
}

fn target(to: SeekFrom, position: u64, length: u64) -> io::Result<u64> {
    match to {
        SeekFrom::Start(at) => Some(at),
        SeekFrom::Current(by) => position.checked_add_signed(by),
        SeekFrom::End(by) => length.checked_add_signed(by),
    }
    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the body"))
}

/// One piece of a body.
#[derive(Clone)]
pub enum Piece {
    /// In memory.
    Bytes(Bytes),
    /// From a stream.
    Section(Section),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Section(section) => section.length,
        }
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let rest = usize::try_from(position).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
            Self::Section(section) => section.read_at(position, buffer),
        }
    }
}

/// Pieces one after the other, as one seekable stream.
struct Chain {
    pieces: Vec<Piece>,
    length: u64,
    position: u64,
}

impl Read for Chain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut start = 0;
        for piece in &self.pieces {
            let end = start + piece.length();
            if self.position < end {
                let read = piece.read_at(self.position - start, buffer)?;
                self.position += read as u64;
                return Ok(read);
            }
            start = end;
        }
        Ok(0)
    }
}

impl Seek for Chain {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = target(to, self.position, self.length)?;
        Ok(self.position)
    }
}

/// Collects a body: pieces of other bodies and bytes written, which go to a temporary file when there
/// are many.
#[derive(Default)]
pub struct Output {
    pieces: Vec<Piece>,
    written: Vec<u8>,
    spool: Option<Spool>,
}

impl Output {
    /// Adds a piece of another body.
    ///
    /// # Errors
    /// When what was written before cannot be kept.
    pub fn piece(&mut self, piece: Piece) -> io::Result<()> {
        self.close_written()?;
        if piece.length() > 0 {
            self.pieces.push(piece);
        }
        Ok(())
    }

    /// The body.
    ///
    /// # Errors
    /// When what was written cannot be kept.
    pub fn finish(mut self) -> io::Result<Body> {
        self.close_written()?;
        if let [Piece::Bytes(bytes)] = self.pieces.as_slice() {
            return Ok(Body::from_bytes(bytes.clone()));
        }
        let length = self.pieces.iter().map(Piece::length).sum();
        let mut chain = Chain { pieces: self.pieces, length, position: 0 };
        if length > SPOOL_MEMORY as u64 {
            return Ok(Body::from_stream(chain, Some(length)));
        }
        // A small body is in memory: whoever comes next is faster with it.
        let mut joined = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        chain.read_to_end(&mut joined)?;
        Ok(Body::from_bytes(joined))
    }

    fn close_written(&mut self) -> io::Result<()> {
        if let Some(spool) = self.spool.take()
            && let Body::Stream { stream, .. } = Body::from_spool(spool)?
        {
            self.pieces.push(Piece::Section(Section::whole(stream)?));
        }
        if !self.written.is_empty() {
            self.pieces.push(Piece::Bytes(std::mem::take(&mut self.written).into()));
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(spool) = &mut self.spool {
            return spool.write(bytes);
        }
        if self.written.len() + bytes.len() > SPOOL_MEMORY {
            let mut spool = Spool::new();
            spool.write_all(&self.written)?;
            spool.write_all(bytes)?;
            self.written = Vec::new();
            self.spool = Some(spool);
        } else {
            self.written.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &mut Body) -> Vec<u8> {
        let mut all = Vec::new();
        body.rewind().unwrap();
        body.read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn pieces_and_written_bytes_come_out_in_order() {
        let big = vec![7u8; SPOOL_MEMORY + 5];
        let section = Section::whole(Box::new(io::Cursor::new(b"0123456789".to_vec()))).unwrap();
        let mut output = Output::default();
        output.write_all(b"ab").unwrap();
        output.piece(Piece::Section(section.part(2, 5))).unwrap();
        output.write_all(&big).unwrap();
        output.piece(Piece::Bytes(Bytes::from_static(b"end"))).unwrap();
        let mut body = output.finish().unwrap();
        let mut want = b"ab234".to_vec();
        want.extend_from_slice(&big);
        want.extend_from_slice(b"end");
        assert_eq!(body.length(), Some(want.len() as u64));
        assert_eq!(read(&mut body), want);
        assert_eq!(read(&mut body), want);
        body.seek(SeekFrom::Start(3)).unwrap();
        let mut two = [0; 2];
        body.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"34");
    }

    #[test]
    fn sections_of_one_stream_do_not_disturb_each_other() {
        let whole = Section::whole(Box::new(io::Cursor::new(b"0123456789".to_vec()))).unwrap();
        let (mut a, mut b) = (whole.part(0, 4), whole.part(6, 99));
        let mut one = [0; 1];
        a.read_exact(&mut one).unwrap();
        b.read_exact(&mut one).unwrap();
        assert_eq!(&one, b"6");
        a.read_exact(&mut one).unwrap();
        assert_eq!(&one, b"1");
        assert_eq!(b.length(), 4);
        assert!(a.seek(SeekFrom::Current(-9)).is_err());
    }
}
