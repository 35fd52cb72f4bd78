//! Pipeline components. A component is prepared once from its settings and then instantiated for
//! every message, so that it may keep state between calls (manual page "Using Pipeline Interfaces").

use crate::{body::Body, error::ComponentError, schema::Schemas};
use portolan_model::{Context, SmolStr, artifact::Stage, time::TimeZone};
use std::sync::Arc;

/// A message inside a pipeline: its context and parts, with bodies as streams.
#[derive(Debug)]
pub struct PipelineMessage {
    /// Properties.
    pub context: Context,
    /// Parts.
    pub parts: Vec<PipelinePart>,
    /// Which part is the body.
    pub body_index: usize,
}

/// A part inside a pipeline.
#[derive(Debug)]
pub struct PipelinePart {
    /// Name.
    pub name: SmolStr,
    /// MIME content type.
    pub content_type: Option<SmolStr>,
    /// Character set.
    pub charset: Option<SmolStr>,
    /// The bytes.
    pub body: Body,
}

impl PipelineMessage {
    /// A message of one body part.
    #[must_use]
    pub fn of_body(context: Context, body: Body) -> Self {
        Self {
            context,
            parts: vec![PipelinePart { name: SmolStr::new_static("body"), content_type: None, charset: None, body }],
            body_index: 0,
        }
    }

    /// The body part, if there is one.
    pub fn body(&mut self) -> Option<&mut PipelinePart> {
        self.parts.get_mut(self.body_index)
    }
}

/// What a component may ask of its pipeline.
#[derive(Clone)]
pub struct PipelineContext {
    /// Name of the pipeline.
    pub pipeline: SmolStr,
    /// Deployed schemas.
    pub schemas: Arc<Schemas>,
    /// Zone of date-times that carry none.
    pub time_zone: TimeZone,
}

/// Result of a general component.
pub enum Outcome {
    /// Go on with this message.
    Continue(PipelineMessage),
    /// The message is consumed: nothing goes on. After a disassembler the first consumed message ends
    /// the pipeline.
    Consumed,
}

/// A component of any stage but Disassemble and Assemble: one message in, one or none out.
pub trait General: Send {
    /// Works on a message.
    ///
    /// # Errors
    /// [`ComponentError`]: fails the pipeline.
    fn execute(&mut self, context: &PipelineContext, message: PipelineMessage) -> Result<Outcome, ComponentError>;
}

/// A component of the Disassemble stage: one message in, any number out.
pub trait Disassembler: Send {
    /// Whether this component wants the message, judged by its beginning. The runner rewinds the body
    /// afterwards. `None`: it does not probe and is used unconditionally. There is no fall-back after
    /// a positive answer.
    ///
    /// # Errors
    /// [`ComponentError`]: fails the pipeline.
    fn probe(&mut self, context: &PipelineContext, message: &mut PipelineMessage) -> Result<Option<bool>, ComponentError>;

    /// Takes the message.
    ///
    /// # Errors
    /// [`ComponentError`]: fails the pipeline.
    fn disassemble(&mut self, context: &PipelineContext, message: PipelineMessage) -> Result<(), ComponentError>;

    /// The next document, or `None` at the end.
    ///
    /// # Errors
    /// [`ComponentError`]: fails the pipeline, and with it every document before.
    fn next(&mut self, context: &PipelineContext) -> Result<Option<PipelineMessage>, ComponentError>;
}

/// A component of the Assemble stage: any number of messages in, one out. The engine always passes one.
pub trait Assembler: Send {
    /// Takes a document.
    ///
    /// # Errors
    /// [`ComponentError`]: fails the pipeline.
    fn add(&mut self, context: &PipelineContext, message: PipelineMessage) -> Result<(), ComponentError>;

    /// Builds the output.
    ///
    /// # Errors
    /// [`ComponentError`]: fails the pipeline.
    fn assemble(&mut self, context: &PipelineContext) -> Result<PipelineMessage, ComponentError>;
}

/// A component instantiated for one message.
pub enum StageComponent {
    /// For any stage but Disassemble and Assemble.
    General(Box<dyn General>),
    /// For the Disassemble stage.
    Disassembler(Box<dyn Disassembler>),
    /// For the Assemble stage.
    Assembler(Box<dyn Assembler>),
}

/// A component with its settings read.
pub trait Prepared: Send + Sync {
    /// A fresh component for one message.
    fn instantiate(&self) -> StageComponent;
}

/// What a component declares of itself.
#[derive(Clone, Debug)]
pub struct ComponentSpec {
    /// Catalogue name, for example `xml-disassembler`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Stages it may stand in.
    pub stages: &'static [Stage],
    /// JSON Schema of its settings.
    pub settings: serde_json::Value,
}

/// Makes components from settings; one per catalogue line.
pub trait ComponentFactory: Send + Sync {
    /// What the component declares of itself.
    fn spec(&self) -> ComponentSpec;

    /// Reads the settings.
    ///
    /// # Errors
    /// Words that say which setting is wrong, and how.
    fn prepare(&self, settings: &serde_json::Value, schemas: &Schemas) -> Result<Arc<dyn Prepared>, String>;
}
