//! Reading schema folders: real ones, and one mistake after the other.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{data, schemas};
use portolan_model::ValueType;
use portolan_pipelines::{SchemaProblem, load_schemas};
use portolan_sdk::Schemas;
use std::fs;

const HEAD: &str = "xmlns:xs='http://www.w3.org/2001/XMLSchema' xmlns:b='http://schemas.microsoft.com/BizTalk/2003'";

/// Loads files given as name and text.
fn load(files: &[(&str, String)]) -> (Schemas, Vec<SchemaProblem>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    load_schemas(folder.path())
}

fn properties(elements: &str) -> (&'static str, String) {
    let text = format!(
        "<xs:schema {HEAD} targetNamespace='urn:p'><xs:annotation><xs:appinfo><b:schemaInfo schema_type='property'/></xs:appinfo></xs:annotation>{elements}</xs:schema>"
    );
    ("Props.xsd", text)
}

/// A document schema with one root `Doc`, fields as `b:property` elements and a content model.
fn document(fields: &str, content: &str) -> (&'static str, String) {
    let text = format!(
        "<xs:schema {HEAD} targetNamespace='urn:d' xmlns='urn:d'><xs:annotation><xs:appinfo><b:imports><b:namespace prefix='p' uri='urn:p'/></b:imports></xs:appinfo></xs:annotation>\
         <xs:element name='Doc'><xs:annotation><xs:appinfo><b:properties>{fields}</b:properties></xs:appinfo></xs:annotation><xs:complexType>{content}</xs:complexType></xs:element>\
         <xs:simpleType name='Big'><xs:restriction base='Long'/></xs:simpleType><xs:simpleType name='Long'><xs:restriction base='xs:long'/></xs:simpleType></xs:schema>"
    );
    ("Doc.xsd", text)
}

fn errors(problems: &[SchemaProblem]) -> Vec<String> {
    problems.iter().map(|p| format!("{}{}", if p.warning { "W " } else { "" }, p.message)).collect()
}

#[test]
fn real_schemas_load_with_their_annotations() {
    let cars = schemas("corpus/car-envelope");
    let envelope = cars.by_name("CarEnvelope").unwrap();
    assert!(envelope.is_envelope);
    assert_eq!(envelope.message_type, "http://Chapter02_Example03.Schemas.CarEnvelope#ManufacturingReport");
    assert!(envelope.body_xpath.as_deref().unwrap().ends_with("/*[local-name()='Cars' and namespace-uri()='']"));
    let request = schemas("corpus/eai-process").by_name("Request").unwrap().clone();
    let promoted: Vec<_> = request.promoted.iter().map(|f| (f.property.local.as_str(), f.value_type)).collect();
    assert_eq!(promoted, [("GrandTotal", ValueType::UInt32), ("Category", ValueType::String)]);
    let persons = schemas("corpus/promotion");
    assert_eq!(persons.by_name("Person").unwrap().promoted.len(), 2);
    assert_eq!(
        persons.property("POCPropertySchema.Sex").unwrap().name.namespace,
        "https://POC.BizTalk.PropertyFieldPromotion.POCPropertySchema"
    );
    let registration = persons.by_name("Registration").unwrap();
    assert_eq!(registration.promoted[1].property.to_string(), "BTS.MessageType");
    let batch = schemas("corpus/batching");
    assert!(batch.by_name("Batch+BatchContent").is_some() && batch.by_name("Batch+ReleaseBatch").is_some());
    assert!(batch.by_name("Envelope").unwrap().is_envelope);
    assert_eq!(schemas("corpus/foreign").documents().count(), 2, "foreign annotations are ignored");
    assert!(schemas("corpus/wcf").documents().count() > 10);
}

#[test]
fn own_schemas_load_with_types_defaults_and_system_properties() {
    let schemas = schemas("orders");
    assert_eq!(schemas.property("Orders.Amount").unwrap().value_type, ValueType::Decimal);
    assert_eq!(schemas.property("Orders.Placed").unwrap().value_type, ValueType::DateTime);
    assert!(schemas.property("Orders.Secret").unwrap().sensitive && !schemas.property("Orders.Country").unwrap().sensitive);
    assert_eq!(schemas.property("BTS.ReceivePortName").unwrap().value_type, ValueType::String);
    let order = schemas.by_name("Order").unwrap();
    assert_eq!(order.promoted.len(), 4);
    assert_eq!(order.distinguished.len(), 1);
    assert_eq!(order.promoted.iter().find(|f| f.property.local == "Priority").unwrap().default.as_deref(), Some("5"));
    assert!(schemas.by_name("Order+Unused").is_none(), "root_reference leaves one root");
}

#[test]
fn the_encoding_of_the_bytes_counts_not_the_declared_one() {
    let text = "<?xml version='1.0' encoding='utf-16'?><xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='Größe'/></xs:schema>";
    let utf16: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.xsd"), text).unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/b.XSD"), utf16).unwrap();
    let (schemas, problems) = load_schemas(folder.path());
    assert_eq!(errors(&problems), ["the message type Größe is defined twice: here and in a.xsd"]);
    assert_eq!(schemas.by_type("Größe").len(), 2);
    assert!(problems[0].file.ends_with("sub/b.XSD") && problems[0].line == 1);
}

#[test]
fn types_are_followed_through_derivation_groups_references_and_includes() {
    let types = "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:complexType name='Price'><xs:simpleContent><xs:extension base='Money'><xs:attribute name='unit' default='EUR'/></xs:extension></xs:simpleContent></xs:complexType><xs:simpleType name='Money'><xs:restriction base='xs:long'/></xs:simpleType></xs:schema>";
    let main = format!(
        "<xs:schema {HEAD} targetNamespace='urn:d' xmlns='urn:d'><xs:include schemaLocation='..\\types.xsd'/><xs:annotation><xs:appinfo><b:imports><b:namespace prefix='p' uri='urn:p'/></b:imports></xs:appinfo></xs:annotation>\
         <xs:element name='Doc'><xs:annotation><xs:appinfo><b:properties><b:property name='p:A' xpath=\"/*/*[local-name()='Price']\"/><b:property name='p:B' xpath=\"/*/*[local-name()='Price']/@*[local-name()='unit']\"/></b:properties></xs:appinfo></xs:annotation>\
         <xs:complexType><xs:sequence><xs:element name='Price' type='Price'/></xs:sequence></xs:complexType></xs:element></xs:schema>"
    );
    let (schemas, problems) = load(&[
        ("types.xsd", types.to_owned()),
        ("sub/main.xsd", main),
        properties("<xs:element name='A' type='xs:string'/><xs:element name='B'/>"),
    ]);
    assert_eq!(errors(&problems).len(), 1, "{problems:?}");
    assert!(problems[0].message.contains("long cannot be promoted"), "{problems:?}");
    assert_eq!(schemas.by_name("main").unwrap().promoted[0].default.as_deref(), Some("EUR"));
}

#[test]
fn every_kind_of_mistake_is_reported_with_its_place() {
    let property = |name: &str, xpath: &str| format!("<b:property name='{name}' xpath=\"{xpath}\"/>");
    let sequence = |elements: &str| format!("<xs:sequence>{elements}</xs:sequence>");
    let field = "<xs:element name='A' type='xs:string'/><xs:element name='L' type='Big'/><xs:element name='R' maxOccurs='unbounded' type='xs:string'/><xs:element name='C'><xs:complexType><xs:sequence/></xs:complexType></xs:element>";
    for (fields, want) in [
        (property("p:A", "/*/A") + &property("p:A", "/*/R"), "promoted to {urn:p}A"),
        (property("p:A", "/*/L"), "long cannot be promoted"),
        (property("p:A", "/*/C"), "record with child elements"),
        (property("p:None", "/*/A"), "has no property \"None\""),
        (property("q:A", "/*/A"), "prefix \"q\""),
        (property("p:A", "//A"), "is not understood"),
        (property("p:A", "/*/Missing"), "W the schema has no field"),
        (property("p:A", "/*/R"), "W the field at /*/R can occur more than once"),
        ("<b:property distinguished='true' xpath='/*/C'/>".to_owned(), "a record cannot be a distinguished field"),
    ] {
        let (_, problems) = load(&[document(&fields, &sequence(field)), properties("<xs:element name='A' type='xs:string'/>")]);
        let found = errors(&problems);
        assert!(found.iter().any(|m| m.contains(want)), "{fields}: {found:?}");
        assert!(problems.iter().all(|p| p.line == 1 && p.column > 1 && p.file.ends_with("Doc.xsd") && p.help.is_some()));
    }
}

#[test]
fn mistakes_of_whole_files_are_reported() {
    let (_, problems) = load(&[
        ("broken.xsd", "<xs:schema>\n<a></xs:schema>".to_owned()),
        ("other.xsd", "<html/>".to_owned()),
        ("dtd.xsd", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>".to_owned()),
        (
            "import.xsd",
            format!(
                "<xs:schema {HEAD}><xs:import namespace='urn:x' schemaLocation='http://127.0.0.1/x.xsd'/><xs:include schemaLocation='../../etc/y.xsd'/></xs:schema>"
            ),
        ),
        (
            "envelope.xsd",
            format!(
                "<xs:schema {HEAD}><xs:annotation><xs:appinfo><b:schemaInfo is_envelope='yes' root_reference='No'/></xs:appinfo></xs:annotation><xs:element name='E'/></xs:schema>"
            ),
        ),
        ("a/Props.xsd", properties("<xs:element name='L' type='xs:long'/>").1),
        ("b/Props.xsd", properties("").1),
        ("BTS.xsd", properties("").1.replace("urn:p", "urn:bts")),
    ]);
    let found = errors(&problems);
    for want in [
        "the namespace prefix \"xs\" is not declared",
        "not an XML schema",
        "document type definition",
        "outside of the schema folder",
        "has no body_xpath",
        "root_reference names \"No\"",
        "two property schemas have the namespace",
        "two property schemas have the file name",
        "which are system properties",
        "the property \"L\" cannot have its type",
    ] {
        assert!(found.iter().any(|m| m.contains(want)), "{want}: {found:#?}");
    }
    assert_eq!(load_schemas(&data("there-is-no-such-folder")).1, []);
}

#[test]
fn hostile_schemas_end() {
    let chain: String = (0..2000)
        .map(|n| {
            format!(
                "<xs:complexType name='T{n}'><xs:complexContent><xs:extension base='T{}'/></xs:complexContent></xs:complexType>",
                (n + 1) % 2000
            )
        })
        .collect();
    let text = format!(
        "<xs:schema {HEAD}><xs:annotation><xs:appinfo><b:imports><b:namespace prefix='p' uri='urn:p'/></b:imports></xs:appinfo></xs:annotation>\
         <xs:element name='Doc' type='T0'><xs:annotation><xs:appinfo><b:properties><b:property name='p:A' xpath='/Doc/A'/><b:property name='p:B' xpath='/Doc'/></b:properties></xs:appinfo></xs:annotation></xs:element>{chain}\
         <xs:simpleType name='S'><xs:restriction base='S'/></xs:simpleType><xs:element name='Self' type='S'/></xs:schema>"
    );
    let (_, problems) = load(&[("loop.xsd", text), properties("<xs:element name='A'/><xs:element name='B' type='S'/>")]);
    assert!(!problems.is_empty());
}
