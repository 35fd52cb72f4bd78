//! Requests as values, so that the same one goes to both stores, and their answers made comparable.

use super::{super::lost::retrying, observe::read_whole};
use crate::{
    ask,
    batch::Batch,
    error::{StoreError, StoreErrorKind},
    port::{Claim, MessageBox},
    query::{Answer, Event, Query},
};
use bytes::Bytes;
use portolan_model::{BodyId, BodyRef, Message, Timestamp, instance::Instance};
use std::sync::Arc;

/// One request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Commit(Batch),
    Claim(Claim),
    Put {
        body: BodyId,
        sequence: u32,
        bytes: Bytes,
    },
    Read {
        body: BodyRef,
        max: usize,
    },
    Ask(Query),
    /// A page of events between two places in the list of all.
    Events {
        before: Option<usize>,
        after: Option<usize>,
        limit: usize,
    },
    Reopen,
}

/// An answer that can be compared between stores.
#[derive(PartialEq, Debug)]
pub(super) enum Reply {
    Changed(Vec<u64>),
    Work(Vec<(Instance, Arc<Message>)>, Option<Timestamp>),
    Stored,
    Bytes(Vec<u8>),
    Answer(Answer),
    Events(Vec<Event>),
}

#[cfg(test)]
impl Step {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Commit(_) => "commit",
            Self::Claim(_) => "claim",
            Self::Put { .. } => "put",
            Self::Read { .. } => "read",
            Self::Ask(_) => "ask",
            Self::Events { .. } => "events",
            Self::Reopen => "reopen",
        }
    }
}

#[cfg(test)]
impl Reply {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Changed(changed) => changed.iter().all(|count| *count == 0),
            Self::Work(work, _) => work.is_empty(),
            Self::Stored => false,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Answer(Answer::Instances(instances)) => instances.is_empty(),
            Self::Answer(answer) => *answer == Answer::Count(0),
            Self::Events(events) => events.is_empty(),
        }
    }
}

/// Makes a request of a store.
pub(super) async fn take(store: &dyn MessageBox, step: &Step) -> Result<Reply, StoreErrorKind> {
    ask_of(store, step).await.map_err(|error| error.kind)
}

async fn ask_of(store: &dyn MessageBox, step: &Step) -> Result<Reply, StoreError> {
    Ok(match step.clone() {
        Step::Commit(batch) => Reply::Changed(retrying(store, batch).await?.changed),
        Step::Claim(claim) => {
            let claimed = store.claim(claim).await?;
            Reply::Work(claimed.work.into_iter().map(|work| (work.instance, work.message)).collect(), claimed.next_due)
        }
        Step::Put { body, sequence, bytes } => {
            store.put_chunk(body, sequence, bytes).await?;
            Reply::Stored
        }
        Step::Read { body, max } => match read_whole(store, body, max).await {
            Ok(bytes) => Reply::Bytes(bytes),
            Err(kind) => return Err(StoreError::new(kind, "")),
        },
        Step::Ask(query) => Reply::Answer(store.query(query).await?),
        Step::Events { before, after, limit } => {
            // Every store has its own sequence numbers.
            let all = ask::events(store, None, None, usize::MAX).await?;
            let number = |place: Option<usize>| place.and_then(|place| all.get(place)).map(|record| record.sequence);
            let page = ask::events(store, number(before), number(after), limit).await?;
            Reply::Events(page.into_iter().map(|record| record.event).collect())
        }
        Step::Reopen => Reply::Stored,
    })
}
