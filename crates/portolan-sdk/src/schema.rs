//! What pipeline components know of the deployed schemas (the reference product's `IDocumentSpec`),
//! and the properties that filters may name. Reading XSD files is `portolan_pipelines::xsd`'s work.

use portolan_model::{SmolStr, ValueType, property::Name};
use std::{collections::BTreeMap, sync::Arc};

/// One root element of a deployed schema: what makes a document of its type recognisable and
/// promotable.
#[derive(Clone, Debug, Default)]
pub struct DocumentSpec {
    /// Name by which pipelines list it: schema file stem, with `+Root` when the schema has several
    /// roots, for example `PurchaseOrder` or `Orders+Order`.
    pub name: SmolStr,
    /// `namespace#root`, or `root` without a namespace.
    pub message_type: SmolStr,
    /// Target namespace; empty for none.
    pub namespace: SmolStr,
    /// Local name of the root element.
    pub root: SmolStr,
    /// Whether it is an envelope.
    pub is_envelope: bool,
    /// Envelopes: XPath of the node whose children are the bodies.
    pub body_xpath: Option<String>,
    /// Property fields.
    pub promoted: Vec<PromotedField>,
    /// XPaths of distinguished fields.
    pub distinguished: Vec<String>,
    /// The file it came from, for messages.
    pub file: String,
}

/// A field of the document that is promoted to a property.
#[derive(Clone, Debug)]
pub struct PromotedField {
    /// The property.
    pub property: Name,
    /// Type of the property.
    pub value_type: ValueType,
    /// Where the field is.
    pub xpath: String,
    /// Default or fixed value of the field: promoted for `<f/>`, not for `<f></f>`.
    pub default: Option<String>,
}

/// A property that filters may name.
#[derive(Clone, PartialEq, Debug)]
pub struct PropertySpec {
    /// Full name.
    pub name: Name,
    /// Type.
    pub value_type: ValueType,
    /// `Prefix.Name`: how configuration writes it. The prefix is the property schema's file stem, or
    /// the system prefix.
    pub alias: String,
    /// Whether the value must stay out of tracking and displays.
    pub sensitive: bool,
}

/// All schemas of an application.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    by_type: BTreeMap<SmolStr, Vec<Arc<DocumentSpec>>>,
    by_name: BTreeMap<SmolStr, Arc<DocumentSpec>>,
    properties: BTreeMap<String, PropertySpec>,
}

impl Schemas {
    /// Adds a document specification. Two of the same message type make the type ambiguous.
    pub fn add_document(&mut self, spec: DocumentSpec) {
        let spec = Arc::new(spec);
        self.by_type.entry(spec.message_type.clone()).or_default().push(spec.clone());
        self.by_name.insert(spec.name.clone(), spec);
    }

    /// Adds a property.
    pub fn add_property(&mut self, spec: PropertySpec) {
        self.properties.insert(spec.alias.clone(), spec);
    }

    /// The specifications of a message type: none, one, or several when it is ambiguous.
    #[must_use]
    pub fn by_type(&self, message_type: &str) -> &[Arc<DocumentSpec>] {
        self.by_type.get(message_type).map_or(&[], Vec::as_slice)
    }

    /// The specification of a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<DocumentSpec>> {
        self.by_name.get(name)
    }

    /// The property of an alias such as `Orders.Country`.
    #[must_use]
    pub fn property(&self, alias: &str) -> Option<&PropertySpec> {
        self.properties.get(alias)
    }

    /// Every document specification, by name.
    pub fn documents(&self) -> impl Iterator<Item = &Arc<DocumentSpec>> {
        self.by_name.values()
    }

    /// Every property, by alias.
    pub fn properties(&self) -> impl Iterator<Item = &PropertySpec> {
        self.properties.values()
    }
}
