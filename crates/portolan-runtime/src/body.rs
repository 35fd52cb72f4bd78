//! Bodies between pipelines and the store: small ones become part of the message, large ones are
//! streamed into the store in pieces and read back from there, never whole in memory.
//!
//! Everything here blocks: it runs on the blocking pool, or inline for bodies already in memory.

use crate::clock::World;
use bytes::Bytes;
use portolan_model::{BodyId, BodyRef, Message, Part, PartContent};
use portolan_sdk::{Body, PipelineMessage, PipelinePart};
use portolan_store::{MessageBox, StoreError};
use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};
use tokio::runtime::Handle;

/// Bodies up to this many bytes are stored inside their message.
pub const INLINE_MAX: usize = 256 * 1024;

/// Size of the pieces large bodies are stored in.
pub const CHUNK: usize = 1024 * 1024;

/// Why a body could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The source could not be read.
    #[error("the message body cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The store refused a piece.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Takes over pipeline bodies for one batch and remembers what it streamed into the store, so that a
/// batch that is not committed can be undone.
pub struct BodyKeeper {
    store: Arc<dyn MessageBox>,
    world: World,
    inline_budget: usize,
    streamed: Vec<BodyId>,
}

impl BodyKeeper {
    /// A keeper that holds up to `inline_budget` bytes in memory; further bodies go to the store
    /// however small, so that an interchange of many documents stays within bounds.
    pub fn new(store: Arc<dyn MessageBox>, world: World, inline_budget: usize) -> Self {
        Self { store, world, inline_budget, streamed: Vec::new() }
    }

    /// The bodies streamed into the store so far.
    #[must_use]
    pub fn streamed(self) -> Vec<BodyId> {
        self.streamed
    }

    /// Turns pipeline parts into message parts.
    ///
    /// # Errors
    /// [`BodyError`] when a body cannot be read or stored.
    pub fn keep(&mut self, parts: Vec<PipelinePart>) -> Result<Vec<Part>, BodyError> {
        parts
            .into_iter()
            .map(|part| {
                Ok(Part { name: part.name, content_type: part.content_type, charset: part.charset, content: self.keep_body(part.body)? })
            })
            .collect()
    }

    /// Takes over one body.
    ///
    /// # Errors
    /// [`BodyError`] when it cannot be read or stored.
    pub fn keep_body(&mut self, mut body: Body) -> Result<PartContent, BodyError> {
        if let Some(bytes) = body.as_bytes()
            && bytes.len() <= INLINE_MAX.min(self.inline_budget)
        {
            self.inline_budget -= bytes.len();
            return Ok(PartContent::Inline(bytes.clone()));
        }
        body.seek(SeekFrom::Start(0))?;
        let limit = INLINE_MAX.min(self.inline_budget);
        let mut first = Vec::with_capacity(body.length().map_or(8192, |l| usize::try_from(l).unwrap_or(limit).min(limit) + 1));
        body.by_ref().take(limit as u64 + 1).read_to_end(&mut first)?;
        if first.len() <= limit {
            self.inline_budget -= first.len();
            return Ok(PartContent::Inline(first.into()));
        }
        self.stream(first, &mut body)
    }

    fn stream(&mut self, first: Vec<u8>, rest: &mut Body) -> Result<PartContent, BodyError> {
        let id = self.world.body_id();
        self.streamed.push(id);
        let (mut buffer, mut sequence, mut length) = (first, 0_u32, 0_u64);
        loop {
            let have = buffer.len();
            buffer.reserve(CHUNK.saturating_sub(have));
            rest.by_ref().take(CHUNK.saturating_sub(have) as u64).read_to_end(&mut buffer)?;
            if buffer.is_empty() {
                return Ok(PartContent::Stored(BodyRef { id, length }));
            }
            length += buffer.len() as u64;
            wait(self.store.put_chunk(id, sequence, Bytes::from(std::mem::take(&mut buffer))))?;
            sequence += 1;
        }
    }
}

/// The pipeline form of a stored message.
#[must_use]
pub fn pipeline_message(store: &Arc<dyn MessageBox>, message: &Message) -> PipelineMessage {
    let parts = message
        .parts
        .iter()
        .map(|part| PipelinePart {
            name: part.name.clone(),
            content_type: part.content_type.clone(),
            charset: part.charset.clone(),
            body: open(store, &part.content),
        })
        .collect();
    PipelineMessage { context: message.context.clone(), parts, body_index: usize::from(message.body_index) }
}

/// Opens the content of a part.
#[must_use]
pub fn open(store: &Arc<dyn MessageBox>, content: &PartContent) -> Body {
    match content {
        PartContent::Inline(bytes) => Body::from_bytes(bytes.clone()),
        PartContent::Stored(body) => Body::from_stream(StoredBody::new(store.clone(), *body), Some(body.length)),
    }
}

/// Whether a message can be worked on without blocking: every body is in memory and small.
#[must_use]
pub fn is_small(message: &Message) -> bool {
    message.parts.iter().all(|p| matches!(&p.content, PartContent::Inline(b) if b.len() <= 64 * 1024))
}

/// Waits for the store in the middle of synchronous work, on any thread of the runtime.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Handle::current().block_on(future))
}

/// A body read from the store piece by piece.
struct StoredBody {
    store: Arc<dyn MessageBox>,
    body: BodyRef,
    position: u64,
    buffer: Bytes,
}

impl StoredBody {
    fn new(store: Arc<dyn MessageBox>, body: BodyRef) -> Self {
        Self { store, body, position: 0, buffer: Bytes::new() }
    }
}

impl Read for StoredBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && self.position < self.body.length {
            self.buffer = wait(self.store.read_body(self.body, self.position, CHUNK)).map_err(io::Error::other)?;
            if self.buffer.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a piece of the stored body is missing"));
            }
        }
        let count = out.len().min(self.buffer.len());
        out[..count].copy_from_slice(&self.buffer.split_to(count));
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for StoredBody {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.body.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let target = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the body"))?;
        if target != self.position {
            self.buffer = Bytes::new();
            self.position = target;
        }
        Ok(target)
    }
}
