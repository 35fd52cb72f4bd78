//! Property schemas, and the properties that are always there.

use super::{
    Problems, annotations,
    content::{Model, Target},
    index::Index,
    tree::{ROOT, Tree},
};
use crate::xpath::{Path, Step};
use portolan_model::{Name, SmolStr, ValueType, system};
use portolan_sdk::{PropertySpec, Schemas};
use std::collections::BTreeMap;

/// Types of the known properties by namespace and local name.
#[derive(Default)]
pub struct Known(BTreeMap<SmolStr, BTreeMap<SmolStr, ValueType>>);

impl Known {
    fn add(&mut self, name: &Name, value_type: ValueType) {
        self.0.entry(name.namespace.clone()).or_default().insert(name.local.clone(), value_type);
    }

    /// The type of a property, or why there is none, in words.
    pub fn find(&self, name: &Name) -> Result<ValueType, (String, String)> {
        let Some(members) = self.0.get(&name.namespace) else {
            let message = format!("no property schema has the namespace \"{}\"", name.namespace);
            return Err((message, "add the property schema to the folder, or correct the uri in b:imports".to_owned()));
        };
        members.get(&name.local).copied().ok_or_else(|| {
            let names: Vec<&str> = members.keys().map(SmolStr::as_str).take(12).collect();
            let message = format!("the property schema of \"{}\" has no property \"{}\"", name.namespace, name.local);
            (message, format!("its properties are {}", names.join(", ")))
        })
    }
}

/// Reads the property schemas.
pub fn load(trees: &[Tree], index: &Index, schemas: &mut Schemas, problems: &mut Problems) -> Known {
    let mut known = Known::default();
    for property in system::all() {
        known.add(&property.name, property.value_type);
        let alias = property.name.to_string();
        schemas.add_property(PropertySpec { name: property.name, value_type: property.value_type, alias, sensitive: false });
    }
    let mut namespaces: BTreeMap<SmolStr, &str> = BTreeMap::new();
    let mut stems: BTreeMap<String, &str> = BTreeMap::new();
    for (file, tree) in trees.iter().enumerate() {
        if !annotations::schema_info(tree).is_property_schema {
            continue;
        }
        if tree.target.is_empty() {
            problems.error(tree, ROOT, "a property schema has no targetNamespace", "give it one: it is part of each property's name");
            continue;
        }
        if let Some(prefix) = system::prefix_of(&tree.target) {
            let message = format!("the namespace \"{}\" belongs to the system properties ({prefix}.*)", tree.target);
            problems.warning(tree, ROOT, message, "the file is not needed: these properties are built in");
            continue;
        }
        if let Some(other) = namespaces.insert(tree.target.clone(), &tree.shown) {
            let message = format!("two property schemas have the namespace \"{}\": this one and {other}", tree.target);
            problems.error(tree, ROOT, message, "give each property schema its own targetNamespace, or merge the two");
        }
        let stem = stem(&tree.shown);
        if system::namespace_of(stem).is_some() {
            let message = format!("filters would name its properties {stem}.*, which are system properties");
            problems.error(tree, ROOT, message, "rename the file");
            continue;
        }
        if let Some(other) = stems.insert(stem.to_owned(), &tree.shown) {
            let message = format!("two property schemas have the file name \"{stem}\": this one and {other}");
            problems.error(tree, ROOT, message, "rename one: filters name a property by the file name and the property's name");
        }
        load_file(Model { trees, index }, file, stem, &mut known, schemas, problems);
    }
    known
}

fn load_file(model: Model<'_>, file: usize, stem: &str, known: &mut Known, schemas: &mut Schemas, problems: &mut Problems) {
    let tree = &model.trees[file];
    for node in tree.children(ROOT).iter().copied().filter(|n| tree.xs(*n) == "element") {
        let Some(local) = tree.attribute(node, "name") else { continue };
        let path = Path { steps: vec![Step::default()], attribute: None };
        let built_in = match model.follow((file, node), &path) {
            Target::Field { built_in, .. } => built_in.unwrap_or_else(|| "string".into()),
            Target::Record => {
                problems.error(tree, node, format!("the property \"{local}\" has child elements"), "a property has a simple type");
                continue;
            }
            Target::Unknown | Target::Absent => "string".into(),
        };
        let value_type = match ValueType::from_xsd(&built_in) {
            Ok(value_type) => value_type,
            Err(error) => {
                problems.error(
                    tree,
                    node,
                    format!("the property \"{local}\" cannot have its type: {error}"),
                    "use xs:string or xs:decimal, for example",
                );
                continue;
            }
        };
        let name = Name::new(tree.target.clone(), local);
        known.add(&name, value_type);
        let alias = format!("{stem}.{local}");
        schemas.add_property(PropertySpec { name, value_type, alias, sensitive: annotations::is_sensitive(tree, node) });
    }
}

/// File name without folder and extension.
pub fn stem(shown: &str) -> &str {
    let name = shown.rsplit('/').next().unwrap_or(shown);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
