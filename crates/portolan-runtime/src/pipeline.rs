//! The stage runner (manual pages "Pipeline Stages", "Using Pipeline Interfaces"). Stages run in their
//! fixed order. In the Disassemble stage the first component that recognises the message takes it,
//! with no fall-back; in all other stages every component runs. Knows components only as traits.

use portolan_model::{
    Code, SmolStr,
    artifact::{PipelineRef, Stage},
    code,
};
use portolan_sdk::{ComponentError, Outcome, PipelineContext, PipelineMessage, Prepared, Registry, Schemas, StageComponent};
use std::{io::Seek, sync::Arc};

/// A pipeline with the settings of its components read.
pub struct Pipeline {
    context: PipelineContext,
    components: Vec<PreparedComponent>,
}

struct PreparedComponent {
    stage: Stage,
    name: SmolStr,
    prepared: Arc<dyn Prepared>,
}

/// Why a pipeline failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{description}")]
pub struct PipelineError {
    /// Code with a page.
    pub code: Code,
    /// Which pipeline and component failed, and with what.
    pub description: String,
}

impl Pipeline {
    /// Prepares a pipeline.
    ///
    /// # Errors
    /// Words that name the component and the setting that is wrong.
    pub fn prepare(reference: &PipelineRef, registry: &Registry, schemas: &Arc<Schemas>, context: PipelineContext) -> Result<Self, String> {
        let mut components = Vec::new();
        for part in &reference.components {
            let factory = registry
                .component(&part.component)
                .ok_or_else(|| format!("pipeline {}: there is no component \"{}\"", reference.name, part.component))?;
            let prepared = factory
                .prepare(&part.settings, schemas)
                .map_err(|problem| format!("pipeline {}, component {}: {problem}", reference.name, part.component))?;
            components.push(PreparedComponent { stage: part.stage, name: part.component.clone(), prepared });
        }
        components.sort_by_key(|c| c.stage);
        Ok(Self { context, components })
    }

    /// Runs a receive pipeline; hands each resulting document to `each` as it comes.
    ///
    /// # Errors
    /// The first failure, of a component or of `each`; documents handed over before it do not count.
    pub fn receive<E: From<PipelineError>>(
        &self,
        message: PipelineMessage,
        mut each: impl FnMut(PipelineMessage) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(message) = self.general(Stage::Decode, message)? else { return Ok(()) };
        let mut message = message;
        let disassemblers: Vec<_> = self.at(Stage::Disassemble).collect();
        if disassemblers.is_empty() {
            if let Some(document) = self.after_disassembly(message)? {
                each(document)?;
            }
            return Ok(());
        }
        for component in disassemblers {
            let StageComponent::Disassembler(mut disassembler) = component.prepared.instantiate() else {
                return Err(self.misplaced(component).into());
            };
            let wanted = disassembler.probe(&self.context, &mut message).map_err(|e| self.failed(&component.name, e))?;
            if let Some(body) = message.body() {
                body.body.rewind().map_err(|e| self.failed(&component.name, unreadable(&e)))?;
            }
            if wanted == Some(false) {
                continue;
            }
            disassembler.disassemble(&self.context, message).map_err(|e| self.failed(&component.name, e))?;
            while let Some(document) = disassembler.next(&self.context).map_err(|e| self.failed(&component.name, e))? {
                match self.after_disassembly(document)? {
                    Some(document) => each(document)?,
                    None => break,
                }
            }
            return Ok(());
        }
        let none = ComponentError::new(code::PROBE_FAILED, "none of the pipeline's disassemblers recognises the message");
        Err(self.failed("the Disassemble stage", none).into())
    }

    /// Runs a send pipeline. `None` when a component consumed the message.
    ///
    /// # Errors
    /// The first failure.
    pub fn send(&self, message: PipelineMessage) -> Result<Option<PipelineMessage>, PipelineError> {
        let Some(mut message) = self.general(Stage::PreAssemble, message)? else { return Ok(None) };
        for component in self.at(Stage::Assemble) {
            let StageComponent::Assembler(mut assembler) = component.prepared.instantiate() else {
                return Err(self.misplaced(component));
            };
            assembler.add(&self.context, message).map_err(|e| self.failed(&component.name, e))?;
            message = assembler.assemble(&self.context).map_err(|e| self.failed(&component.name, e))?;
        }
        self.general(Stage::Encode, message)
    }

    fn after_disassembly(&self, document: PipelineMessage) -> Result<Option<PipelineMessage>, PipelineError> {
        let Some(document) = self.general(Stage::Validate, document)? else { return Ok(None) };
        self.general(Stage::ResolveParty, document)
    }

    fn general(&self, stage: Stage, mut message: PipelineMessage) -> Result<Option<PipelineMessage>, PipelineError> {
        for component in self.at(stage) {
            let StageComponent::General(mut general) = component.prepared.instantiate() else {
                return Err(self.misplaced(component));
            };
            match general.execute(&self.context, message).map_err(|e| self.failed(&component.name, e))? {
                Outcome::Continue(next) => message = next,
                Outcome::Consumed => return Ok(None),
            }
        }
        Ok(Some(message))
    }

    fn at(&self, stage: Stage) -> impl Iterator<Item = &PreparedComponent> {
        self.components.iter().filter(move |c| c.stage == stage)
    }

    fn misplaced(&self, component: &PreparedComponent) -> PipelineError {
        let message = format!("the component cannot stand in the {:?} stage", component.stage);
        self.failed(&component.name, ComponentError::new(code::CONFIG_VALUE, message))
    }

    fn failed(&self, component: &str, error: ComponentError) -> PipelineError {
        let description = format!("the pipeline {} failed in {component}: {}", self.context.pipeline, error.message);
        PipelineError { code: error.code, description }
    }
}

/// Runs components so that one that breaks off fails its message and nothing else.
///
/// # Errors
/// What the component said when it broke off.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| broken_off(panic.as_ref()))
}

/// The words of a panic.
#[must_use]
pub fn broken_off(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a component broke off, which is a mistake in the component: {}", words.unwrap_or("it gave no reason"))
}

fn unreadable(error: &std::io::Error) -> ComponentError {
    ComponentError::new(code::PIPELINE_FAILED, format!("the message body cannot be rewound: {error}"))
}
