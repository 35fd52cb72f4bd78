//! XML through the binary: promotion and routing by content, envelopes, bad messages, the example.

use crate::harness::{App, curl, free_port};
use std::path::Path;

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/orders"))
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(example().join("samples").join(name)).unwrap()
}

/// The example application on a port of its own.
fn orders() -> (App, u16) {
    let port = free_port();
    let yaml = std::fs::read_to_string(example().join("application.yaml")).unwrap().replace("8480", &port.to_string());
    let app = App::new(&yaml).copy(&example().join("schemas"), "schemas").mkdir(&["in"]).start();
    (app, port)
}

#[test]
fn orders_are_routed_by_country_amount_and_type_and_the_bad_one_is_repaired() {
    let (app, port) = orders();
    let url = format!("http://127.0.0.1:{port}/orders");
    for name in ["order-us.xml", "po-large.xml", "po-1234-bad.xml"] {
        app.drop_file(&format!("in/{name}"), sample(name));
    }
    for name in ["order-pt.xml", "sales-order.xml"] {
        let (status, answer) = curl(&url, &sample(name), &[]);
        assert_eq!(status, 202, "{name}: {answer}");
    }
    let body = |bytes: &[u8], part: &str| String::from_utf8_lossy(bytes).contains(part);
    let abroad = app.until_files("out/abroad", 1);
    assert!(abroad.len() == 1 && body(&abroad[0].1, "Marcia Teixeira"));
    let warehouse = app.until_files("out/warehouse", 2);
    assert!(warehouse.iter().any(|(_, b)| body(b, "Alice Smith")) && warehouse.iter().any(|(_, b)| body(b, "25000.00")));
    let desk = app.until_files("out/sales-desk", 2);
    assert!(desk.iter().any(|(_, b)| body(b, "MaMo01")) && desk.iter().any(|(_, b)| body(b, "25000.00")));
    let bad = app.until_suspended(Some("PTL0105"), 1);
    assert!(bad[0]["description"].as_str().unwrap().contains("$19.99"), "{}", bad[0]);
    let id = bad[0]["id"].as_str().unwrap();
    let still_bad = app.cli(&["suspended", "edit", id, "--file", example().join("samples/po-1234-bad.xml").to_str().unwrap()]);
    assert!(!still_bad.status.success(), "an edit that fails again changes nothing");
    assert_eq!(app.suspended(None).len(), 1);
    app.ok(&["suspended", "edit", id, "--file", example().join("samples/po-1234-repaired.xml").to_str().unwrap()]);
    app.until_files("out/warehouse", 3);
    assert!(app.suspended(None).is_empty());
}

#[test]
fn xml_that_cannot_be_taken_is_suspended_with_its_place_and_kept_as_it_came() {
    let (app, _) = orders();
    let cases: [(&str, &[u8], &str); 5] = [
        ("broken", b"<ns0:PO xmlns:ns0='http://HelloWorld.POSchema'>\n  <Total>1</Totl>\n</ns0:PO>", "PTL0110"),
        ("unknown", b"<Unknown xmlns='urn:nobody'/>", "PTL0111"),
        ("dtd", b"<!DOCTYPE PO [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><PO>&x;</PO>", "PTL0113"),
        ("text", b"this is no XML", "PTL0119"),
        ("charset", b"<?xml version='1.0' encoding='klingon'?><PO/>", "PTL0117"),
    ];
    for (name, bytes, code) in cases {
        app.drop_file(&format!("in/{name}.xml"), bytes);
        let kept = app.until(&format!("{name} is kept as it came"), || {
            app.suspended(Some(code)).into_iter().find(|i| {
                let file = app.path("kept");
                let _ = std::fs::remove_file(&file);
                app.ok(&["suspended", "save", i["id"].as_str().unwrap(), file.to_str().unwrap()]);
                std::fs::read(&file).unwrap() == bytes
            })
        });
        assert_eq!(kept["resumable"], true, "{name}");
        if name == "broken" {
            let why = kept["description"].as_str().unwrap();
            assert!(why.contains("line 2"), "{why}");
        }
    }
    assert!(app.files("out/warehouse").is_empty());
}

const ENVELOPE: &str = r#"<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:b="http://schemas.microsoft.com/BizTalk/2003" xmlns="urn:batch" targetNamespace="urn:batch">
  <xs:annotation><xs:appinfo><b:schemaInfo is_envelope="yes"/></xs:appinfo></xs:annotation>
  <xs:element name="Batch">
    <xs:annotation><xs:appinfo><b:recordInfo body_xpath="/*[local-name()='Batch' and namespace-uri()='urn:batch']/*[local-name()='Items' and namespace-uri()='']"/></xs:appinfo></xs:annotation>
    <xs:complexType><xs:sequence><xs:element name="Items"><xs:complexType><xs:sequence><xs:any maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element></xs:sequence></xs:complexType>
  </xs:element>
</xs:schema>"#;
const ITEM: &str = r#"<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:item"><xs:element name="Item" type="xs:string"/></xs:schema>"#;

fn batch(count: usize, spoil: Option<usize>) -> String {
    let mut text = String::from("<?xml version='1.0'?>\n<b:Batch xmlns:b='urn:batch' xmlns:i='urn:item'><Items>");
    for number in 0..count {
        let name = if spoil == Some(number) { "Odd" } else { "Item" };
        text.push_str(&format!("<i:{name}>{number}</i:{name}>"));
    }
    text + "</Items></b:Batch>"
}

#[test]
fn an_interchange_of_a_thousand_documents_is_published_whole_or_not_at_all() {
    let yaml = r#"
application: batches
receive_ports:
  - name: In
    locations:
      - { name: in, pipeline: XMLReceive, file: { folder: in, mask: "*.xml" } }
send_ports:
  - { name: Items, filter: 'BTS.MessageType == "urn:item#Item"', pipeline: XMLTransmit, file: { folder: out, file_name: "%MessageID%.xml" } }
"#;
    let app = App::new(yaml).mkdir(&["in", "out", "schemas"]);
    std::fs::write(app.path("schemas/Batch.xsd"), ENVELOPE).unwrap();
    std::fs::write(app.path("schemas/Item.xsd"), ITEM).unwrap();
    let app = app.start();
    app.drop_file("in/spoiled.xml", batch(1000, Some(997)));
    let found = app.until_suspended(Some("PTL0111"), 1);
    assert_eq!(found.len(), 1, "one interchange, one suspended message");
    assert!(app.files("out").is_empty(), "nothing of a failed interchange is published");
    app.drop_file("in/good.xml", batch(1000, None));
    let files = app.until_files("out", 1000);
    let mut numbers: Vec<usize> = files
        .iter()
        .map(|(_, body)| {
            let text = String::from_utf8_lossy(body);
            text.rsplit_once("</").unwrap().0.rsplit_once('>').unwrap().1.parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    app.until("all is settled", || app.json(&["status"])["services"].as_array().unwrap().iter().all(|s| s["ready"] == 0).then_some(()));
    assert_eq!(app.files("out").len(), 1000);
}
