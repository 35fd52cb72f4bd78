//! The stored form of one message: a format byte, the length of the head, the head (id, context,
//! descriptions of the parts), then the inline bodies. Its checksum is kept beside it by whoever
//! stores it. Never knows where it is stored.

use bytes::Bytes;
use portolan_model::{BodyRef, Context, Message, MessageId, Part, PartContent, SmolStr, Timestamp};
use serde::{Deserialize, Serialize};

/// First byte of a record. A change of the form takes another number, and reads the old one too.
const FORMAT: u8 = 1;
const PREFIX: usize = 5;

/// An encoded message.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) bytes: Vec<u8>,
    pub(crate) crc: u32,
}

#[derive(Serialize)]
struct HeadOut<'a> {
    id: MessageId,
    created: Timestamp,
    body_index: u8,
    parts: Vec<PartHead>,
    context: &'a Context,
}

#[derive(Deserialize)]
struct HeadIn {
    id: MessageId,
    created: Timestamp,
    body_index: u8,
    parts: Vec<PartHead>,
    context: Context,
}

#[derive(Serialize, Deserialize)]
struct PartHead {
    name: SmolStr,
    content_type: Option<SmolStr>,
    charset: Option<SmolStr>,
    content: ContentHead,
}

#[derive(Serialize, Deserialize)]
enum ContentHead {
    Inline(u64),
    Stored(BodyRef),
}

/// Encodes a message; done by the caller of a commit, not by the writer.
pub(crate) fn encode(message: &Message) -> Result<Record, String> {
    let parts = message.parts.iter().map(|part| PartHead {
        name: part.name.clone(),
        content_type: part.content_type.clone(),
        charset: part.charset.clone(),
        content: match &part.content {
            PartContent::Inline(bytes) => ContentHead::Inline(bytes.len() as u64),
            PartContent::Stored(body) => ContentHead::Stored(*body),
        },
    });
    let head = HeadOut {
        id: message.id,
        created: message.created,
        body_index: message.body_index,
        parts: parts.collect(),
        context: &message.context,
    };
    let head = postcard::to_allocvec(&head).map_err(|error| error.to_string())?;
    let head_length = u32::try_from(head.len()).map_err(|_| "its context is larger than 4 GiB".to_owned())?;
    let inline = || message.parts.iter().filter_map(|part| if let PartContent::Inline(bytes) = &part.content { Some(bytes) } else { None });
    let mut bytes = Vec::with_capacity(PREFIX + head.len() + inline().map(Bytes::len).sum::<usize>());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&head_length.to_le_bytes());
    bytes.extend_from_slice(&head);
    for body in inline() {
        bytes.extend_from_slice(body);
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err("with its inline bodies it is larger than 4 GiB; stream large bodies into the store".into());
    }
    let crc = crc32fast::hash(&bytes);
    Ok(Record { bytes, crc })
}

/// Checks and decodes a record. Bodies are copied out, so that a message does not keep its whole
/// group in memory.
pub(crate) fn decode(bytes: &[u8], crc: u32) -> Result<Message, String> {
    if crc32fast::hash(bytes) != crc {
        return Err("it does not pass its checksum".into());
    }
    let (prefix, rest) = bytes.split_at_checked(PREFIX).ok_or("it is too short")?;
    if prefix[0] != FORMAT {
        return Err(format!("it has the unknown format {}", prefix[0]));
    }
    let head_length = u32::from_le_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    let (head, mut bodies) = rest.split_at_checked(head_length).ok_or("its head is cut off")?;
    let head: HeadIn = postcard::from_bytes(head).map_err(|error| format!("its head cannot be read: {error}"))?;
    let mut parts = Vec::with_capacity(head.parts.len());
    for part in head.parts {
        let content = match part.content {
            ContentHead::Inline(length) => {
                let length = usize::try_from(length).map_err(|_| "a body is too long")?;
                let (body, rest) = bodies.split_at_checked(length).ok_or("a body is cut off")?;
                bodies = rest;
                PartContent::Inline(Bytes::copy_from_slice(body))
            }
            ContentHead::Stored(body) => PartContent::Stored(body),
        };
        parts.push(Part { name: part.name, content_type: part.content_type, charset: part.charset, content });
    }
    Ok(Message { id: head.id, created: head.created, context: head.context, parts, body_index: head.body_index })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_model::{BodyId, Value, system::bts};

    fn message() -> Message {
        let mut context = Context::new();
        context.promote(bts::MESSAGE_TYPE, Value::string("urn:x#order")).unwrap();
        let id = MessageId("0190a000-7000-7000-8000-000000000001".parse().unwrap());
        let mut message = Message::of_body(id, Timestamp(5), context, PartContent::Inline(Bytes::from_static(b"<order/>")));
        let stored = PartContent::Stored(BodyRef { id: BodyId(id.0), length: 7 });
        message.parts.push(Part { name: "large".into(), content_type: Some("text/xml".into()), charset: None, content: stored });
        message
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let record = encode(&message()).unwrap();
        assert_eq!(decode(&record.bytes, record.crc).unwrap(), message());
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let record = encode(&message()).unwrap();
        for at in 0..record.bytes.len() {
            let mut bytes = record.bytes.clone();
            bytes[at] ^= 0x20;
            assert!(decode(&bytes, record.crc).is_err(), "flip at {at}");
            assert!(decode(&record.bytes[..at], crc32fast::hash(&record.bytes[..at])).is_err(), "cut at {at}");
        }
    }
}
