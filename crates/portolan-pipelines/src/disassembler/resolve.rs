//! Which schema a root element belongs to, and whether it may stand there (manual pages "Schema
//! Resolution in Pipeline Components", "Document Structure Enforcement in the XML Disassembler").

use super::{
    plan::{Plan, Plans},
    settings::Effective,
};
use portolan_model::{Code, code};
use portolan_sdk::{ComponentError, DocumentSpec, Schemas};
use std::sync::Arc;

/// What a root element turned out to be.
pub enum Resolved {
    /// An envelope, to be opened.
    Envelope(Arc<Plan>),
    /// A document.
    Document(Arc<Plan>),
    /// A document without a schema, which the settings let pass.
    Unrecognized,
}

/// Resolves message types for one message.
pub struct Resolver {
    /// The deployed schemas.
    pub schemas: Arc<Schemas>,
    /// Compiled specifications.
    pub plans: Arc<Plans>,
    /// What applies to this message.
    pub effective: Effective,
}

impl Resolver {
    /// Resolves the type of an element inside `level` open envelopes.
    ///
    /// # Errors
    /// PTL0111 without a schema or with several, PTL0112 for a type that the pipeline does not list.
    pub fn resolve(&self, message_type: &str, level: usize) -> Result<Resolved, ComponentError> {
        let shown = shorten(message_type);
        let fail = |code: Code, message: String| Err(ComponentError::new(code, message));
        let Effective { envelopes, documents, promote_only, .. } = &self.effective;
        if !promote_only && let Some(at) = self.listed(envelopes, message_type)? {
            if at.0 == level {
                return Ok(Resolved::Envelope(self.plans.of(at.1, &self.schemas)?));
            }
            let message =
                format!("the envelope {shown} is at nesting level {} but listed as number {} in envelope_schemas", level + 1, at.0 + 1);
            return fail(code::XML_NOT_EXPECTED, message);
        }
        if !promote_only
            && level == 0
            && let Some(first) = envelopes.first()
        {
            let message = format!("the message type {shown} is not that of the envelope \"{first}\", which envelope_schemas asks for");
            return fail(code::XML_NOT_EXPECTED, message);
        }
        if let Some((_, spec)) = self.listed(documents, message_type)? {
            return Ok(Resolved::Document(self.plans.of(spec, &self.schemas)?));
        }
        let candidates = self.schemas.by_type(message_type);
        if !documents.is_empty() && !matches!(candidates, [one] if one.is_envelope && envelopes.is_empty()) {
            let message = format!("the message type {shown} is not among the pipeline's schemas: {}", documents.join(", "));
            return fail(code::XML_NOT_EXPECTED, message);
        }
        match candidates {
            [] if self.effective.allow_unrecognized => Ok(Resolved::Unrecognized),
            [] => fail(code::XML_NO_SCHEMA, format!("no schema is deployed for the message type {shown}")),
            [one] if one.is_envelope && !promote_only => {
                if envelopes.is_empty() {
                    return Ok(Resolved::Envelope(self.plans.of(one, &self.schemas)?));
                }
                fail(code::XML_NOT_EXPECTED, format!("the envelope {shown} is not in envelope_schemas: {}", envelopes.join(", ")))
            }
            [one] => Ok(Resolved::Document(self.plans.of(one, &self.schemas)?)),
            several => {
                let files: Vec<&str> = several.iter().map(|spec| spec.file.as_str()).collect();
                let message = format!(
                    "the message type {shown} is defined by several schemas: {}; list one of them in document_schemas",
                    files.join(", ")
                );
                fail(code::XML_NO_SCHEMA, message)
            }
        }
    }

    /// The listed schema of a message type and its place in the list.
    fn listed(&self, names: &[String], message_type: &str) -> Result<Option<(usize, &Arc<DocumentSpec>)>, ComponentError> {
        for (at, name) in names.iter().enumerate() {
            let Some(spec) = self.schemas.by_name(name) else {
                return Err(ComponentError::new(code::XML_NO_SCHEMA, format!("no schema is named \"{name}\"")));
            };
            if spec.message_type == message_type {
                return Ok(Some((at, spec)));
            }
        }
        Ok(None)
    }
}

/// A message type for an error: a hostile one may be megabytes long.
pub fn shorten(message_type: &str) -> String {
    match message_type.char_indices().nth(300) {
        Some((at, _)) => format!("{}...", &message_type[..at]),
        None => message_type.to_owned(),
    }
}
