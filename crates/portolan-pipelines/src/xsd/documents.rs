//! Document and envelope schemas: one specification per usable root element.

use super::{
    Problems,
    annotations::{self, PropertyField, RootInfo, SchemaInfo},
    content::{Model, Target},
    index::Index,
    properties::{Known, stem},
    tree::{ROOT, Tree},
};
use crate::xpath;
use portolan_model::{Name, SmolStr, ValueType};
use portolan_sdk::{DocumentSpec, PromotedField, Schemas};
use std::collections::BTreeMap;

struct Loader<'a> {
    model: Model<'a>,
    known: &'a Known,
    problems: &'a mut Problems,
}

/// Reads the document schemas.
pub fn load(trees: &[Tree], index: &Index, known: &Known, schemas: &mut Schemas, problems: &mut Problems) {
    let mut types: BTreeMap<SmolStr, &str> = BTreeMap::new();
    let mut names: BTreeMap<SmolStr, &str> = BTreeMap::new();
    for (file, tree) in trees.iter().enumerate() {
        let info = annotations::schema_info(tree);
        if info.is_property_schema {
            continue;
        }
        let mut loader = Loader { model: Model { trees, index }, known, problems };
        for (node, spec) in loader.file(file, &info) {
            if let Some(other) = types.insert(spec.message_type.clone(), &tree.shown) {
                let message = format!("the message type {} is defined twice: here and in {other}", spec.message_type);
                problems.error(
                    tree,
                    node,
                    message,
                    "a document of this type would be ambiguous: remove one, or list the schemas a pipeline may use",
                );
            }
            if let Some(other) = names.insert(spec.name.clone(), &tree.shown).filter(|other| *other != tree.shown) {
                let message = format!("two schemas have the name \"{}\": {} and {other}", spec.name, tree.shown);
                problems.error(tree, node, message, "rename one file: pipelines name a schema by its file name");
            }
            schemas.add_document(spec);
        }
    }
}

impl Loader<'_> {
    fn file(&mut self, file: usize, info: &SchemaInfo) -> Vec<(usize, DocumentSpec)> {
        let tree = &self.model.trees[file];
        let is_root =
            |node: &usize| tree.xs(*node) == "element" && !tree.is_yes(*node, "abstract") && tree.attribute(*node, "name").is_some();
        let mut roots: Vec<usize> = tree.children(ROOT).iter().copied().filter(is_root).collect();
        if let Some(wanted) = &info.root_reference {
            if roots.iter().any(|node| tree.attribute(*node, "name") == Some(wanted)) {
                roots.retain(|node| tree.attribute(*node, "name") == Some(wanted));
            } else {
                self.problems.error(
                    tree,
                    ROOT,
                    format!("root_reference names \"{wanted}\", which is no root element of this schema"),
                    "correct root_reference in b:schemaInfo",
                );
            }
        }
        let several = roots.len() > 1;
        roots.into_iter().map(|node| (node, self.root(file, node, info, several))).collect()
    }

    fn root(&mut self, file: usize, node: usize, info: &SchemaInfo, several: bool) -> DocumentSpec {
        let tree = &self.model.trees[file];
        let root: SmolStr = tree.attribute(node, "name").unwrap_or_default().into();
        let stem = stem(&tree.shown);
        let annotated = annotations::root_info(tree, node);
        let mut spec = DocumentSpec {
            name: if several { format!("{stem}+{root}").into() } else { stem.into() },
            message_type: if tree.target.is_empty() { root.clone() } else { format!("{}#{root}", tree.target).into() },
            namespace: tree.target.clone(),
            root,
            is_envelope: info.is_envelope,
            file: tree.shown.clone(),
            ..DocumentSpec::default()
        };
        self.body(tree, node, &annotated, &mut spec);
        let mut promoted: BTreeMap<Name, usize> = BTreeMap::new();
        for field in &annotated.fields {
            let Some((path, target)) = self.locate(file, node, field) else { continue };
            if field.distinguished {
                if matches!(target, Target::Record) {
                    self.problems.error(tree, field.node, "a record cannot be a distinguished field", "choose a field with simple content");
                    continue;
                }
                spec.distinguished.push(path.clone());
            }
            if let Some(name) = &field.name
                && let Some(promotion) = self.promotion(tree, field, name, info, path, target)
            {
                if let Some(first) = promoted.insert(promotion.property.clone(), field.node) {
                    let message = format!(
                        "two fields of \"{}\" are promoted to {}, the other in line {}",
                        spec.root,
                        promotion.property,
                        tree.place(first).0
                    );
                    self.problems.error(tree, field.node, message, "promote only one of them");
                    continue;
                }
                spec.promoted.push(promotion);
            }
        }
        spec
    }

    fn body(&mut self, tree: &Tree, node: usize, annotated: &RootInfo, spec: &mut DocumentSpec) {
        if !spec.is_envelope {
            return;
        }
        let Some((place, expression)) = &annotated.body_xpath else {
            let message = format!("the envelope \"{}\" has no body_xpath", spec.root);
            self.problems.error(
                tree,
                node,
                message,
                "set body_xpath in the b:recordInfo of the root: the node whose children are the documents",
            );
            return;
        };
        match xpath::parse(expression) {
            Ok(path) if path.attribute.is_some() => {
                self.problems.error(tree, *place, "body_xpath names an attribute", "name the element whose children are the documents");
            }
            Ok(path) if !path.steps[0].test.accepts(&spec.namespace, &spec.root) => {
                let message = format!("body_xpath does not start at the root element \"{}\"", spec.root);
                self.problems.error(tree, *place, message, "write the path from the root of the envelope");
            }
            Ok(_) => spec.body_xpath = Some(expression.clone()),
            Err(error) => self.problems.error(
                tree,
                *place,
                format!("body_xpath is not understood: {error}"),
                "write the path from the root of the envelope",
            ),
        }
    }

    /// The XPath of a field as the context names it, and what it means in this schema.
    fn locate(&mut self, file: usize, root: usize, field: &PropertyField) -> Option<(String, Target)> {
        let tree = &self.model.trees[file];
        let path = match xpath::parse(&field.xpath) {
            Ok(path) => path,
            Err(error) => {
                self.problems.error(
                    tree,
                    field.node,
                    format!("the XPath of a field is not understood: {error}"),
                    "correct the xpath of this b:property",
                );
                return None;
            }
        };
        let target = self.model.follow((file, root), &path);
        match &target {
            Target::Absent => {
                let message = format!("the schema has no field at {}", field.xpath);
                self.problems.warning(
                    tree,
                    field.node,
                    message,
                    "no document can have it, so nothing is ever promoted: correct the xpath of this b:property",
                );
            }
            Target::Field { repeats: true, .. } => {
                let message = format!("the field at {} can occur more than once", field.xpath);
                self.problems.warning(tree, field.node, message, "only fields that do not repeat may be promoted: the first is taken");
            }
            _ => {}
        }
        Some((field.xpath.clone(), target))
    }

    fn promotion(
        &mut self,
        tree: &Tree,
        field: &PropertyField,
        name: &str,
        info: &SchemaInfo,
        xpath: String,
        target: Target,
    ) -> Option<PromotedField> {
        let default = match target {
            Target::Record => {
                self.problems.error(
                    tree,
                    field.node,
                    "a record with child elements cannot be promoted",
                    "choose a field with simple content",
                );
                return None;
            }
            Target::Field { built_in, default, .. } => {
                if let Some(Err(error)) = built_in.as_deref().map(ValueType::from_xsd) {
                    self.problems.error(tree, field.node, error.to_string(), "change the type of the field, or do not promote it");
                    return None;
                }
                default
            }
            Target::Absent | Target::Unknown => None,
        };
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        let imported = info.imports.iter().find(|(p, _)| p == prefix).map(|(_, uri)| uri);
        let Some(namespace) = imported.or_else(|| tree.namespace_of(field.node, prefix).filter(|_| !prefix.is_empty())) else {
            let message = format!("the property \"{name}\" has the prefix \"{prefix}\", which b:imports does not declare");
            self.problems.error(tree, field.node, message, "add a b:namespace with this prefix and the uri of the property schema");
            return None;
        };
        let property = Name::new(namespace.clone(), local);
        match self.known.find(&property) {
            Ok(value_type) => Some(PromotedField { property, value_type, xpath, default }),
            Err((message, help)) => {
                self.problems.error(tree, field.node, message, help);
                None
            }
        }
    }
}
