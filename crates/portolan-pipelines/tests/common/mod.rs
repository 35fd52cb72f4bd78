//! What the tests share: schemas, running components, reading bodies.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use portolan_model::{Context, Name, time::TimeZone};
use portolan_pipelines::load_schemas;
use portolan_sdk::{Body, ComponentError, PipelineContext, PipelineMessage, Registry, Schemas, StageComponent};
use serde_json::{Value as Json, json};
use std::{
    io::{Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

pub fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder)
}

/// The schemas of a folder, which must have no problems.
pub fn schemas(folder: &str) -> Arc<Schemas> {
    let (schemas, problems) = load_schemas(&data(folder));
    assert!(problems.is_empty(), "{problems:#?}");
    Arc::new(schemas)
}

pub struct Bench {
    pub registry: Registry,
    pub context: PipelineContext,
}

impl Bench {
    pub fn new(folder: &str) -> Self {
        Self::with(schemas(folder))
    }

    pub fn with(schemas: Arc<Schemas>) -> Self {
        let mut registry = Registry::default();
        portolan_pipelines::register(&mut registry);
        Self { registry, context: PipelineContext { pipeline: "test".into(), schemas, time_zone: TimeZone::UTC } }
    }

    pub fn component(&self, name: &str, settings: Json) -> StageComponent {
        self.registry.component(name).unwrap().prepare(&settings, &self.context.schemas).unwrap().instantiate()
    }

    pub fn disassemble(&self, settings: Json, message: PipelineMessage) -> Result<Vec<PipelineMessage>, ComponentError> {
        let StageComponent::Disassembler(mut component) = self.component("xml-disassembler", settings) else { panic!("no disassembler") };
        component.disassemble(&self.context, message)?;
        let mut documents = Vec::new();
        while let Some(document) = component.next(&self.context)? {
            documents.push(document);
        }
        assert!(component.next(&self.context)?.is_none(), "the end stays the end");
        Ok(documents)
    }

    /// Disassembles text with default settings.
    pub fn split(&self, text: impl Into<Vec<u8>>) -> Result<Vec<PipelineMessage>, ComponentError> {
        self.disassemble(json!({}), message(text))
    }

    /// The code that disassembling fails with, and the message.
    pub fn failure(&self, settings: Json, text: impl Into<Vec<u8>>) -> (&'static str, String) {
        match self.disassemble(settings, message(text)) {
            Err(error) => (error.code.id, error.message),
            Ok(documents) => panic!("no failure but {} documents", documents.len()),
        }
    }

    pub fn assemble(&self, settings: Json, message: PipelineMessage) -> Result<PipelineMessage, ComponentError> {
        let StageComponent::Assembler(mut component) = self.component("xml-assembler", settings) else { panic!("no assembler") };
        component.add(&self.context, message)?;
        component.assemble(&self.context)
    }
}

pub fn message(text: impl Into<Vec<u8>>) -> PipelineMessage {
    PipelineMessage::of_body(Context::new(), Body::from_bytes(text.into()))
}

/// A message whose body is a stream of known length.
pub fn streamed(text: impl Into<Vec<u8>>) -> PipelineMessage {
    let text = text.into();
    let length = text.len() as u64;
    PipelineMessage::of_body(Context::new(), Body::from_stream(std::io::Cursor::new(text), Some(length)))
}

pub fn bytes(message: &mut PipelineMessage) -> Vec<u8> {
    let body = &mut message.body().unwrap().body;
    let mut all = Vec::new();
    body.rewind().unwrap();
    body.read_to_end(&mut all).unwrap();
    all
}

pub fn text(message: &mut PipelineMessage) -> String {
    String::from_utf8(bytes(message)).unwrap()
}

/// A property as text, by namespace and name.
pub fn property(message: &PipelineMessage, namespace: &str, name: &str) -> Option<String> {
    message.context.get(&Name::new(namespace, name)).map(ToString::to_string)
}

pub const ORDERS: &str = "urn:example:order-properties";

pub fn order(message: &PipelineMessage, name: &str) -> Option<String> {
    property(message, ORDERS, name)
}

pub fn message_type(message: &PipelineMessage) -> Option<&str> {
    message.context.text(&portolan_model::system::bts::MESSAGE_TYPE)
}
