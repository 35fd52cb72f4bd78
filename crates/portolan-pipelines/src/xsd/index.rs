//! The global components of all schema files by name, and whether includes and imports are satisfied.

use super::{
    Problems,
    tree::{ROOT, Tree},
};
use portolan_model::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// What kind of component a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// `xs:element`.
    Element,
    /// `xs:attribute`.
    Attribute,
    /// `xs:simpleType` or `xs:complexType`.
    Type,
    /// `xs:group`.
    Group,
    /// `xs:attributeGroup`.
    AttributeGroup,
}

/// A node of a file.
pub type At = (usize, usize);

/// Global components by kind, namespace and local name.
pub struct Index {
    components: BTreeMap<(Kind, SmolStr, SmolStr), At>,
    /// Files without a namespace that a file with one includes: they take on its namespace.
    chameleons: BTreeSet<usize>,
}

impl Index {
    /// Indexes all files and reports includes and imports that lead nowhere.
    pub fn build(trees: &[Tree], problems: &mut Problems) -> Self {
        let mut index = Self { components: BTreeMap::new(), chameleons: BTreeSet::new() };
        for (file, tree) in trees.iter().enumerate() {
            index.add(file, tree, &tree.target);
        }
        let by_path: BTreeMap<String, usize> = trees.iter().enumerate().map(|(at, t)| (t.shown.to_lowercase(), at)).collect();
        let namespaces: BTreeSet<&str> = trees.iter().map(|t| t.target.as_str()).collect();
        for tree in trees {
            for node in tree.children(ROOT).iter().copied().filter(|n| matches!(tree.xs(*n), "include" | "import" | "redefine")) {
                index.reference(trees, tree, node, &by_path, &namespaces, problems);
            }
        }
        index
    }

    fn add(&mut self, file: usize, tree: &Tree, namespace: &SmolStr) {
        for node in tree.children(ROOT) {
            let kind = match tree.xs(*node) {
                "element" => Kind::Element,
                "attribute" => Kind::Attribute,
                "simpleType" | "complexType" => Kind::Type,
                "group" => Kind::Group,
                "attributeGroup" => Kind::AttributeGroup,
                _ => continue,
            };
            if let Some(name) = tree.attribute(*node, "name") {
                self.components.entry((kind, namespace.clone(), name.into())).or_insert((file, *node));
            }
        }
    }

    fn reference(
        &mut self,
        trees: &[Tree],
        tree: &Tree,
        node: usize,
        by_path: &BTreeMap<String, usize>,
        namespaces: &BTreeSet<&str>,
        problems: &mut Problems,
    ) {
        let location = tree.attribute(node, "schemaLocation").unwrap_or_default().trim();
        let target = inside(&tree.shown, location);
        let found = target.as_ref().and_then(|path| by_path.get(&path.to_lowercase()).copied());
        let is_import = tree.xs(node) == "import";
        if let (Some(file), false) = (found, is_import) {
            if trees[file].target.is_empty() && !tree.target.is_empty() {
                self.chameleons.insert(file);
                self.add(file, &trees[file], &tree.target);
            }
            return;
        }
        let namespace = tree.attribute(node, "namespace").unwrap_or_default().trim();
        let satisfied =
            if is_import { namespaces.contains(namespace) || namespace == crate::xml::names::XML_NAMESPACE } else { found.is_some() };
        if satisfied || (is_import && location.is_empty()) {
            return;
        }
        let what = if is_import { format!("namespace \"{namespace}\"") } else { "rest of the schema".to_owned() };
        let message = match target {
            None => format!("the {what} is in \"{location}\", which is outside of the schema folder and is not read"),
            Some(_) => format!("the {what} is in \"{location}\", which is not in the schema folder"),
        };
        problems.warning(tree, node, message, "add the schema to the folder; until then its types are unknown");
    }

    /// The component of a name.
    #[must_use]
    pub fn find(&self, kind: Kind, (namespace, local): &(SmolStr, SmolStr)) -> Option<At> {
        self.components.get(&(kind, namespace.clone(), local.clone())).copied()
    }

    /// Whether a file takes on the namespaces of the files that include it.
    #[must_use]
    pub fn is_chameleon(&self, file: usize) -> bool {
        self.chameleons.contains(&file)
    }
}

/// Where a location written in `from` leads inside the folder; `None` when it leaves the folder.
fn inside(from: &str, location: &str) -> Option<String> {
    let location = location.replace('\\', "/").replace("%20", " ");
    if location.contains("://") || location.starts_with('/') || location.chars().nth(1) == Some(':') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in location.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_stay_in_the_folder() {
        assert_eq!(inside("a/b.xsd", ".\\c.xsd").as_deref(), Some("a/c.xsd"));
        assert_eq!(inside("a/b.xsd", "../c%20d.xsd").as_deref(), Some("c d.xsd"));
        assert_eq!(inside("b.xsd", "../c.xsd"), None);
        assert_eq!(inside("b.xsd", "http://x/c.xsd"), None);
        assert_eq!(inside("b.xsd", "/etc/passwd"), None);
        assert_eq!(inside("b.xsd", "C:\\c.xsd"), None);
    }
}
