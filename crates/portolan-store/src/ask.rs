//! Each [`Query`] with its own type of answer, so that callers need not take an [`Answer`] apart.
//! Never asks more than one question, and decides nothing.

use crate::{
    error::{StoreError, StoreErrorKind},
    port::MessageBox,
    query::{Answer, EventRecord, Position, Query, Selection, ServiceCount},
};
use portolan_model::{Message, MessageId, SmolStr, instance::Instance};
use std::sync::Arc;

macro_rules! ask {
    ($store:expr, $query:expr, $variant:ident) => {
        match $store.query($query).await? {
            Answer::$variant(answer) => Ok(answer),
            other => Err(mismatch(stringify!($variant), &other)),
        }
    };
}

/// A page of instances, newest first; `after` is the place of the last one of the page before.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn instances(
    store: &dyn MessageBox,
    selection: Selection,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<Instance>, StoreError> {
    ask!(store, Query::Instances { selection, after, limit }, Instances)
}

/// How many instances match.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn count(store: &dyn MessageBox, selection: Selection) -> Result<u64, StoreError> {
    ask!(store, Query::Count(selection), Count)
}

/// One message, if it is there.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn message(store: &dyn MessageBox, id: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
    ask!(store, Query::Message(id), Message)
}

/// Events, newest first, with sequence numbers between `after` and `before` (both exclusive).
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn events(store: &dyn MessageBox, before: Option<u64>, after: Option<u64>, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
    ask!(store, Query::Events { before, after, limit }, Events)
}

/// Named states whose key begins with `prefix`, in order of key.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn states(store: &dyn MessageBox, prefix: impl Into<String>) -> Result<Vec<(String, String)>, StoreError> {
    ask!(store, Query::States { prefix: prefix.into() }, States)
}

/// Receive keys of a scope, in order of key.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn keys(store: &dyn MessageBox, scope: impl Into<SmolStr>) -> Result<Vec<String>, StoreError> {
    ask!(store, Query::Keys { scope: scope.into() }, Keys)
}

/// Counts by service and state, in order of service.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn services(store: &dyn MessageBox) -> Result<Vec<ServiceCount>, StoreError> {
    ask!(store, Query::Services, Services)
}

/// The artifact epoch the store is in.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn epoch(store: &dyn MessageBox) -> Result<u64, StoreError> {
    ask!(store, Query::Epoch, Epoch)
}

fn mismatch(wanted: &str, got: &Answer) -> StoreError {
    let got = format!("{got:?}");
    let got = got.split('(').next().unwrap_or_default();
    StoreError::new(StoreErrorKind::Failed, format!("the store answered {got} where {wanted} was asked for: a bug in the store"))
}
