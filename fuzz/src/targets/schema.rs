//! XML schemas with annotations: a whole XSD file. Promises: no panic; problems have words and stand inside
//! the file; what is loaded can be used.

use crate::campaign::Target;
use portolan_pipelines::{xpath, xsd};
use std::{fs, path::PathBuf, sync::OnceLock};

/// The target.
pub const TARGET: Target = Target { name: "schema", run, words: WORDS, longest: 16 << 10, short: 3_000 };

const WORDS: &[&str] = &[
    "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:b=\"http://schemas.microsoft.com/BizTalk/2003\" targetNamespace=\"urn:f\">",
    "</xs:schema>",
    "<xs:element name=\"a\" type=\"xs:string\"/>",
    "<xs:element ref=\"a\"/>",
    "<xs:element name=\"b\">",
    "</xs:element>",
    "<xs:complexType>",
    "</xs:complexType>",
    "<xs:sequence>",
    "</xs:sequence>",
    "<xs:choice maxOccurs=\"unbounded\">",
    "</xs:choice>",
    "<xs:attribute name=\"c\" type=\"xs:int\"/>",
    "<xs:annotation><xs:appinfo>",
    "</xs:appinfo></xs:annotation>",
    "<b:schemaInfo is_envelope=\"yes\"/>",
    "<b:recordInfo body_xpath=\"/*[local-name()='b']\"/>",
    "<b:properties>",
    "</b:properties>",
    "<b:property name=\"p:a\" xpath=\"/*[local-name()='b']/*[local-name()='a']\"/>",
    "<b:property distinguished=\"true\" xpath=\"/*\"/>",
    "<b:imports><b:namespace prefix=\"p\" uri=\"urn:p\" location=\"x.xsd\"/></b:imports>",
    "<xs:import namespace=\"urn:x\" schemaLocation=\"other.xsd\"/>",
    "<xs:include schemaLocation=\"application.xsd\"/>",
    "<xs:extension base=\"t\">",
    "<xs:complexType name=\"t\">",
    "<xs:group ref=\"g\"/>",
    "<xs:group name=\"g\">",
    " type=\"t\"",
    " default=\"1\"",
    " fixed=\"x\"",
    " maxOccurs=\"2\"",
    " elementFormDefault=\"qualified\"",
    " b:root_reference=\"b\"",
];

fn run(bytes: &[u8]) {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("portolan-fuzz-schemas-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder can be made");
        path
    });
    fs::write(folder.join("application.xsd"), bytes).expect("the temporary folder takes files");
    let (schemas, problems) = xsd::load_schemas(folder);
    for problem in &problems {
        assert!(!problem.message.is_empty(), "a problem without words");
        assert!(problem.line <= 1 + bytes.iter().filter(|b| **b == b'\n').count() as u64, "line {} of a shorter file", problem.line);
    }
    for document in schemas.documents() {
        assert!(!document.root.is_empty() && !document.name.is_empty(), "a document without name");
        for path in document.promoted.iter().map(|field| &field.xpath).chain(&document.body_xpath) {
            assert!(xpath::parse(path).is_ok(), "loaded with a path that does not compile: {path}");
        }
    }
}
