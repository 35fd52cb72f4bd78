//! The product's annotations on a schema and on its root elements.

use super::tree::{B, ROOT, Tree, XS};
use portolan_model::SmolStr;

/// Annotations of the schema itself.
#[derive(Default)]
pub struct SchemaInfo {
    /// `schema_type="property"`.
    pub is_property_schema: bool,
    /// `is_envelope="yes"`.
    pub is_envelope: bool,
    /// `root_reference`: the root element that documents have.
    pub root_reference: Option<SmolStr>,
    /// Property namespaces by prefix, from `b:imports`.
    pub imports: Vec<(SmolStr, SmolStr)>,
}

/// One `b:property`.
pub struct PropertyField {
    /// Its node, for messages.
    pub node: usize,
    /// `prefix:Name` of the property it is promoted to.
    pub name: Option<String>,
    /// Whether it is a distinguished field.
    pub distinguished: bool,
    /// Where the field is.
    pub xpath: String,
}

/// Annotations of a root element.
#[derive(Default)]
pub struct RootInfo {
    /// `body_xpath`, with its node.
    pub body_xpath: Option<(usize, String)>,
    /// Promoted and distinguished fields.
    pub fields: Vec<PropertyField>,
}

/// Elements inside the `xs:appinfo` of a node.
fn app_info(tree: &Tree, node: usize) -> impl Iterator<Item = usize> + '_ {
    tree.named(node, XS, "annotation")
        .flat_map(|annotation| tree.named(annotation, XS, "appinfo"))
        .flat_map(|info| tree.children(info).iter().copied())
}

/// Reads the annotations of the schema.
pub fn schema_info(tree: &Tree) -> SchemaInfo {
    let mut info = SchemaInfo::default();
    for node in app_info(tree, ROOT) {
        if tree.is(node, B, "schemaInfo") {
            info.is_property_schema |= tree.attribute(node, "schema_type").is_some_and(|t| t.trim().eq_ignore_ascii_case("property"));
            info.is_envelope |= tree.is_yes(node, "is_envelope");
            let reference = tree.attribute(node, "root_reference").map(str::trim).filter(|r| !r.is_empty());
            info.root_reference = reference.map(SmolStr::new).or(info.root_reference);
        } else if tree.is(node, B, "imports") {
            for import in tree.named(node, B, "namespace") {
                if let (Some(prefix), Some(uri)) = (tree.attribute(import, "prefix"), tree.attribute(import, "uri")) {
                    info.imports.push((prefix.trim().into(), uri.trim().into()));
                }
            }
        }
    }
    info
}

/// Reads the annotations of a root element. `b:properties` stands directly in `xs:appinfo` or inside
/// `b:recordInfo`: the manual shows both.
pub fn root_info(tree: &Tree, element: usize) -> RootInfo {
    let mut info = RootInfo::default();
    for node in app_info(tree, element) {
        if tree.is(node, B, "properties") {
            read_properties(tree, node, &mut info);
        } else if tree.is(node, B, "recordInfo") || tree.is(node, B, "fieldInfo") {
            if let Some(xpath) = tree.attribute(node, "body_xpath").map(str::trim).filter(|x| !x.is_empty()) {
                info.body_xpath = Some((node, xpath.to_owned()));
            }
            for properties in tree.named(node, B, "properties") {
                read_properties(tree, properties, &mut info);
            }
        }
    }
    info
}

fn read_properties(tree: &Tree, properties: usize, info: &mut RootInfo) {
    for node in tree.named(properties, B, "property") {
        info.fields.push(PropertyField {
            node,
            name: tree.attribute(node, "name").map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()),
            distinguished: tree.is_yes(node, "distinguished"),
            xpath: tree.attribute(node, "xpath").unwrap_or_default().to_owned(),
        });
    }
}

/// Whether a property is marked as sensitive.
pub fn is_sensitive(tree: &Tree, element: usize) -> bool {
    app_info(tree, element).any(|node| tree.is(node, B, "fieldInfo") && tree.is_yes(node, "isSensitive"))
}
