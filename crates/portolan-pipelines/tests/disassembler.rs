//! The XML disassembler as a pipeline runs it.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Bench, bytes, data, message, message_type, order, streamed, text};
use portolan_model::{
    Kind, Name, Value,
    property::DISTINGUISHED,
    system::{bts, xmlnorm},
};
use portolan_sdk::{Body, PipelinePart, StageComponent};
use serde_json::json;

fn order_xml(inner: &str) -> String {
    format!(
        "<o:Order xmlns:o=\"urn:example:order\" placed=\"2026-03-01T12:00:00+02:00\"><Head><Country>DE</Country></Head>{inner}</o:Order>"
    )
}

#[test]
fn the_car_envelope_gives_two_cars() {
    let bench = Bench::new("corpus/car-envelope");
    let interchange = std::fs::read(data("corpus/car-envelope/CarEnvelopeWithCars.xml")).unwrap();
    let mut cars = bench.split(interchange.clone()).unwrap();
    assert_eq!(cars.len(), 2);
    for (car, registration) in cars.iter_mut().zip(["ABC123", "XYZ789"]) {
        assert_eq!(message_type(car), Some("http://Chapter02_Example03.Schemas.SimplifiedCar#Car"));
        assert_eq!(car.context.property(&bts::MESSAGE_TYPE).unwrap().kind, Kind::Promoted);
        let text = text(car);
        assert!(text.starts_with("<ns0:Car xmlns:ns0=") && text.ends_with("</ns0:Car>"), "{text}");
        assert!(text.contains(&format!("<RegistrationNo>{registration}<")));
        let found = String::from_utf8(interchange.clone()).unwrap().contains(&text);
        assert!(found, "the document is cut out byte for byte");
    }
}

#[test]
fn fields_are_promoted_with_their_types_wherever_they_stand() {
    let bench = Bench::new("orders");
    let mut documents =
        bench.split(order_xml("<Line>1</Line><Note>a&amp;<![CDATA[<b>]]>\r\nc</Note><Priority/><Amount> 12.50 </Amount>")).unwrap();
    let order_document = documents.remove(0);
    let value = |name: &str| order_document.context.property(&Name::new(common::ORDERS, name)).unwrap().clone();
    assert_eq!(value("Country").value, Value::string("DE"));
    assert_eq!(value("Amount").value.to_string(), "12.50");
    assert_eq!(value("Placed").value.to_string(), "2026-03-01T10:00:00.0000000Z");
    assert_eq!(value("Priority").value, Value::Int32(5), "the default of <Priority/>");
    assert!(["Country", "Amount", "Placed", "Priority"].iter().all(|n| value(n).kind == Kind::Promoted));
    let note: Vec<_> = order_document.context.iter().filter(|p| p.name.namespace == DISTINGUISHED).collect();
    assert_eq!(note.len(), 1);
    assert!(note[0].name.local.ends_with("/*[local-name()='Note' and namespace-uri()='']"));
    assert_eq!((note[0].value.as_str(), note[0].kind), (Some("a&<b>\nc"), Kind::Distinguished));
}

#[test]
fn absent_empty_and_nil_fields_promote_nothing() {
    let bench = Bench::new("orders");
    let nil = "<Amount xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:nil='true'/>";
    for (inner, name) in [
        ("", "Amount"),
        ("<Amount></Amount>", "Amount"),
        ("<Amount/>", "Amount"),
        (nil, "Amount"),
        ("<Priority></Priority>", "Priority"),
        ("<x><Amount>1</Amount></x>", "Amount"),
        ("<p:Amount xmlns:p='urn:other'>1</p:Amount>", "Amount"),
    ] {
        let documents = bench.split(order_xml(inner)).unwrap();
        assert_eq!(order(&documents[0], name), None, "{inner}");
    }
}

#[test]
fn the_first_of_repeated_fields_counts() {
    let bench = Bench::new("orders");
    let documents = bench.split(order_xml("<Amount>1</Amount><Amount>2</Amount>")).unwrap();
    assert_eq!(order(&documents[0], "Amount").as_deref(), Some("1"));
}

#[test]
fn a_value_that_does_not_fit_is_an_error_that_says_where() {
    let bench = Bench::new("orders");
    let (code, message) = bench.failure(json!({}), order_xml("\n<Amount>many</Amount>"));
    assert_eq!(code, "PTL0105");
    assert!(message.contains("Amount") && message.contains("\"many\"") && message.contains("line 2"), "{message}");
    let long = "x".repeat(257);
    let (code, message) = bench.failure(json!({}), order_xml("").replace("DE", &long));
    assert_eq!(code, "PTL0105");
    assert!(message.contains("Country") && message.contains("257"), "{message}");
}

#[test]
fn nested_envelopes_give_each_document_the_fields_of_all_around_it() {
    let bench = Bench::new("orders");
    let interchange = "<b:Batch xmlns:b='urn:example:batch' id='B1'><b:Body>\
        <o:Order xmlns:o='urn:example:order'/>\
        <i:Inner xmlns:i='urn:example:inner' secret='s'><o:Order xmlns:o='urn:example:order'><Amount>2</Amount></o:Order><o:Order xmlns:o='urn:example:order'/></i:Inner>\
        <o:Order xmlns:o='urn:example:order'/>\
        </b:Body><b:Total>42</b:Total></b:Batch>";
    for interchange in [message(interchange), streamed(format!("{interchange}{}", " ".repeat(2 << 20)))] {
        let documents = bench.disassemble(json!({}), interchange).unwrap();
        let seen: Vec<_> = documents.iter().map(|d| ["Batch", "Total", "Secret", "Amount"].map(|n| order(d, n))).collect();
        let s = |t: &str| Some(t.to_owned());
        assert_eq!(
            seen,
            [
                [s("B1"), s("42"), None, None],
                [s("B1"), s("42"), s("s"), s("2")],
                [s("B1"), s("42"), s("s"), None],
                [s("B1"), s("42"), None, None],
            ],
            "the total stands after the documents and is promoted all the same"
        );
        assert!(documents.iter().all(|d| message_type(d) == Some("urn:example:order#Order")));
    }
}

#[test]
fn namespace_declarations_of_the_envelope_go_with_the_document() {
    let bench = Bench::new("orders");
    let interchange = "<b:Batch xmlns:b='urn:example:batch' xmlns:o='urn:example:order' xmlns:t='urn:\"t\"' xmlns='urn:d'><b:Body>\
        <o:Order><Head xmlns=''/></o:Order><o:Order xmlns:t='urn:own' xmlns=''/></b:Body></b:Batch>";
    let mut documents = bench.split(interchange).unwrap();
    assert_eq!(
        text(&mut documents[0]),
        "<o:Order xmlns:b=\"urn:example:batch\" xmlns:o=\"urn:example:order\" xmlns:t=\"urn:&quot;t&quot;\" xmlns=\"urn:d\"><Head xmlns=''/></o:Order>"
    );
    assert_eq!(
        text(&mut documents[1]),
        "<o:Order xmlns:b=\"urn:example:batch\" xmlns:o=\"urn:example:order\" xmlns:t='urn:own' xmlns=''/>"
    );
}

#[test]
fn documents_are_kept_byte_for_byte_and_what_surrounds_them_is_not() {
    let bench = Bench::new("orders");
    let body = "<o:Order  xmlns:o = 'urn:example:order' ><!-- c --><![CDATA[x]]><?p i?>&#65;\r\n</o:Order >";
    let mut alone =
        bench.split(format!("\u{FEFF}<?xml version=\"1.0\"?>\n<?keep me?><!-- and me -->{body}<?lost?><!-- lost -->\n")).unwrap();
    assert_eq!(text(&mut alone[0]), format!("<?keep me?><!-- and me -->{body}"));
    let mut inside = bench
        .split(format!("<!-- x --><b:Batch xmlns:b='urn:example:batch'><!-- x --><b:Body><!-- x -->{body}<?x?> </b:Body></b:Batch>"))
        .unwrap();
    assert_eq!(text(&mut inside[0]), body.replace("<o:Order ", "<o:Order xmlns:b=\"urn:example:batch\" "));
}

#[test]
fn schemas_that_are_missing_ambiguous_or_not_listed_are_told_apart() {
    let bench = Bench::new("orders");
    let (code, text) = bench.failure(json!({}), "<a xmlns='urn:x'/>");
    assert_eq!(code, "PTL0111");
    assert!(text.contains("urn:x#a") && text.contains("line 1"), "{text}");
    let (code, text) = bench.failure(json!({ "document_schemas": ["Inner"] }), order_xml(""));
    assert_eq!(code, "PTL0112");
    assert!(text.contains("Inner"), "{text}");
    assert!(bench.disassemble(json!({ "document_schemas": ["Order"] }), message(order_xml(""))).is_ok());
    let mut twice = (*bench.context.schemas).clone();
    let mut copy = (**twice.by_name("Order").unwrap()).clone();
    copy.name = "Order2".into();
    copy.file = "other/Order2.xsd".into();
    twice.add_document(copy);
    let bench = Bench::with(twice.into());
    let (code, text) = bench.failure(json!({}), order_xml(""));
    assert_eq!(code, "PTL0111");
    assert!(text.contains("Order.xsd") && text.contains("other/Order2.xsd"), "{text}");
    assert!(bench.disassemble(json!({ "document_schemas": ["Order2"] }), message(order_xml(""))).is_ok());
}

#[test]
fn listed_envelopes_are_enforced_in_their_order() {
    let bench = Bench::new("orders");
    let order = "<o:Order xmlns:o='urn:example:order'/>";
    let inner = format!("<i:Inner xmlns:i='urn:example:inner'>{order}</i:Inner>");
    let batch = |body: &str| format!("<b:Batch xmlns:b='urn:example:batch'><b:Body>{body}</b:Body></b:Batch>");
    let listed = json!({ "envelope_schemas": ["Batch", "Inner"] });
    assert_eq!(bench.disassemble(listed.clone(), message(batch(&inner))).unwrap().len(), 1);
    assert_eq!(bench.failure(listed.clone(), inner.clone()).0, "PTL0112");
    assert_eq!(bench.failure(listed.clone(), order).0, "PTL0112");
    assert_eq!(bench.failure(listed, batch(&batch(order))).0, "PTL0112");
    assert_eq!(bench.failure(json!({ "envelope_schemas": ["Batch"] }), batch(&inner)).0, "PTL0112");
}

#[test]
fn an_envelope_must_have_its_body_node_documents_and_no_text_between_them() {
    let bench = Bench::new("orders");
    let batch = |inner: &str| format!("<b:Batch xmlns:b='urn:example:batch'>{inner}</b:Batch>");
    assert_eq!(bench.failure(json!({}), batch("<Body/>")).0, "PTL0115");
    assert_eq!(bench.failure(json!({}), batch("")).0, "PTL0115");
    for text in ["x", "&#32;", "<![CDATA[x]]>"] {
        assert_eq!(
            bench.failure(json!({}), batch(&format!("<b:Body>{text}<o:Order xmlns:o='urn:example:order'/></b:Body>"))).0,
            "PTL0115",
            "{text}"
        );
    }
    for empty in ["<b:Body/>", "<b:Body> <!-- none --> </b:Body>", "<b:Body><i:Inner xmlns:i='urn:example:inner'/></b:Body>"] {
        assert_eq!(bench.failure(json!({}), batch(empty)).0, "PTL0116", "{empty}");
        assert!(bench.disassemble(json!({ "allow_empty_envelope": true }), message(batch(empty))).unwrap().is_empty());
    }
}

#[test]
fn unrecognised_messages_pass_unchanged_only_when_allowed_and_only_as_xml() {
    let bench = Bench::new("orders");
    let allow = json!({ "allow_unrecognized_message": true });
    let unknown = "\u{FEFF}<?xml version='1.0'?> <a xmlns='urn:x'> </a> <!-- after -->";
    let mut documents = bench.disassemble(allow.clone(), message(unknown)).unwrap();
    assert_eq!(text(&mut documents[0]), unknown);
    assert_eq!(message_type(&documents[0]), Some("urn:x#a"));
    let large = format!("{unknown}{}", " ".repeat(2 << 20));
    let mut documents = bench.disassemble(allow.clone(), streamed(large.clone())).unwrap();
    assert_eq!(text(&mut documents[0]), large);
    let mut empty = bench.disassemble(allow.clone(), message("")).unwrap();
    assert_eq!((empty.len(), bytes(&mut empty[0]).len()), (1, 0));
    assert_eq!(bench.failure(json!({}), "").0, "PTL0116");
    assert_eq!(bench.failure(allow.clone(), "no xml").0, "PTL0110");
    assert_eq!(bench.failure(allow.clone(), "<a><b></a>").0, "PTL0110");
    assert!(order(&bench.disassemble(allow.clone(), message(order_xml(""))).unwrap()[0], "Country").is_some());
    let mut refused = message("<a/>");
    refused.context.write(xmlnorm::ALLOW_UNRECOGNIZED_MESSAGE, Value::Boolean(false));
    assert_eq!(bench.disassemble(allow, refused).unwrap_err().code.id, "PTL0111");
    let mut allowed = message("<a/>");
    allowed.context.write(xmlnorm::ALLOW_UNRECOGNIZED_MESSAGE, Value::Boolean(true));
    assert_eq!(bench.disassemble(json!({}), allowed).unwrap().len(), 1);
}

#[test]
fn properties_of_the_message_beat_the_settings() {
    let bench = Bench::new("orders");
    let mut named = message(order_xml(""));
    named.context.write(xmlnorm::DOCUMENT_SPEC_NAME, Value::string("Inner"));
    assert_eq!(bench.disassemble(json!({ "document_schemas": ["Order"] }), named).unwrap_err().code.id, "PTL0112");
    let interchange = "<b:Batch xmlns:b='urn:example:batch' id='7'><b:Body><o:Order xmlns:o='urn:example:order'/></b:Body></b:Batch>";
    let mut whole = message(interchange);
    whole.context.write(xmlnorm::PROMOTE_PROPERTIES_ONLY, Value::Boolean(true));
    let mut documents = bench.disassemble(json!({}), whole).unwrap();
    assert_eq!(text(&mut documents[0]), interchange);
    assert_eq!(message_type(&documents[0]), Some("urn:example:batch#Batch"));
    assert_eq!(order(&documents[0], "Batch").as_deref(), Some("7"));
}

#[test]
fn other_parts_go_with_every_document() {
    let bench = Bench::new("orders");
    let order = "<o:Order xmlns:o='urn:example:order'/>";
    let mut interchange = message(format!("<b:Batch xmlns:b='urn:example:batch'><b:Body>{order}{order}</b:Body></b:Batch>"));
    let stream = std::io::Cursor::new(b"attached".to_vec());
    interchange
        .parts
        .insert(0, PipelinePart { name: "a".into(), content_type: None, charset: None, body: Body::from_stream(stream, None) });
    interchange.body_index = 1;
    interchange.parts[1].content_type = Some("text/xml; charset=iso-8859-1".into());
    let documents = bench.disassemble(json!({}), interchange).unwrap();
    for mut document in documents {
        let mut attached = Vec::new();
        std::io::Read::read_to_end(&mut document.parts[0].body, &mut attached).unwrap();
        assert_eq!(attached, b"attached");
        assert_eq!(document.parts[1].content_type.as_deref(), Some("text/xml"));
        assert_eq!(document.parts[1].charset.as_deref(), Some("utf-8"));
        assert!(text(&mut document).starts_with("<o:Order"));
    }
}

#[test]
fn probing_recognises_xml_in_any_charset() {
    let bench = Bench::new("orders");
    let utf16: Vec<u8> = "\u{FEFF} <a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (text, want) in [
        (b"<a/>".to_vec(), true),
        (b" \n<a".to_vec(), true),
        (utf16, true),
        (Vec::new(), true),
        (b"UNB+".to_vec(), false),
        (b"{}".to_vec(), false),
    ] {
        let StageComponent::Disassembler(mut component) = bench.component("xml-disassembler", json!({})) else { panic!() };
        assert_eq!(component.probe(&bench.context, &mut message(text.clone())).unwrap(), Some(want), "{text:?}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let bench = Bench::new("orders");
    for (settings, word) in [
        (json!({ "validate_document": true }), "validate_document"),
        (json!({ "recoverable_interchange": true }), "recoverable_interchange"),
        (json!({ "document_schemas": ["Nothing"] }), "Nothing"),
        (json!({ "envelope_schemas": ["Order"] }), "not an envelope"),
        (json!({ "document_schemas": ["Order", "Order"] }), "same message type"),
        (json!({ "unknown": 1 }), "unknown"),
        (json!({ "limits": { "depth": "deep" } }), "deep"),
    ] {
        let error = bench.registry.component("xml-disassembler").unwrap().prepare(&settings, &bench.context.schemas).err().unwrap();
        assert!(error.contains(word), "{settings}: {error}");
    }
}

/// Counts the bytes read from a stream.
struct Counting(std::io::Cursor<Vec<u8>>, std::sync::Arc<std::sync::atomic::AtomicUsize>);
impl std::io::Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}
impl std::io::Seek for Counting {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_hundred_thousand_documents_come_one_at_a_time() {
    let bench = Bench::new("orders");
    let inner: String = (0..100_000).map(|n| format!("<o:Order xmlns:o='urn:example:order'><Amount>{n}</Amount></o:Order>")).collect();
    let interchange = format!("<i:Inner xmlns:i='urn:example:inner' secret='s'>{inner}</i:Inner>");
    let length = interchange.len() as u64;
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let stream = Counting(std::io::Cursor::new(interchange.into_bytes()), read.clone());
    let message = portolan_sdk::PipelineMessage::of_body(portolan_model::Context::new(), Body::from_stream(stream, Some(length)));
    let StageComponent::Disassembler(mut component) = bench.component("xml-disassembler", json!({})) else { panic!() };
    component.disassemble(&bench.context, message).unwrap();
    let mut count = 0;
    while let Some(document) = component.next(&bench.context).unwrap() {
        assert_eq!(order(&document, "Amount"), Some(count.to_string()));
        count += 1;
        if count == 1 {
            assert!(read.load(std::sync::atomic::Ordering::Relaxed) < 200_000, "the first document does not wait for the others");
        }
    }
    assert_eq!(count, 100_000);
}

#[test]
fn a_mistake_after_good_documents_fails_the_interchange() {
    let bench = Bench::new("orders");
    let order = "<o:Order xmlns:o='urn:example:order'/>";
    for (bad, code) in [("<x/>", "PTL0111"), ("<o:Order>", "PTL0110"), ("&lol;", "PTL0113")] {
        let interchange = format!("<i:Inner xmlns:i='urn:example:inner' secret='s'>{order}{order}{bad}</i:Inner>");
        let StageComponent::Disassembler(mut component) = bench.component("xml-disassembler", json!({})) else { panic!() };
        component.disassemble(&bench.context, message(interchange)).unwrap();
        assert!(component.next(&bench.context).unwrap().is_some());
        assert!(component.next(&bench.context).unwrap().is_some());
        let error = component.next(&bench.context).unwrap_err();
        assert!(["PTL0110", "PTL0111", "PTL0113", "PTL0115"].contains(&error.code.id), "{bad}: {error}");
        assert!(code == error.code.id || bad == "<o:Order>", "{bad}: {error}");
        assert!(component.next(&bench.context).unwrap().is_none(), "a failed interchange gives nothing more");
    }
}
