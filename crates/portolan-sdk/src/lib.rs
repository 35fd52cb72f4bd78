//! What authors of adapters, pipeline components and maps see: traits, bodies, batches, and the
//! registry that names them.
//!
//! **Invariant:** nothing here knows the engine or a store. An adapter submits batches through a
//! [`Proxy`] and learns their outcome; who stores them is not its business.

pub mod adapter;
pub mod batch;
pub mod body;
pub mod component;
pub mod error;
pub mod map;
pub mod registry;
pub mod schema;
pub mod submit;

pub use adapter::{Adapter, AdapterSpec, Checked, Direction, OutboundMessage, Problem, ReceiveAdapter, SendAdapter, Setup, Stop};
pub use batch::{BatchOperation, BatchOutcome, InboundMessage, OperationStatus, Proxy, SourceNotice, TransportProxy};
pub use body::{Body, BodySource};
pub use component::{
    Assembler, ComponentFactory, ComponentSpec, Disassembler, General, Outcome, PipelineContext, PipelineMessage, PipelinePart, Prepared,
    StageComponent,
};
pub use error::{AdapterError, ComponentError, Retry};
pub use map::Map;
pub use registry::Registry;
pub use schema::{DocumentSpec, PromotedField, PropertySpec, Schemas};
pub use submit::submit_or_suspend;
