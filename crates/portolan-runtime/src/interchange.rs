//! From wire message to documents: runs the receive pipeline and the inbound map over one interchange
//! and takes over the bodies. Blocks; publishes nothing.

use crate::{
    body::{BodyError, BodyKeeper},
    core::Core,
    deployment::Location,
    pipeline::{PipelineError, guarded},
};
use portolan_model::{
    BodyId, Code, Context, InterchangeId, Message, SmolStr, Timestamp, Value, code, property::PropertyError, system::bts,
};
use portolan_sdk::{ComponentError, InboundMessage, Map, PipelineMessage, PipelinePart};
use portolan_store::StoreError;
use std::sync::Arc;

/// Bytes of document bodies one interchange may hold in memory.
const INLINE_BUDGET: usize = 16 * 1024 * 1024;

/// An interchange worked through.
pub struct Interchange {
    /// The documents, ready to be published, in order.
    pub documents: Vec<Arc<Message>>,
    /// Bodies streamed into the store for them.
    pub streamed: Vec<BodyId>,
}

/// Why an interchange could not be worked through.
#[derive(Debug)]
pub enum InterchangeError {
    /// The message is at fault: it fails in the pipeline or map.
    Message {
        /// Code with a page.
        code: Code,
        /// In words.
        description: String,
    },
    /// The source or the store is at fault: the message may be fine.
    Environment {
        /// Code with a page.
        code: Code,
        /// In words.
        description: String,
    },
}

impl From<PipelineError> for InterchangeError {
    fn from(error: PipelineError) -> Self {
        Self::Message { code: error.code, description: error.to_string() }
    }
}

impl From<PropertyError> for InterchangeError {
    fn from(error: PropertyError) -> Self {
        Self::Message { code: code::PROPERTY_INVALID, description: error.to_string() }
    }
}

impl From<StoreError> for InterchangeError {
    fn from(error: StoreError) -> Self {
        Self::Environment { code: error.code(), description: error.to_string() }
    }
}

impl From<BodyError> for InterchangeError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Store(error) => error.into(),
            BodyError::Read(error) => match error.downcast::<StoreError>() {
                Ok(error) => error.into(),
                Err(error) => {
                    Self::Environment { code: code::LOCATION_FAILED, description: format!("the message body cannot be read: {error}") }
                }
            },
        }
    }
}

/// Properties of a wire message: those of its location and those of its adapter.
#[must_use]
pub fn wire_context(location: &Location, message: &InboundMessage, interchange: InterchangeId) -> Context {
    let mut context = location.template.clone();
    for property in message.context.iter() {
        match property.kind {
            portolan_model::Kind::Promoted => {
                if context.promote(property.name.clone(), property.value.clone()).is_err() {
                    context.write(property.name.clone(), property.value.clone());
                }
            }
            _ => context.write(property.name.clone(), property.value.clone()),
        }
    }
    context.write(bts::INTERCHANGE_ID, Value::string(interchange.braced()));
    context
}

/// Opens a wire message as its pipeline sees it.
///
/// # Errors
/// When the body cannot be opened.
pub fn open(context: Context, message: &InboundMessage) -> Result<PipelineMessage, InterchangeError> {
    let body = message.body.open().map_err(|error| InterchangeError::Environment {
        code: code::LOCATION_FAILED,
        description: format!("the received message cannot be opened: {error}"),
    })?;
    let part = PipelinePart {
        name: SmolStr::new_static("body"),
        content_type: message.content_type.clone(),
        charset: message.charset.clone(),
        body,
    };
    Ok(PipelineMessage { context, parts: vec![part], body_index: 0 })
}

/// As [`process`]; a component that breaks off fails the message.
///
/// # Errors
/// As there.
pub fn process_guarded(
    core: &Core,
    location: &Location,
    message: PipelineMessage,
    now: Timestamp,
) -> Result<Interchange, (InterchangeError, Vec<BodyId>)> {
    guarded(|| process(core, location, message, now))
        .unwrap_or_else(|description| Err((InterchangeError::Message { code: code::PIPELINE_FAILED, description }, Vec::new())))
}

/// Runs pipeline and map over a message.
///
/// # Errors
/// [`InterchangeError`]; what was streamed into the store is then returned beside it, to be discarded.
pub fn process(
    core: &Core,
    location: &Location,
    message: PipelineMessage,
    now: Timestamp,
) -> Result<Interchange, (InterchangeError, Vec<BodyId>)> {
    let mut keeper = BodyKeeper::new(core.store.clone(), core.world.clone(), INLINE_BUDGET);
    let mut documents: Vec<Arc<Message>> = Vec::new();
    let result = location.pipeline.receive(message, |document| {
        let document = map(&location.maps, document)?;
        let mut context = document.context;
        let sequence = i32::try_from(documents.len() + 1).unwrap_or(i32::MAX);
        context.promote(bts::INTERCHANGE_SEQUENCE_NUMBER, Value::Int32(sequence))?;
        let message = Message {
            id: core.world.message_id(),
            created: now,
            context,
            parts: keeper.keep(document.parts)?,
            body_index: u8::try_from(document.body_index).unwrap_or(u8::MAX),
        };
        message
            .validate()
            .map_err(|problem| InterchangeError::Message { code: code::PIPELINE_FAILED, description: problem.to_string() })?;
        documents.push(Arc::new(message));
        Ok::<(), InterchangeError>(())
    });
    let streamed = keeper.streamed();
    match result {
        Ok(()) => Ok(Interchange { documents, streamed }),
        Err(error) => Err((error, streamed)),
    }
}

/// Applies the map whose source type is the message's type, if there is one. A message no map is
/// made for goes on unchanged.
///
/// # Errors
/// [`InterchangeError`] when the map fails.
pub fn map(maps: &[Arc<dyn Map>], message: PipelineMessage) -> Result<PipelineMessage, MapError> {
    let Some(map) = message.context.text(&bts::MESSAGE_TYPE).and_then(|t| maps.iter().find(|m| m.source_type() == t)) else {
        return Ok(message);
    };
    let mut mapped = map.transform(message)?;
    mapped.context.promote(bts::MESSAGE_TYPE, Value::string(map.target_type()))?;
    Ok(mapped)
}

/// A map that failed.
#[derive(Debug)]
pub struct MapError(pub String);

impl From<ComponentError> for MapError {
    fn from(error: ComponentError) -> Self {
        Self(error.message)
    }
}

impl From<PropertyError> for MapError {
    fn from(error: PropertyError) -> Self {
        Self(error.to_string())
    }
}

impl From<MapError> for InterchangeError {
    fn from(error: MapError) -> Self {
        Self::Message { code: code::MAP_FAILED, description: format!("the map failed: {}", error.0) }
    }
}
