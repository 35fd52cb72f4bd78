//! The envelope that is put around a document: the elements on the way to the body node, and fields
//! that are demoted from the context. The order of fields is that of the schema's annotations, all
//! before the body.

use crate::{
    xml::escape::{escape_attribute, escape_text},
    xpath::{self, Path, Test},
};
use portolan_model::Context;
use portolan_sdk::DocumentSpec;

/// An envelope, cut where the document goes.
pub struct Skeleton {
    /// Start tags and fields before the document.
    pub head: String,
    /// End tags after it.
    pub tail: String,
}

#[derive(Default)]
struct Element {
    namespace: String,
    local: String,
    attributes: Vec<(String, String, String)>,
    text: String,
    children: Vec<Element>,
    /// On the way to the body node; such a child stays the last.
    to_body: bool,
}

impl Skeleton {
    /// Builds the envelope of a specification.
    ///
    /// # Errors
    /// Why the specification does not say enough, in words.
    pub fn new(spec: &DocumentSpec, context: &Context) -> Result<Self, String> {
        let wrong = |why: &str| format!("the envelope {} of schema {} cannot be built: {why}", spec.message_type, spec.file);
        let expression = spec.body_xpath.as_deref().filter(|_| spec.is_envelope).ok_or_else(|| wrong("it has no usable body_xpath"))?;
        let body = xpath::parse(expression).map_err(|error| wrong(&error))?;
        let mut root = Element { namespace: spec.namespace.to_string(), local: spec.root.to_string(), to_body: true, ..Element::default() };
        way(&mut root, &body, true).ok_or_else(|| wrong("body_xpath has a step without a name or with a position"))?;
        for field in &spec.promoted {
            let Some(value) = context.get(&field.property) else { continue };
            let path = xpath::parse(&field.xpath).map_err(|error| wrong(&error))?;
            let Some(element) = way(&mut root, &path, false) else { continue };
            match &path.attribute {
                Some(Test { local: Some(local), namespace }) => {
                    element.attributes.push((namespace.clone().unwrap_or_default(), local.clone(), value.to_string()));
                }
                Some(_) => {}
                // The body node holds the documents and nothing else.
                None if element.to_body => {}
                None => element.text = value.to_string(),
            }
        }
        let (mut head, mut tail) = (String::new(), String::new());
        root.write(&mut head, &mut tail);
        Ok(Self { head, tail })
    }
}

/// The element a path leads to, made where it is missing; `None` when a step does not say which.
fn way<'e>(root: &'e mut Element, path: &Path, to_body: bool) -> Option<&'e mut Element> {
    let mut at = root;
    for step in path.steps.get(1..)? {
        if step.position.is_some_and(|p| p != 1) {
            return None;
        }
        let local = step.test.local.clone()?;
        let namespace = step.test.namespace.clone().unwrap_or_default();
        let known = at.children.iter().position(|c| c.local == local && c.namespace == namespace);
        let index = known.unwrap_or_else(|| {
            let index = at.children.iter().position(|c| c.to_body).unwrap_or(at.children.len());
            at.children.insert(index, Element { namespace, local, to_body, ..Element::default() });
            index
        });
        at = at.children.get_mut(index)?;
    }
    Some(at)
}

impl Element {
    /// Writes the element. The depth is that of an XPath in a schema, so recursion is safe.
    fn write(&self, head: &mut String, tail: &mut String) {
        let prefix = if self.namespace.is_empty() { "" } else { "ns0:" };
        head.push_str(&format!("<{prefix}{}", self.local));
        if !self.namespace.is_empty() {
            head.push_str(&format!(" xmlns:ns0=\"{}\"", escape_attribute(&self.namespace)));
        }
        for (at, (namespace, local, value)) in self.attributes.iter().enumerate() {
            let value = escape_attribute(value);
            if namespace.is_empty() {
                head.push_str(&format!(" {local}=\"{value}\""));
            } else {
                head.push_str(&format!(" xmlns:a{at}=\"{}\" a{at}:{local}=\"{value}\"", escape_attribute(namespace)));
            }
        }
        head.push('>');
        head.push_str(&escape_text(&self.text));
        let end = format!("</{prefix}{}>", self.local);
        for child in self.children.iter().filter(|c| !c.to_body) {
            let mut child_tail = String::new();
            child.write(head, &mut child_tail);
            head.push_str(&child_tail);
        }
        if let Some(child) = self.children.iter().find(|c| c.to_body) {
            child.write(head, tail);
        }
        tail.push_str(&end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_model::{Name, Value, ValueType};
    use portolan_sdk::PromotedField;

    fn envelope() -> DocumentSpec {
        let field = |local: &str, xpath: &str| PromotedField {
            property: Name::new("urn:p", local),
            value_type: ValueType::String,
            xpath: xpath.to_owned(),
            default: None,
        };
        DocumentSpec {
            message_type: "urn:e#Env".into(),
            namespace: "urn:e".into(),
            root: "Env".into(),
            is_envelope: true,
            body_xpath: Some("/*[local-name()='Env' and namespace-uri()='urn:e']/*[local-name()='Body' and namespace-uri()='']".to_owned()),
            promoted: vec![
                field("To", "/*/*[local-name()='Head' and namespace-uri()='urn:e']/*[local-name()='To']"),
                field("No", "/*/@*[local-name()='no']"),
            ],
            ..DocumentSpec::default()
        }
    }

    #[test]
    fn the_way_to_the_body_is_built_and_fields_are_filled_in() {
        let mut context = Context::new();
        let bare = Skeleton::new(&envelope(), &context).unwrap();
        assert_eq!((bare.head.as_str(), bare.tail.as_str()), ("<ns0:Env xmlns:ns0=\"urn:e\"><Body>", "</Body></ns0:Env>"));
        context.write(Name::new("urn:p", "To"), Value::string("A&B"));
        context.write(Name::new("urn:p", "No"), Value::Int32(7));
        let full = Skeleton::new(&envelope(), &context).unwrap();
        assert_eq!(full.head, "<ns0:Env xmlns:ns0=\"urn:e\" no=\"7\"><ns0:Head xmlns:ns0=\"urn:e\"><To>A&amp;B</To></ns0:Head><Body>");
    }

    #[test]
    fn an_envelope_without_names_is_refused() {
        let mut spec = envelope();
        spec.body_xpath = Some("/*/*".to_owned());
        assert!(Skeleton::new(&spec, &Context::new()).err().unwrap().contains("without a name"));
    }
}
