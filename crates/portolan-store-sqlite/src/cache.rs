//! The newest groups in decoded form, within a number of bytes: what was just published is delivered
//! without reading it back. Dropping anything from it is always allowed.

use crate::pack::{HeadInstance, Pack};
use portolan_model::{Message, MessageId, instance::Instance};
use portolan_store::Work;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// A decoded group.
pub(crate) struct CachedGroup {
    heads: Vec<HeadInstance>,
    first: u64,
    instances: Vec<Instance>,
    messages: Vec<Arc<Message>>,
    bytes: usize,
}

/// The cache.
pub(crate) struct Cache {
    groups: HashMap<u64, CachedGroup>,
    order: VecDeque<u64>,
    bytes: usize,
    limit: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { groups: HashMap::new(), order: VecDeque::new(), bytes: 0, limit }
    }

    pub(crate) fn add(&mut self, number: u64, pack: Pack) {
        // A decoded message takes about twice its stored context; the body dominates.
        let bytes = pack.data.len() + pack.data.len() / 2 + pack.instances.len() * 400;
        if bytes > self.limit {
            return;
        }
        let group = CachedGroup {
            first: pack.header.first,
            heads: pack.header.instances,
            instances: pack.instances,
            messages: pack.messages,
            bytes,
        };
        self.bytes += bytes;
        self.groups.insert(number, group);
        self.order.push_back(number);
        if self.order.len() > 2 * self.groups.len() + 64 {
            self.order.retain(|number| self.groups.contains_key(number));
        }
        while self.bytes > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.take(oldest);
        }
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.take(number);
    }

    fn take(&mut self, number: u64) {
        if let Some(group) = self.groups.remove(&number) {
            self.bytes -= group.bytes;
        }
    }

    /// An instance of a cached group.
    pub(crate) fn work(&self, number: u64, sequence: u64) -> Option<Work> {
        let group = self.groups.get(&number)?;
        let offset = u32::try_from(sequence.checked_sub(group.first)?).ok()?;
        let at = group.heads.binary_search_by_key(&offset, |head| head.offset).ok()?;
        let message = group.messages.get(group.heads[at].message as usize)?;
        Some(Work { instance: group.instances[at].clone(), message: message.clone() })
    }

    /// A message of a cached group, and the sequence numbers of the instances that carry it.
    pub(crate) fn message(&self, id: MessageId) -> Option<(Arc<Message>, Vec<u64>)> {
        self.groups.values().find_map(|group| {
            let at = group.messages.iter().position(|message| message.id == id)?;
            let carriers = group.heads.iter().filter(|head| head.message as usize == at);
            Some((group.messages[at].clone(), carriers.map(|head| group.first + u64::from(head.offset)).collect()))
        })
    }
}
