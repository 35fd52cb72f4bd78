//! The packed form of a commit group: a header that tells which instances and messages are in it,
//! readable without the data, and the data, the records of its messages one after the other.
//! Never knows which instances are still live.

use crate::record::Record;
use portolan_model::{
    InstanceId, Message, MessageId, SmolStr, Timestamp,
    instance::{Instance, InstanceState, MessageForm, Progress, Service, ServiceClass},
    system::bts,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, ops::Range, sync::Arc};

const FORMAT: u8 = 1;
/// A group's data ends at about this size: reading one group must stay cheap.
pub(crate) const PACK_BYTES: usize = 1 << 20;

/// What a group holds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Sequence number of publication that instances count from.
    pub(crate) first: u64,
    /// Message types; messages refer to them by position.
    types: Vec<SmolStr>,
    messages: Vec<HeadMessage>,
    pub(crate) instances: Vec<HeadInstance>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct HeadMessage {
    id: MessageId,
    length: u32,
    crc: u32,
    /// Position in the list of types plus one; 0 for none.
    kind: u32,
}

/// An instance of a group: always ready, without a failure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct HeadInstance {
    /// Sequence number of publication, from [`Header::first`].
    pub(crate) offset: u32,
    /// Position of its message.
    pub(crate) message: u32,
    /// Number of its service.
    pub(crate) service: u32,
    pub(crate) id: InstanceId,
    pub(crate) priority: u8,
    pub(crate) due: Timestamp,
    pub(crate) created: Timestamp,
    form: MessageForm,
    progress: Progress,
    group: Option<SmolStr>,
    about: Option<InstanceId>,
}

/// Where the record of a message lies in the data.
pub(crate) struct Slice {
    pub(crate) id: MessageId,
    pub(crate) range: Range<usize>,
    pub(crate) crc: u32,
}

impl Header {
    /// The stored form, with its checksum at the end.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&postcard::to_allocvec(self).map_err(|error| error.to_string())?);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or("the header is cut off")?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err("the header does not pass its checksum".into());
        }
        match body.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| format!("the header cannot be read: {error}")),
            _ => Err("the header has an unknown format".into()),
        }
    }

    /// How many sequence numbers the group spans.
    pub(crate) fn span(&self) -> u32 {
        self.instances.last().map_or(0, |last| last.offset + 1)
    }

    /// When its newest instance was created.
    pub(crate) fn newest(&self) -> Timestamp {
        self.instances.iter().map(|instance| instance.created).max().unwrap_or_default()
    }

    /// Where every message lies.
    pub(crate) fn slices(&self) -> Vec<Slice> {
        let mut at = 0;
        let slice = |message: &HeadMessage| {
            let range = at..at + message.length as usize;
            at = range.end;
            Slice { id: message.id, range, crc: message.crc }
        };
        self.messages.iter().map(slice).collect()
    }

    /// The message an instance carries.
    pub(crate) fn message_id(&self, instance: &HeadInstance) -> MessageId {
        self.messages.get(instance.message as usize).map_or_else(|| MessageId(instance.id.0), |message| message.id)
    }

    /// The type of the message an instance carries.
    pub(crate) fn message_type(&self, instance: &HeadInstance) -> Option<&SmolStr> {
        let kind = self.messages.get(instance.message as usize)?.kind;
        self.types.get((kind as usize).checked_sub(1)?)
    }

    /// The ids of its messages, in order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = MessageId> {
        self.messages.iter().map(|message| message.id)
    }

    /// The instance in full.
    pub(crate) fn instance(&self, head: &HeadInstance, service: Service) -> Instance {
        Instance {
            id: head.id,
            service,
            message: self.message_id(head),
            state: InstanceState::Ready,
            due: head.due,
            priority: head.priority,
            form: head.form,
            progress: head.progress,
            created: head.created,
            failure: None,
            group: head.group.clone(),
            about: head.about,
        }
    }
}

/// Whether an instance may be packed: what cannot is kept in a row of its own.
pub(crate) fn packable(instance: &Instance) -> bool {
    instance.state == InstanceState::Ready
        && instance.failure.is_none()
        && instance.priority <= 15
        && instance.service.class != ServiceClass::RoutingFailureReport
}

/// A group that grows.
#[derive(Default)]
pub(crate) struct Pack {
    pub(crate) header: Header,
    pub(crate) data: Vec<u8>,
    /// The same in the form claims hand out.
    pub(crate) messages: Vec<Arc<Message>>,
    pub(crate) instances: Vec<Instance>,
    /// Whether each instance is its publisher's at once.
    pub(crate) claimed: Vec<bool>,
    types: HashMap<SmolStr, u32>,
}

/// A size of a pack to go back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    messages: usize,
    instances: usize,
    data: usize,
}

impl Pack {
    pub(crate) fn has_room(&self, record: &Record) -> bool {
        self.data.is_empty() || self.data.len() + record.bytes.len() <= PACK_BYTES
    }

    /// Adds a message; instances added next are its.
    pub(crate) fn message(&mut self, message: &Arc<Message>, record: &Record) {
        let kind = message.context.text(&bts::MESSAGE_TYPE).map_or(0, |name| self.kind(name));
        self.header.messages.push(HeadMessage {
            id: message.id,
            // `encode` refuses records above 4 GiB.
            length: u32::try_from(record.bytes.len()).unwrap_or(u32::MAX),
            crc: record.crc,
            kind,
        });
        self.data.extend_from_slice(&record.bytes);
        self.messages.push(message.clone());
    }

    /// Adds an instance of the message added last.
    pub(crate) fn instance(&mut self, instance: Instance, service: u32, sequence: u64, claimed: bool) {
        if self.instances.is_empty() {
            self.header.first = sequence;
        }
        self.header.instances.push(HeadInstance {
            offset: u32::try_from(sequence - self.header.first).unwrap_or(u32::MAX),
            message: u32::try_from(self.messages.len()).unwrap_or(u32::MAX) - 1,
            service,
            id: instance.id,
            priority: instance.priority,
            due: instance.due,
            created: instance.created,
            form: instance.form,
            progress: instance.progress,
            group: instance.group.clone(),
            about: instance.about,
        });
        self.instances.push(instance);
        self.claimed.push(claimed);
    }

    fn kind(&mut self, name: &str) -> u32 {
        if let Some(known) = self.types.get(name) {
            return *known;
        }
        let name = SmolStr::new(name);
        self.header.types.push(name.clone());
        let kind = u32::try_from(self.header.types.len()).unwrap_or(u32::MAX);
        self.types.insert(name, kind);
        kind
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { messages: self.messages.len(), instances: self.instances.len(), data: self.data.len() }
    }

    /// Forgets what was added since `mark`; types stay, they do no harm.
    pub(crate) fn cut(&mut self, mark: Mark) {
        self.header.messages.truncate(mark.messages);
        self.messages.truncate(mark.messages);
        self.header.instances.truncate(mark.instances);
        self.instances.truncate(mark.instances);
        self.claimed.truncate(mark.instances);
        self.data.truncate(mark.data);
    }
}
