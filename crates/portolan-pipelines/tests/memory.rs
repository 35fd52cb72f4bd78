//! Large documents in bounded memory. One test per process, because memory is measured.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Bench, order};
use portolan_model::Context;
use portolan_sdk::{Body, PipelineMessage};
use serde_json::json;
use std::io::{self, Read, Seek, SeekFrom};

/// A document of any size that exists nowhere: `head`, then `pattern` over and over, then `tail`.
struct Synthetic {
    head: &'static [u8],
    pattern: &'static [u8],
    tail: &'static [u8],
    length: u64,
    position: u64,
}

impl Synthetic {
    fn byte(&self, at: u64) -> u8 {
        let (head, tail) = (self.head.len() as u64, self.length - self.tail.len() as u64);
        match at {
            at if at < head => self.head[at as usize],
            at if at >= tail => self.tail[(at - tail) as usize],
            at => self.pattern[((at - head) % self.pattern.len() as u64) as usize],
        }
    }
}

impl Read for Synthetic {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min((self.length - self.position.min(self.length)) as usize);
        for (at, byte) in buffer[..count].iter_mut().enumerate() {
            *byte = self.byte(self.position + at as u64);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Synthetic {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.position.checked_add_signed(by).unwrap(),
            SeekFrom::End(by) => self.length.checked_add_signed(by).unwrap(),
        };
        Ok(self.position)
    }
}

/// Highest memory use of this process so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn pass(size: u64) {
    let bench = Bench::new("orders");
    let head = b"<?xml version='1.0'?><o:Order xmlns:o='urn:example:order'><Head><Country>DE</Country></Head>";
    let tail = b"</Line><Amount>17</Amount></o:Order>";
    let before = peak();
    // One long text, then many short elements.
    for (pattern, open) in [(&b"0123456789abcdef"[..], &b"<Line>"[..]), (&b"<l a='1'>x&amp;y</l>"[..], &b"<Line>"[..])] {
        let head: &'static [u8] = Box::leak([&head[..], open].concat().into_boxed_slice());
        let repeats = size / pattern.len() as u64;
        let length = head.len() as u64 + repeats * pattern.len() as u64 + tail.len() as u64;
        let stream = Synthetic { head, pattern, tail, length, position: 0 };
        let message = PipelineMessage::of_body(Context::new(), Body::from_stream(stream, Some(length)));
        let mut documents = bench.disassemble(json!({}), message).unwrap();
        assert_eq!(documents.len(), 1);
        assert_eq!(order(&documents[0], "Amount").as_deref(), Some("17"));
        let mut sent = bench.assemble(json!({ "preserve_bom": false, "add_xml_declaration": false }), documents.remove(0)).unwrap();
        let body = &mut sent.body().unwrap().body;
        body.rewind().unwrap();
        let wanted = Synthetic { head, pattern, tail, length, position: 0 };
        let mut buffer = vec![0; 1 << 20];
        let mut at = b"<?xml version='1.0'?>".len() as u64;
        loop {
            let read = body.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            assert!(buffer[..read].iter().enumerate().step_by(509).all(|(n, b)| *b == wanted.byte(at + n as u64)));
            at += read as u64;
        }
        assert_eq!(at, length);
    }
    let grown = peak() - before;
    assert!(grown < 16, "memory grew by {grown} MiB for documents of {} MiB", size >> 20);
}

#[test]
fn a_large_document_passes_in_bounded_memory() {
    pass(24 << 20);
}

#[test]
#[ignore = "takes minutes in a debug build: cargo test --release -p portolan-pipelines --test memory -- --ignored"]
fn a_gigabyte_passes_in_bounded_memory() {
    pass(1 << 30);
}
