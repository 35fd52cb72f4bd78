//! Messages: parts, of which exactly one is the body when there are any, and a context.
//! A message is immutable once it has been published (manual page "The BizTalk Server Message").

use crate::{
    id::{BodyId, MessageId},
    property::Context,
    time::Timestamp,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Reference to a body that the store keeps in chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BodyRef {
    /// Which stored body.
    pub id: BodyId,
    /// Its length in bytes.
    pub length: u64,
}

/// The bytes of a part: in memory when small, in the store when large.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartContent {
    /// The bytes themselves.
    Inline(Bytes),
    /// A body streamed into the store before the message was published.
    Stored(BodyRef),
}

impl PartContent {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored(body) => body.length,
        }
    }

    /// Whether the part has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One part of a message: an opaque byte stream with its description.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Name, unique inside the message; the body part is usually called `body`.
    pub name: SmolStr,
    /// MIME content type, if known.
    pub content_type: Option<SmolStr>,
    /// Character set, if known.
    pub charset: Option<SmolStr>,
    /// The bytes.
    pub content: PartContent,
}

/// One immutable message: what the MessageBox stores once for any number of subscribers.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Identity.
    pub id: MessageId,
    /// When it was published or suspended, UTC.
    pub created: Timestamp,
    /// Typed properties.
    pub context: Context,
    /// Parts; the one at [`Message::body_index`] is the body.
    pub parts: Vec<Part>,
    /// Which part is the body; meaningless when there are no parts.
    pub body_index: u8,
}

/// Why parts do not form a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageError {
    /// The body index names no part.
    #[error("the message has {parts} parts, but its body is said to be part {body_index}")]
    NoSuchBody {
        /// How many parts there are.
        parts: usize,
        /// The index given.
        body_index: u8,
    },
    /// Two parts share a name.
    #[error("the message has two parts named \"{0}\"; part names are unique inside a message")]
    DuplicatePart(SmolStr),
}

impl Message {
    /// A message of one body part named `body`.
    #[must_use]
    pub fn of_body(id: MessageId, created: Timestamp, context: Context, content: PartContent) -> Self {
        let part = Part { name: SmolStr::new_static("body"), content_type: None, charset: None, content };
        Self { id, created, context, parts: vec![part], body_index: 0 }
    }

    /// The body part; `None` for a message without parts (a routing failure report).
    #[must_use]
    pub fn body(&self) -> Option<&Part> {
        self.parts.get(usize::from(self.body_index))
    }

    /// Checks the rules of the class: exactly one body among the parts, unique part names.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn validate(&self) -> Result<(), MessageError> {
        if !self.parts.is_empty() && self.body().is_none() {
            return Err(MessageError::NoSuchBody { parts: self.parts.len(), body_index: self.body_index });
        }
        for (at, part) in self.parts.iter().enumerate() {
            if self.parts[..at].iter().any(|p| p.name == part.name) {
                return Err(MessageError::DuplicatePart(part.name.clone()));
            }
        }
        Ok(())
    }

    /// Total length of the parts in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.parts.iter().map(|p| p.content.len()).sum()
    }

    /// The stored (not inline) bodies of this message.
    pub fn stored_bodies(&self) -> impl Iterator<Item = BodyRef> {
        self.parts.iter().filter_map(|p| match &p.content {
            PartContent::Stored(body) => Some(*body),
            PartContent::Inline(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn exactly_one_body_and_unique_names() {
        let mut message =
            Message::of_body(MessageId(Uuid::nil()), Timestamp(0), Context::new(), PartContent::Inline(Bytes::from_static(b"x")));
        message.validate().unwrap();
        message.body_index = 1;
        assert!(matches!(message.validate(), Err(MessageError::NoSuchBody { .. })));
        message.body_index = 0;
        message.parts.push(message.parts[0].clone());
        assert_eq!(message.validate(), Err(MessageError::DuplicatePart("body".into())));
    }
}
