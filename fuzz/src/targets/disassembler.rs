//! The XML disassembler with an envelope, documents and promoted fields. Promises: no panic; a body in
//! memory and the same body as a stream give the same documents; every document is well-formed by itself.

use super::xml::Dripping;
use crate::campaign::Target;
use portolan_model::{Context, Name, ValueType, code, time::TimeZone};
use portolan_pipelines::{
    disassembler::XmlDisassemblerFactory,
    xml::{Input, Limits, Reader, Token},
};
use portolan_sdk::{
    Body, ComponentFactory, DocumentSpec, PipelineContext, PipelineMessage, Prepared, PromotedField, Schemas, StageComponent,
    body::SPOOL_MEMORY,
};
use serde_json::json;
use std::{
    io::{Cursor, Read, Seek},
    sync::{Arc, OnceLock},
};

/// The target.
pub const TARGET: Target = Target { name: "disassembler", run, words: WORDS, longest: 16 << 10, short: 3_000 };

const WORDS: &[&str] = &[
    "<b:Batch xmlns:b=\"urn:f:batch\">",
    "</b:Batch>",
    "<Body>",
    "</Body>",
    "<Header><Sender>A</Sender></Header>",
    "<Order xmlns=\"urn:f\">",
    "</Order>",
    "<Order xmlns=\"urn:f\"/>",
    "<f:Order xmlns:f=\"urn:f\">",
    "</f:Order>",
    "<Country>DE</Country>",
    "<Amount>12.5</Amount>",
    "<Amount/>",
    "<Line no=\"7\"/>",
    " xsi:nil=\"true\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
    "<other/>",
    "text",
    "&amp;",
    "&#65;",
    "<![CDATA[x]]>",
    "<!-- c -->",
    "<?pi x?>",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
    "<!DOCTYPE a>",
    "\u{feff}",
    " ",
    "\n",
];

/// A document as it came out: its context in text, and its bytes.
type Documents = Vec<(String, Vec<u8>)>;

fn run(bytes: &[u8]) {
    for (prepared, strict) in components().iter().zip([true, false]) {
        let whole = disassemble(prepared.as_ref(), Body::from_bytes(bytes.to_vec()));
        let stream = Body::from_stream(Dripping(Cursor::new(bytes.to_vec())), Some(SPOOL_MEMORY as u64 + 1));
        let pieces = disassemble(prepared.as_ref(), stream);
        assert_eq!(whole, pieces, "in memory and as a stream");
        match whole {
            // What is let through unrecognised may be anything.
            Ok(documents) if strict => documents.iter().for_each(|(_, body)| well_formed(body)),
            Ok(_) => {}
            Err((code, words)) => assert!(code::ALL.iter().any(|known| known.id == code) && !words.is_empty(), "{code}: {words}"),
        }
    }
}

/// The disassembler with its defaults, and the lenient one.
fn components() -> &'static [Arc<dyn Prepared>] {
    static COMPONENTS: OnceLock<Vec<Arc<dyn Prepared>>> = OnceLock::new();
    COMPONENTS.get_or_init(|| {
        let prepare = |settings| XmlDisassemblerFactory.prepare(&settings, schemas()).expect("the settings are right");
        vec![prepare(json!({})), prepare(json!({ "allow_unrecognized_message": true, "allow_empty_envelope": true }))]
    })
}

fn schemas() -> &'static Arc<Schemas> {
    static SCHEMAS: OnceLock<Arc<Schemas>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let field = |name: &'static str, value_type, xpath: &str, default: Option<&str>| PromotedField {
            property: Name::new("urn:f:properties", name),
            value_type,
            xpath: xpath.to_owned(),
            default: default.map(str::to_owned),
        };
        let step = |namespace: &str, local: &str| format!("/*[local-name()='{local}' and namespace-uri()='{namespace}']");
        let order = step("urn:f", "Order");
        let batch = step("urn:f:batch", "Batch");
        let mut schemas = Schemas::default();
        schemas.add_document(DocumentSpec {
            name: "Order".into(),
            message_type: "urn:f#Order".into(),
            namespace: "urn:f".into(),
            root: "Order".into(),
            promoted: vec![
                field("Country", ValueType::String, &format!("{order}{}", step("urn:f", "Country")), None),
                field("Amount", ValueType::Decimal, &format!("{order}{}", step("urn:f", "Amount")), Some("1")),
                field(
                    "No",
                    ValueType::Int32,
                    &format!("{order}{}/@*[local-name()='no' and namespace-uri()='']", step("urn:f", "Line")),
                    None,
                ),
            ],
            distinguished: vec![format!("{order}{}", step("urn:f", "Country"))],
            ..DocumentSpec::default()
        });
        schemas.add_document(DocumentSpec {
            name: "Batch".into(),
            message_type: "urn:f:batch#Batch".into(),
            namespace: "urn:f:batch".into(),
            root: "Batch".into(),
            is_envelope: true,
            body_xpath: Some(format!("{batch}{}", step("", "Body"))),
            promoted: vec![field("Sender", ValueType::String, &format!("{batch}{}{}", step("", "Header"), step("", "Sender")), None)],
            ..DocumentSpec::default()
        });
        Arc::new(schemas)
    })
}

fn disassemble(prepared: &dyn Prepared, body: Body) -> Result<Documents, (&'static str, String)> {
    let context = PipelineContext { pipeline: "fuzz".into(), schemas: schemas().clone(), time_zone: TimeZone::UTC };
    let StageComponent::Disassembler(mut disassembler) = prepared.instantiate() else { panic!("no disassembler") };
    let mut message = PipelineMessage::of_body(Context::new(), body);
    let mut documents = Documents::new();
    let work = || {
        disassembler.probe(&context, &mut message)?;
        disassembler.disassemble(&context, message)?;
        while let Some(mut document) = disassembler.next(&context)? {
            let mut bytes = Vec::new();
            let part = document.parts.get_mut(document.body_index).expect("a document has a body");
            part.body.rewind().expect("a document can be rewound");
            part.body.read_to_end(&mut bytes).expect("a document can be read");
            documents.push((format!("{:?}", document.context), bytes));
        }
        Ok(())
    };
    work().map_err(|error: portolan_sdk::ComponentError| (error.code.id, error.message))?;
    Ok(documents)
}

fn well_formed(document: &[u8]) {
    let mut reader = match Input::open(Body::from_bytes(document.to_vec()), None, 1 << 30) {
        Ok(input) => Reader::new(input, Limits::default()),
        Err(error) => panic!("a document that cannot be opened: {error}"),
    };
    loop {
        match reader.next_token() {
            Ok(Token::Eof) => break,
            Ok(_) => {}
            Err(error) => panic!("a document that is not well-formed: {error}\n{}", String::from_utf8_lossy(document)),
        }
    }
}
