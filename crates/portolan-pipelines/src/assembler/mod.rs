//! The XML assembler (manual page "XML Assembler Pipeline Component"): puts the document into envelopes,
//! writes declaration, byte order mark and processing instructions, and converts the character set.
//! Properties of the context are demoted into the fields of a generated envelope and into fields that
//! are empty in the document.
//!
//! **Must never** hold a document whole in memory that did not come so, or lose a character that the
//! target character set lacks.

mod build;
mod demotion;
mod encode;
mod prolog;
mod settings;
mod skeleton;

pub use settings::{InstructionOption, InstructionScope, Settings};

use crate::disassembler::Plans;
use portolan_model::{artifact::Stage, code};
use portolan_sdk::{
    Assembler, ComponentError, ComponentFactory, ComponentSpec, PipelineContext, PipelineMessage, Prepared, Schemas, StageComponent,
};
use std::sync::Arc;

/// Catalogue name.
pub const NAME: &str = "xml-assembler";

/// Makes XML assemblers.
pub struct XmlAssemblerFactory;

impl ComponentFactory for XmlAssemblerFactory {
    fn spec(&self) -> ComponentSpec {
        ComponentSpec {
            name: NAME,
            summary: "Wraps XML documents into envelopes and writes them in the wanted character set.",
            stages: &[Stage::Assemble],
            settings: schemars::schema_for!(Settings).into(),
        }
    }

    fn prepare(&self, settings: &serde_json::Value, schemas: &Schemas) -> Result<Arc<dyn Prepared>, String> {
        let settings: Settings = crate::catalog::settings(settings)?;
        settings.check(schemas)?;
        Ok(Arc::new(PreparedAssembler { settings: Arc::new(settings), plans: Arc::default() }))
    }
}

struct PreparedAssembler {
    settings: Arc<Settings>,
    plans: Arc<Plans>,
}

impl Prepared for PreparedAssembler {
    fn instantiate(&self) -> StageComponent {
        StageComponent::Assembler(Box::new(XmlAssembler { settings: self.settings.clone(), plans: self.plans.clone(), message: None }))
    }
}

struct XmlAssembler {
    settings: Arc<Settings>,
    plans: Arc<Plans>,
    message: Option<PipelineMessage>,
}

impl Assembler for XmlAssembler {
    fn add(&mut self, _: &PipelineContext, message: PipelineMessage) -> Result<(), ComponentError> {
        if self.message.is_some() {
            return Err(ComponentError::new(code::ASSEMBLER_FAILED, "the XML assembler takes one document at a time"));
        }
        self.message = Some(message);
        Ok(())
    }

    fn assemble(&mut self, context: &PipelineContext) -> Result<PipelineMessage, ComponentError> {
        match self.message.take() {
            Some(message) => build::assemble(&self.settings, &self.plans, context, message),
            None => Err(ComponentError::new(code::ASSEMBLER_FAILED, "the XML assembler was given no document")),
        }
    }
}
