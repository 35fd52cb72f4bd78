//! The XML assembler as a pipeline runs it, alone and behind the disassembler.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Bench, bytes, message, streamed, text};
use portolan_model::{Name, Value, system::xmlnorm};
use portolan_sdk::PipelineMessage;
use serde_json::json;

const MARK: &str = "\u{FEFF}";
const ORDER: &str = "<o:Order xmlns:o=\"urn:example:order\"/>";

fn plain() -> serde_json::Value {
    json!({ "preserve_bom": false, "add_xml_declaration": false })
}

fn with(text: &str, name: &Name, value: Value) -> PipelineMessage {
    let mut message = message(text);
    message.context.write(name.clone(), value);
    message
}

#[test]
fn by_default_the_output_has_mark_and_declaration() {
    let bench = Bench::new("orders");
    let mut out =
        bench.assemble(json!({}), message(format!("<?xml version='1.0' encoding='us-ascii' standalone='yes'?>\n{ORDER}<?lost?>"))).unwrap();
    assert_eq!(text(&mut out), format!("{MARK}<?xml version=\"1.0\" encoding=\"utf-8\"?>{ORDER}"));
    assert_eq!(out.parts[0].charset.as_deref(), Some("utf-8"));
    let mut out = bench.assemble(plain(), message(format!("{MARK}<?xml version='1.0'?>{ORDER}"))).unwrap();
    assert_eq!(text(&mut out), ORDER);
    let mut out = bench.assemble(plain(), with(ORDER, &xmlnorm::ADD_XML_DECLARATION, Value::Boolean(true))).unwrap();
    assert_eq!(text(&mut out), format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>{ORDER}"));
}

#[test]
fn the_character_set_comes_from_context_then_setting_then_source() {
    let bench = Bench::new("orders");
    let declared = |message: PipelineMessage, setting: Option<&str>| {
        let mut out = bench.assemble(json!({ "target_charset": setting, "preserve_bom": false }), message).unwrap();
        let bytes = bytes(&mut out);
        let head: String = bytes.iter().filter(|b| **b != 0).map(|b| char::from(*b)).take(60).collect();
        (head.split('"').nth(3).unwrap().to_owned(), out.parts[0].charset.clone().unwrap().to_string())
    };
    let source = with(ORDER, &xmlnorm::SOURCE_CHARSET, Value::string("windows-1252"));
    assert_eq!(declared(source, None), ("windows-1252".into(), "windows-1252".into()));
    let source = with(ORDER, &xmlnorm::SOURCE_CHARSET, Value::string("windows-1252"));
    assert_eq!(declared(source, Some("UTF-16")), ("utf-16".into(), "utf-16".into()));
    let mut both = with(ORDER, &xmlnorm::SOURCE_CHARSET, Value::string("windows-1252"));
    both.context.write(xmlnorm::TARGET_CHARSET, Value::string("ISO-8859-15"));
    assert_eq!(declared(both, Some("UTF-16")), ("iso-8859-15".into(), "iso-8859-15".into()));
    let unknown = with(ORDER, &xmlnorm::TARGET_CHARSET, Value::string("klingon"));
    let error = bench.assemble(json!({}), unknown).unwrap_err();
    assert_eq!(error.code.id, "PTL0117");
    assert!(error.message.contains("klingon"));
}

#[test]
fn characters_that_the_set_lacks_become_references() {
    let bench = Bench::new("orders");
    let document = "<o:Order xmlns:o='urn:example:order' a='é€'>é€<![CDATA[€]]></o:Order>";
    for message in [message(document), streamed(format!("{document}{}", " ".repeat(2 << 20)))] {
        let mut out = bench.assemble(json!({ "target_charset": "iso-8859-1" }), message).unwrap();
        let want = b"<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><o:Order xmlns:o='urn:example:order' a='\xE9&#8364;'>\xE9&#8364;<![CDATA[]]>&#8364;<![CDATA[]]></o:Order>";
        assert_eq!(String::from_utf8_lossy(&bytes(&mut out)), String::from_utf8_lossy(want));
    }
    let named = "<o:Order xmlns:o='urn:example:order'><é/></o:Order>";
    assert_eq!(bench.assemble(json!({ "target_charset": "us-ascii" }), message(named)).unwrap_err().code.id, "PTL0118");
}

#[test]
fn utf_16_has_its_mark_unless_switched_off() {
    let bench = Bench::new("orders");
    for (label, decode, mark) in [("utf-16", encoding_rs::UTF_16LE, [0xFF, 0xFE]), ("utf-16be", encoding_rs::UTF_16BE, [0xFE, 0xFF])] {
        let settings = json!({ "target_charset": label, "add_xml_declaration": false });
        let out = bytes(&mut bench.assemble(settings, message(ORDER)).unwrap());
        assert_eq!(out[..2], mark);
        assert_eq!(decode.decode_without_bom_handling(&out[2..]).0, ORDER);
        let settings = json!({ "target_charset": label, "add_xml_declaration": false, "preserve_bom": false });
        assert_eq!(bytes(&mut bench.assemble(settings, message(ORDER)).unwrap())[..], out[2..]);
    }
}

#[test]
fn processing_instructions_follow_option_scope_and_the_pair_rule() {
    let bench = Bench::new("orders");
    let document = format!("<?old o?>{ORDER}");
    let run = |settings: serde_json::Value, change: &dyn Fn(&mut PipelineMessage)| {
        let mut settings = settings;
        settings.as_object_mut().unwrap().extend(plain().as_object().unwrap().clone());
        let mut message = message(document.clone());
        change(&mut message);
        text(&mut bench.assemble(settings, message).unwrap())
    };
    let none = |_: &mut PipelineMessage| {};
    let new = "<?new n?>";
    let set = |option: &str| json!({ "processing_instructions": new, "processing_instruction_option": option });
    assert_eq!(run(json!({}), &none), document);
    assert_eq!(run(set("append"), &none), format!("<?old o?>{new}{ORDER}"));
    assert_eq!(run(set("create_new"), &none), format!("{new}{ORDER}"));
    assert_eq!(run(json!({ "processing_instruction_option": "create_new" }), &none), ORDER);
    assert_eq!(run(set("ignore"), &none), ORDER);
    let text_only = |m: &mut PipelineMessage| m.context.write(xmlnorm::PROCESSING_INSTRUCTION, Value::string("<?ctx?>"));
    assert_eq!(run(set("create_new"), &text_only), format!("{new}{ORDER}"), "text without an option is ignored");
    let option_only = |m: &mut PipelineMessage| m.context.write(xmlnorm::PROCESSING_INSTRUCTION_OPTION, Value::Int32(1));
    assert_eq!(run(set("append"), &option_only), ORDER, "an option without text erases");
    let both = |m: &mut PipelineMessage| {
        text_only(m);
        m.context.write(xmlnorm::PROCESSING_INSTRUCTION_OPTION, Value::Int32(0));
    };
    assert_eq!(run(set("create_new"), &both), format!("<?old o?><?ctx?>{ORDER}"));
    let envelope = json!({ "processing_instructions": new, "processing_instruction_scope": "envelope", "envelope_schemas": ["Inner"] });
    assert_eq!(run(envelope, &none), format!("{new}<ns0:Inner xmlns:ns0=\"urn:example:inner\"><?old o?>{ORDER}</ns0:Inner>"));
    let document_scope = json!({ "processing_instructions": new, "envelope_schemas": ["Inner"] });
    assert_eq!(run(document_scope, &none), format!("<ns0:Inner xmlns:ns0=\"urn:example:inner\"><?old o?>{new}{ORDER}</ns0:Inner>"));
    for (option, text) in [(Value::Int32(3), "<?a?>"), (Value::Int32(0), "<a/>")] {
        let mut bad = message(ORDER);
        bad.context.write(xmlnorm::PROCESSING_INSTRUCTION_OPTION, option);
        bad.context.write(xmlnorm::PROCESSING_INSTRUCTION, Value::string(text));
        assert_eq!(bench.assemble(json!({}), bad).unwrap_err().code.id, "PTL0118");
    }
}

#[test]
fn what_the_assembler_wraps_the_disassembler_unwraps() {
    let bench = Bench::new("orders");
    let mut settings = plain();
    settings["envelope_schemas"] = json!(["Batch", "Inner"]);
    let mut order = message(ORDER);
    for (name, value) in [("Batch", Value::string("B\"1")), ("Total", Value::Int32(3)), ("Secret", Value::string("s"))] {
        order.context.write(Name::new(common::ORDERS, name), value);
    }
    let mut wrapped = bench.assemble(settings, order).unwrap();
    let wrapped = text(&mut wrapped);
    assert!(wrapped.starts_with("<ns0:Batch xmlns:ns0=\"urn:example:batch\" id=\"B&quot;1\">"), "{wrapped}");
    let mut documents = bench.split(wrapped).unwrap();
    assert_eq!(documents.len(), 1);
    assert_eq!(common::order(&documents[0], "Batch").as_deref(), Some("B\"1"));
    assert_eq!(common::order(&documents[0], "Total").as_deref(), Some("3"));
    assert_eq!(common::order(&documents[0], "Secret").as_deref(), Some("s"));
    assert!(text(&mut documents[0]).contains("xmlns:o=\"urn:example:order\""));
    let mut named = message(ORDER);
    named.context.write(xmlnorm::ENVELOPE_SPEC_NAME, Value::string("Inner"));
    assert!(text(&mut bench.assemble(plain(), named).unwrap()).starts_with("<ns0:Inner"));
}

#[test]
fn empty_fields_of_the_document_take_the_value_of_their_property() {
    let bench = Bench::new("orders");
    let document =
        |amount: &str| format!("<o:Order xmlns:o='urn:example:order'><Head><Country></Country></Head>{amount}<x> </x></o:Order>");
    let large = " ".repeat(2 << 20);
    for (amount, want) in [
        ("<Amount/>", "<Amount>7</Amount>"),
        ("<Amount a='>' />", "<Amount a='>'>7</Amount>"),
        ("<Amount></Amount>", "<Amount>7</Amount>"),
        ("<Amount><!-- --></Amount>", "<Amount><!-- --></Amount>"),
        ("<Amount>1</Amount>", "<Amount>1</Amount>"),
        ("<Amount/><Amount/>", "<Amount>7</Amount><Amount/>"),
        ("", ""),
    ] {
        for settings in [plain(), json!({ "target_charset": "windows-1252", "add_xml_declaration": false })] {
            for mut order in [message(document(amount)), streamed(format!("{}{large}", document(amount)))] {
                order.context.write(Name::new(common::ORDERS, "Amount"), Value::Int32(7));
                order.context.write(Name::new(common::ORDERS, "Country"), Value::string("A<B"));
                let out = text(&mut bench.assemble(settings.clone(), order).unwrap());
                assert_eq!(out, document(want).replace("<Country>", "<Country>A&lt;B"), "{amount}");
            }
        }
    }
}

#[test]
fn unrecognised_messages_need_the_property_on_the_message() {
    let bench = Bench::new("orders");
    let allow = |text: &str| with(text, &xmlnorm::ALLOW_UNRECOGNIZED_MESSAGE, Value::Boolean(true));
    for (document, code) in [("<a/>", "PTL0111"), ("", "PTL0116"), ("no xml", "PTL0110"), (" <a><b></a>", "PTL0111")] {
        assert_eq!(bench.assemble(json!({}), message(document)).unwrap_err().code.id, code, "{document}");
        assert_eq!(text(&mut bench.assemble(json!({}), allow(document)).unwrap()), document);
    }
    let cut = ORDER.replace("/>", "><b>");
    assert_eq!(bench.assemble(json!({}), allow(&cut)).unwrap_err().code.id, "PTL0110", "a document with a schema is processed");
    assert_eq!(bench.assemble(json!({ "document_schemas": ["Inner"] }), allow(ORDER)).unwrap_err().code.id, "PTL0112");
    assert!(text(&mut bench.assemble(json!({}), allow(ORDER)).unwrap()).starts_with(MARK));
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let bench = Bench::new("orders");
    for (settings, word) in [
        (json!({ "target_charset": "klingon" }), "klingon"),
        (json!({ "envelope_schemas": ["Order"] }), "cannot be built"),
        (json!({ "envelope_schemas": ["Nothing"] }), "Nothing"),
        (json!({ "processing_instructions": "<a/>" }), "processing_instructions"),
        (json!({ "processing_instruction_option": "sometimes" }), "sometimes"),
        (json!({ "unknown": 1 }), "unknown"),
    ] {
        let error = bench.registry.component("xml-assembler").unwrap().prepare(&settings, &bench.context.schemas).err().unwrap();
        assert!(error.contains(word), "{settings}: {error}");
    }
}
