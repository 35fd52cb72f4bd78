//! Settings of the XML disassembler (manual page "How to Configure the XML Disassembler Pipeline
//! Component") and the message properties that beat them.

use crate::xml::Limits;
use portolan_model::{Context, Name, Value, system::xmlnorm};
use portolan_sdk::Schemas;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the component `xml-disassembler`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Let documents pass for which no schema is deployed, and messages without data. They pass
    /// unchanged. `XMLNORM.AllowUnrecognizedMessage` on the message wins.
    pub allow_unrecognized_message: bool,
    /// Let an interchange pass whose envelope contains no document: it is then consumed without a trace.
    /// By default that is error PTL0116, because data in the envelope would be lost.
    pub allow_empty_envelope: bool,
    /// Schemas that documents may have, by name; none listed: every deployed schema.
    /// `XMLNORM.DocumentSpecName` on the message wins.
    pub document_schemas: Vec<String>,
    /// Schemas of the envelopes, by name, outermost first; none listed: found by message type.
    pub envelope_schemas: Vec<String>,
    /// Validate documents against their schemas. Not offered yet.
    pub validate_document: bool,
    /// Suspend documents that fail and let the others go on. Not offered yet.
    pub recoverable_interchange: bool,
    /// Limits against hostile or broken XML.
    pub limits: Limits,
}

impl Settings {
    /// Checks the settings against the deployed schemas.
    ///
    /// # Errors
    /// Words that say which setting is wrong.
    pub fn check(&self, schemas: &Schemas) -> Result<(), String> {
        if self.validate_document {
            return Err("validate_document: validation is not offered yet; leave it false".to_owned());
        }
        if self.recoverable_interchange {
            return Err("recoverable_interchange: recoverable interchanges are not offered yet; leave it false".to_owned());
        }
        check_names("document_schemas", &self.document_schemas, schemas)?;
        check_names("envelope_schemas", &self.envelope_schemas, schemas)?;
        for name in &self.envelope_schemas {
            if schemas.by_name(name).is_some_and(|spec| !spec.is_envelope) {
                return Err(format!("envelope_schemas: the schema \"{name}\" is not an envelope (is_envelope=\"yes\" in b:schemaInfo)"));
            }
        }
        Ok(())
    }
}

/// Checks that listed schemas exist and have different message types.
///
/// # Errors
/// Words that say what is wrong.
pub fn check_names(setting: &str, names: &[String], schemas: &Schemas) -> Result<(), String> {
    for (at, name) in names.iter().enumerate() {
        let Some(spec) = schemas.by_name(name) else {
            let known: Vec<&str> = schemas.documents().map(|spec| spec.name.as_str()).take(20).collect();
            return Err(format!("{setting}: no schema is named \"{name}\"; the schemas are {}", known.join(", ")));
        };
        let twin = names[..at].iter().find(|other| schemas.by_name(other).is_some_and(|o| o.message_type == spec.message_type));
        if let Some(twin) = twin {
            return Err(format!("{setting}: \"{twin}\" and \"{name}\" have the same message type {}", spec.message_type));
        }
    }
    Ok(())
}

/// What applies to one message: settings with the message's own properties put over them.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Let unrecognised documents pass.
    pub allow_unrecognized: bool,
    /// Let empty envelopes pass.
    pub allow_empty_envelope: bool,
    /// Listed document schemas.
    pub documents: Vec<String>,
    /// Listed envelope schemas.
    pub envelopes: Vec<String>,
    /// Promote, but leave the interchange whole.
    pub promote_only: bool,
}

impl Effective {
    /// Reads `XMLNORM.*` from the context.
    #[must_use]
    pub fn new(settings: &Settings, context: &Context) -> Self {
        let names = |name: &Name, default: &[String]| context.text(name).map_or_else(|| default.to_vec(), spec_names);
        Self {
            allow_unrecognized: boolean(context, &xmlnorm::ALLOW_UNRECOGNIZED_MESSAGE).unwrap_or(settings.allow_unrecognized_message),
            allow_empty_envelope: settings.allow_empty_envelope,
            documents: names(&xmlnorm::DOCUMENT_SPEC_NAME, &settings.document_schemas),
            envelopes: names(&xmlnorm::ENVELOPE_SPEC_NAME, &settings.envelope_schemas),
            promote_only: boolean(context, &xmlnorm::PROMOTE_PROPERTIES_ONLY).unwrap_or(false),
        }
    }
}

/// A yes-or-no property, which some components write as text.
#[must_use]
pub fn boolean(context: &Context, name: &Name) -> Option<bool> {
    match context.get(name)? {
        Value::Boolean(value) => Some(*value),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Names of schemas in one property: separated by `|`.
#[must_use]
pub fn spec_names(text: &str) -> Vec<String> {
    text.split('|').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
