//! All there is to see of a store through the port, made comparable between stores.

use super::{
    super::harness::{NOW, SCOPE},
    generate::Known,
    shortened,
};
use crate::{
    ask,
    error::StoreErrorKind,
    port::MessageBox,
    query::{Event, Selection, ServiceCount},
};
use portolan_model::{BodyRef, Message, instance::Instance};
use std::sync::Arc;

/// What is seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    instances: Vec<Instance>,
    count: u64,
    states: Vec<(String, String)>,
    keys: Vec<Vec<String>>,
    events: Vec<Event>,
    services: Vec<ServiceCount>,
    epoch: u64,
    messages: Vec<Option<Arc<Message>>>,
    bodies: Vec<Result<Vec<u8>, StoreErrorKind>>,
    /// What the store contradicts itself in.
    contradictions: Vec<String>,
}

/// Looks at everything. A question that fails makes a contradiction.
pub(super) async fn see(store: &dyn MessageBox, known: &Known) -> Seen {
    match look(store, known).await {
        Ok(seen) => seen,
        Err(error) => Seen { contradictions: vec![format!("a question failed: {error}")], ..Seen::default() },
    }
}

async fn look(store: &dyn MessageBox, known: &Known) -> Result<Seen, crate::StoreError> {
    let mut seen = Seen {
        instances: ask::instances(store, Selection::default(), None, usize::MAX).await?,
        count: ask::count(store, Selection::default()).await?,
        states: ask::states(store, "").await?,
        services: ask::services(store).await?,
        epoch: ask::epoch(store).await?,
        ..Seen::default()
    };
    for scope in [SCOPE, "other"] {
        seen.keys.push(ask::keys(store, scope).await?);
    }
    let records = ask::events(store, None, None, usize::MAX).await?;
    if records.windows(2).any(|pair| pair[0].sequence <= pair[1].sequence) {
        seen.contradictions.push("the sequence numbers of events do not fall".into());
    }
    seen.events = records.into_iter().map(|record| record.event).collect();
    for id in &known.messages {
        seen.messages.push(ask::message(store, *id).await?);
    }
    for instance in &seen.instances {
        if ask::message(store, instance.message).await?.is_none() {
            seen.contradictions.push(format!("instance {} carries message {}, which is not there", instance.id, instance.message));
        }
    }
    for body in &known.bodies {
        seen.bodies.push(read_whole(store, *body, 1 << 20).await);
    }
    Ok(seen)
}

/// The whole of a body, `max` bytes at a time.
pub(super) async fn read_whole(store: &dyn MessageBox, body: BodyRef, max: usize) -> Result<Vec<u8>, StoreErrorKind> {
    let mut whole = Vec::new();
    loop {
        let read = store.read_body(body, whole.len() as u64, max).await.map_err(|error| error.kind)?;
        if read.is_empty() || read.len() > max {
            return Ok(whole);
        }
        whole.extend_from_slice(&read);
    }
}

impl Seen {
    /// The first difference, in words.
    pub(super) fn difference(expected: &Self, got: &Self) -> Option<String> {
        macro_rules! differ {
            ($($field:ident),*) => {
                $(if expected.$field != got.$field {
                    return Some(format!(
                        "what is seen of {} differs\nmemory: {}\nstore:  {}",
                        stringify!($field), shortened(&expected.$field, 4_000), shortened(&got.$field, 4_000),
                    ));
                })*
            };
        }
        differ!(contradictions, instances, count, services, messages, bodies, states, keys, events, epoch);
        None
    }
}

/// The moment a run begins.
pub(super) const BEGIN: portolan_model::Timestamp = NOW;
