//! The default pipelines (manual page "Default Pipelines"). They cannot be changed, but settings at a
//! port or location may be given over them. Party resolution, the last component of `XMLReceive` in the
//! reference product, comes later; until then the stage is empty.

use crate::{assembler, disassembler};
use portolan_model::artifact::{ComponentRef, PipelineRef, Stage};
use serde_json::json;

/// Names of the default pipelines.
pub const NAMES: [&str; 4] = ["PassThruReceive", "PassThruTransmit", "XMLReceive", "XMLTransmit"];

/// The default pipeline of a name.
#[must_use]
pub fn pipeline(name: &str) -> Option<PipelineRef> {
    let component = |stage, component: &'static str| ComponentRef { stage, component: component.into(), settings: json!({}) };
    let components = match name {
        "PassThruReceive" | "PassThruTransmit" => Vec::new(),
        "XMLReceive" => vec![component(Stage::Disassemble, disassembler::NAME)],
        "XMLTransmit" => vec![component(Stage::Assemble, assembler::NAME)],
        _ => return None,
    };
    Some(PipelineRef { name: name.into(), components })
}

/// Whether a default pipeline is a receive pipeline; `None` for other names.
#[must_use]
pub fn is_receive(name: &str) -> Option<bool> {
    NAMES.contains(&name).then(|| name.ends_with("Receive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_pipeline_can_be_prepared() {
        let mut registry = portolan_sdk::Registry::default();
        crate::catalog::register(&mut registry);
        for name in NAMES {
            for component in pipeline(name).unwrap().components {
                assert_eq!(component.stage.is_receive(), is_receive(name).unwrap());
                let factory = registry.component(&component.component).unwrap();
                factory.prepare(&component.settings, &portolan_sdk::Schemas::default()).unwrap();
            }
        }
        assert!(pipeline("xmlreceive").is_none());
    }
}
