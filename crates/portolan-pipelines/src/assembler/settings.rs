//! Settings of the XML assembler (manual page "How to Configure the XML Assembler Pipeline Component")
//! and the message properties that beat them.

use super::prolog::check_instructions;
use crate::{
    disassembler::{boolean, check_names, spec_names},
    xml::{Charset, Limits},
};
use portolan_model::{Context, Value, code, system::xmlnorm};
use portolan_sdk::{ComponentError, Schemas};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of processing instructions before the root element.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstructionOption {
    /// Those of the document stay and the new ones follow.
    #[default]
    Append,
    /// The new ones replace those of the document.
    CreateNew,
    /// Those of the document are removed and none are added.
    Ignore,
}

/// Where new processing instructions go when there is an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstructionScope {
    /// Before the document, inside the envelope.
    #[default]
    Document,
    /// Before the outermost envelope.
    Envelope,
}

/// Settings of the component `xml-assembler`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Begin with an XML declaration. `XMLNORM.AddXMLDeclaration` on the message wins.
    pub add_xml_declaration: bool,
    /// Character set of the output, for example `iso-8859-1`. Characters it lacks are written as
    /// references. `XMLNORM.TargetCharset` on the message wins; without both, the output has the character
    /// set the message came with (`XMLNORM.SourceCharset`), or UTF-8.
    pub target_charset: Option<String>,
    /// Begin with a byte order mark when the output is UTF-8 or UTF-16.
    pub preserve_bom: bool,
    /// Schemas that documents may have, by name; none listed: every deployed schema.
    /// `XMLNORM.DocumentSpecName` on the message wins.
    pub document_schemas: Vec<String>,
    /// Envelopes to put around the document, by schema name, outermost first.
    /// `XMLNORM.EnvelopeSpecName` on the message wins.
    pub envelope_schemas: Vec<String>,
    /// New processing instructions, for example `<?route fast?>`.
    pub processing_instructions: Option<String>,
    /// What becomes of processing instructions. `XMLNORM.ProcessingInstructionOption` together with
    /// `XMLNORM.ProcessingInstruction` on the message win.
    pub processing_instruction_option: InstructionOption,
    /// Where new processing instructions go.
    pub processing_instruction_scope: InstructionScope,
    /// Limits against broken XML.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            add_xml_declaration: true,
            target_charset: None,
            preserve_bom: true,
            document_schemas: Vec::new(),
            envelope_schemas: Vec::new(),
            processing_instructions: None,
            processing_instruction_option: InstructionOption::Append,
            processing_instruction_scope: InstructionScope::Document,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Checks the settings against the deployed schemas.
    ///
    /// # Errors
    /// Words that say which setting is wrong.
    pub fn check(&self, schemas: &Schemas) -> Result<(), String> {
        check_names("document_schemas", &self.document_schemas, schemas)?;
        check_names("envelope_schemas", &self.envelope_schemas, schemas)?;
        for name in &self.envelope_schemas {
            if let Some(spec) = schemas.by_name(name) {
                super::skeleton::Skeleton::new(spec, &Context::new()).map_err(|error| format!("envelope_schemas: {error}"))?;
            }
        }
        if let Some(label) = &self.target_charset {
            Charset::for_label(label).ok_or_else(|| format!("target_charset: the character set \"{label}\" is not known"))?;
        }
        check_instructions(self.processing_instructions.as_deref().unwrap_or_default())
            .map_err(|error| format!("processing_instructions: {error}"))
    }
}

/// What applies to one message: settings with the message's own properties put over them.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Let unrecognised messages pass unchanged.
    pub allow_unrecognized: bool,
    /// Begin with a declaration.
    pub declaration: bool,
    /// Character set of the output.
    pub charset: Charset,
    /// Begin with a byte order mark.
    pub mark: bool,
    /// Listed document schemas.
    pub documents: Vec<String>,
    /// Envelopes, outermost first.
    pub envelopes: Vec<String>,
    /// New processing instructions.
    pub instructions: String,
    /// What becomes of the old ones.
    pub option: InstructionOption,
    /// Where the new ones go.
    pub scope: InstructionScope,
}

impl Effective {
    /// Reads `XMLNORM.*` from the context.
    ///
    /// # Errors
    /// PTL0117 for an unknown character set, PTL0118 for other values that make no sense.
    pub fn new(settings: &Settings, context: &Context) -> Result<Self, ComponentError> {
        let names = |name, default: &[String]| context.text(name).map_or_else(|| default.to_vec(), spec_names);
        let (option, instructions) = instructions(settings, context)?;
        Ok(Self {
            allow_unrecognized: boolean(context, &xmlnorm::ALLOW_UNRECOGNIZED_MESSAGE).unwrap_or(false),
            declaration: boolean(context, &xmlnorm::ADD_XML_DECLARATION).unwrap_or(settings.add_xml_declaration),
            charset: charset(settings, context)?,
            mark: settings.preserve_bom,
            documents: names(&xmlnorm::DOCUMENT_SPEC_NAME, &settings.document_schemas),
            envelopes: names(&xmlnorm::ENVELOPE_SPEC_NAME, &settings.envelope_schemas),
            instructions,
            option,
            scope: settings.processing_instruction_scope,
        })
    }
}

/// Context, then setting, then the character set the message came with, then UTF-8.
fn charset(settings: &Settings, context: &Context) -> Result<Charset, ComponentError> {
    let text = |name| context.text(name).map(str::trim).filter(|t| !t.is_empty());
    let label = text(&xmlnorm::TARGET_CHARSET).or(settings.target_charset.as_deref()).or(text(&xmlnorm::SOURCE_CHARSET));
    match label {
        None => Ok(Charset::Utf8),
        Some(label) => Charset::for_label(label)
            .ok_or_else(|| ComponentError::new(code::XML_CHARSET, format!("the output character set \"{label}\" is not known"))),
    }
}

/// The message's option and text count as a pair: text without an option is ignored, an option without
/// text means no text.
fn instructions(settings: &Settings, context: &Context) -> Result<(InstructionOption, String), ComponentError> {
    let Some(value) = context.get(&xmlnorm::PROCESSING_INSTRUCTION_OPTION) else {
        return Ok((settings.processing_instruction_option, settings.processing_instructions.clone().unwrap_or_default()));
    };
    let number = value.as_decimal().map(|d| d.to_string()).or_else(|| value.as_str().map(|t| t.trim().to_owned()));
    let option = match number.as_deref() {
        Some("0") => InstructionOption::Append,
        Some("1") => InstructionOption::CreateNew,
        Some("2") => InstructionOption::Ignore,
        _ => {
            let message = format!("XMLNORM.ProcessingInstructionOption is \"{value}\": expected 0 (append), 1 (create new) or 2 (ignore)");
            return Err(ComponentError::new(code::ASSEMBLER_FAILED, message));
        }
    };
    let text = context.get(&xmlnorm::PROCESSING_INSTRUCTION).and_then(Value::as_str).unwrap_or_default();
    check_instructions(text)
        .map_err(|error| ComponentError::new(code::ASSEMBLER_FAILED, format!("XMLNORM.ProcessingInstruction: {error}")))?;
    Ok((option, text.to_owned()))
}
